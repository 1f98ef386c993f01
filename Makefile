# `make help` lists the targets. All of them install what they need first (see scripts/deps.sh).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help deps versions build demo test test-unit test-racing test-plain lint e2e fuzz bench golden docs clean

# How many inputs each fuzz target gets, how long all tests may take, and which benchmarks to run.
# A number of inputs, not a time: a time limit that ends in the middle of an input can be reported as a failure of the
# target, "context deadline exceeded" (golang/go#75804, mended in Go 1.27).
FUZZTIME ?= 50000x
# Those that start a program for each input (FuzzExec…) get this many instead.
EXECFUZZTIME ?= 300x
TIMEOUT ?= 30m
BENCH ?= .
# Packages that start no goroutine, in their tests neither (internal/rules sees to that): the race detector has nothing to detect there, and takes most of
# their time. In the tests of what uses them they have it.
PURE := . ./aggregate/... ./backup/... ./dataset ./preseed
# Tests of other packages that go without it, too, and the packages that they are in: they start the command some hundreds of times, or read much in one
# goroutine. It takes half of their time. What the command has of goroutines runs with the detector in the tests beside them, which call the same functions.
PLAIN := TestScripts TestTheGuardOfASystem TestHundredMegabytesAreReadInTime
PLAINPACKAGES := ./internal/cli ./nixbridge
empty :=
plain := ^($(subst $(empty) ,|,$(PLAIN)))$$

# The environment that deps.sh prints: where it found Go, and the nix to test with.
deps = env="$$(scripts/deps.sh)"; eval "$$env"
deps_versions = env="$$(scripts/deps.sh --versions)"; eval "$$env"
# From here on commands are shown as they run.
show = PS4='$$ '; set -x

help: ## this list
	@sed -nE 's/^([a-z0-9]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

deps: ## install what is missing: nix, Go, git
	@scripts/deps.sh >/dev/null

build: ## bin/stateward
	@$(deps)
	export CGO_ENABLED=0
	$(show)
	go build -trimpath -o bin/stateward ./cmd/stateward

demo: build ## check the example homelab
	@$(deps)
	try() { # try STATUS SOURCE: check SOURCE, which must give that exit status
		echo
		echo "$$ bin/stateward check $$2"
		status=0
		bin/stateward check "$$2" || status=$$?
		echo
		[ $$status -eq $$1 ] || { echo "demo: exit status $$status, it should be $$1" >&2; exit 1; }
	}
	try 1 examples/homelab
	echo "Exit status 1: there are findings. attic is full of mistakes, and a part of cellar could not be evaluated."
	try 0 examples/homelab#forge
	echo "Exit status 0: nothing found. hosts/forge and hosts/attic in examples/homelab show the difference."

test: test-unit ## lint, then every test, with the race detector where there are goroutines, against several versions of nix
	@$(deps_versions)
	$(show)
	# A module of its own: the page of a report in a real browser.
	(cd tools/browser && go test -count=1 -timeout 5m ./...)

# Tests also wait, for time-outs and for programs that start: one package more than there are processors is at work.
test-unit: lint
	@$(MAKE) --no-print-directory -j2 test-racing test-plain

# What is missing is installed once before both, and not by both at a time.
versions:
	@scripts/deps.sh --versions >/dev/null

# Those packages that take longest come first, so that none is left alone at the end.
test-racing: versions
	@$(deps_versions)
	pure=$$(go list $(PURE))
	racing=$$(go list ./... | grep -vxF "$$pure")
	$(show)
	go test -race -p "$$(nproc)" -timeout $(TIMEOUT) -skip '$(value plain)' ./nixbridge ./internal/cli ./internal/exec/pitr $$racing

test-plain: versions
	@$(deps_versions)
	$(show)
	go test -p 1 -timeout $(TIMEOUT) -run '$(value plain)' $(PLAINPACKAGES)
	go test -p 1 -timeout $(TIMEOUT) $(PURE)

lint: ## gofmt, go vet, staticcheck
	@$(deps)
	unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l .)
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w:" $$unformatted >&2; exit 1; fi
	$(show)
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...
	(cd tools/browser && go vet ./... && go tool -modfile=../go.mod staticcheck ./...)
	go vet -tags e2e ./e2e/...
	go tool -modfile=tools/go.mod staticcheck -tags e2e ./e2e/...

e2e: ## end-to-end tests on real ZFS; the first time it builds the machine for them
	@$(deps)
	scripts/e2e

fuzz: ## every fuzz target with FUZZTIME (50000x) inputs each
	@$(deps_versions)
	$(show)
	scripts/fuzz $(FUZZTIME) $(EXECFUZZTIME)

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
