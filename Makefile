# `make help` lists the targets. All of them install what they need first (see scripts/deps.sh).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help deps build demo test lint fuzz bench golden docs clean

# How long each fuzz target runs, how long all tests may take, and which benchmarks to run.
FUZZTIME ?= 20s
TIMEOUT ?= 30m
BENCH ?= .

# The environment that deps.sh prints: where it found Go, and the nix to test with.
deps = env="$$(scripts/deps.sh)"; eval "$$env"
deps_versions = env="$$(scripts/deps.sh --versions)"; eval "$$env"
# From here on commands are shown as they run.
show = PS4='$$ '; set -x

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

deps: ## install what is missing: nix, Go, git
	@scripts/deps.sh >/dev/null

build: ## bin/stateward
	@$(deps)
	$(show)
	CGO_ENABLED=0 go build -trimpath -o bin/stateward ./cmd/stateward

demo: build ## check the example homelab
	@$(deps)
	echo
	echo '$$ bin/stateward check examples/homelab'
	status=0
	bin/stateward check examples/homelab || status=$$?
	echo
	case $$status in
	1) echo "Exit status 1 says that there are findings, which is right: attic is full of mistakes." ;;
	0) echo "demo: exit status 0, although attic is full of mistakes" >&2; exit 1 ;;
	*) echo "demo: exit status $$status, a failure of the check itself" >&2; exit 1 ;;
	esac

test: lint ## lint, then every test with the race detector, against several versions of nix
	@$(deps_versions)
	$(show)
	go test -race -timeout $(TIMEOUT) ./...

lint: ## gofmt, go vet, staticcheck
	@$(deps)
	unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .)
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; fi
	$(show)
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...

fuzz: ## every fuzz target for FUZZTIME (20s) each
	@$(deps_versions)
	targets=$$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort)
	[ -n "$$targets" ] || { echo "fuzz: no fuzz target found" >&2; exit 1; }
	while IFS=: read -r file target; do
		echo "$$ go test -fuzz '^$${target#func }\$$' $${file%/*}"
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null
	done <<<"$$targets"

bench: ## benchmarks that match BENCH (all)
	@$(deps)
	$(show)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout $(TIMEOUT) ./...

golden: ## write the golden files anew: look at the diff
	@$(deps_versions)
	$(show)
	UPDATE_GOLDEN=1 go test -timeout $(TIMEOUT) ./...

docs: ## write docs/checks.md anew from the checks
	@$(deps)
	$(show)
	UPDATE_GOLDEN=1 go test -run 'Fresh' ./...

clean: ## remove what was built here (not the cache folder of deps.sh)
	rm -rf bin
