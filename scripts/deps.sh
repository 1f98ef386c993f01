#!/usr/bin/env bash
# deps.sh [--versions] : see to it that all is there that building and trying stateward needs.
#
# On Debian it installs what is missing and says so, one line each; elsewhere it says what to install. It is quick
# when nothing is missing. With --versions also what `make test` needs: a C compiler for the race
# detector, systemd-analyze, the shells that complete, shellcheck, mandoc, groff, pre-commit, and the nix of other Debian suites beside the
# system's own, restic, sanoid and systemd-analyze of several suites too, servers that keep repositories of restic, and
# PostgreSQL and barman-cloud of two suites, and a browser with what judges a page in it.
#
# On standard output: shell exports, for eval. All else goes to standard error.
#   STATEWARD_TEST_NIX      nix executables to test with, separated by colons (kept when set already, as the others are)
#   STATEWARD_TEST_RESTIC   restic executables
#   STATEWARD_TEST_REST_SERVER  restic-rest-server
#   STATEWARD_TEST_S3_SERVER    an S3 server: tools/s3server
#   STATEWARD_TEST_SYSTEMD  systemd-analyze executables
#   STATEWARD_TEST_POSTGRESQL   folders of PostgreSQL's programs: 17 and 15
#   STATEWARD_TEST_BARMAN   folders of the programs of barman-cloud: 3.13 and 3.4
#   STATEWARD_TEST_AXE      axe.min.js of axe-core, which looks for what makes a page hard to use
#   STATEWARD_TEST_SANOID   sanoid, unpacked: a folder with usr/sbin/sanoid, what it needs of Perl, and its defaults
# What it unpacks goes to ${STATEWARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stateward-dev}.
set -euo pipefail

say() { echo "deps: $*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
give() { printf 'export %s=%q\n' "$1" "$2"; }

# at_least HAVE WANT: is version HAVE the same as WANT, or later?
at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

versions=
case "${1-}" in
  "") ;;
  --versions) versions=yes ;;
  *) echo "usage: deps.sh [--versions]" >&2; exit 2 ;;
esac

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suites=(bookworm trixie sid)
oldest_nix=2.8
want_go=$(sed -n 's/^go //p' "$top/go.mod")

# Neither nix nor go runs without a home.
if [ -z "${HOME:-}" ]; then
  HOME="${TMPDIR:-/tmp}/stateward-home-$(id -u)"
  export HOME
  mkdir -p "$HOME"
  [ -O "$HOME" ] || fail "HOME is not set, and $HOME belongs to somebody else"
  chmod 700 "$HOME"
  give HOME "$HOME"
fi
cache="${STATEWARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stateward-dev}"

mkdir -p "$cache"

os_release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\).*/\1/p" /etc/os-release 2>/dev/null || true; }
distribution=$(os_release ID)
suite=$(os_release VERSION_CODENAME)

# ---- what a package manager can give ----

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
able= # to install packages
if [ "$distribution" = debian ] && { [ ${#as_root[@]} -eq 0 ] || have sudo; }; then able=yes; fi

packages=()
want() { # want WHAT PACKAGE
  packages+=("$2")
  if [ -n "$able" ]; then say "$1 is missing: installing Debian's $2"; else say "$1 is missing"; fi
}

have git || want git git
have make || want make make
have nix || want nix nix-bin
if [ "$distribution" = debian ]; then
  [ -s /etc/ssl/certs/ca-certificates.crt ] || want "the list of certificate authorities" ca-certificates
fi
if [ -n "$versions" ]; then
  have gcc || want "gcc, for the race detector," gcc
  have systemd-analyze || want systemd-analyze systemd
  have perl || want "perl, to run sanoid," perl
  have sqlite3 || want "sqlite3, to look into databases that were restored," sqlite3
  have zsh || want "zsh, to test completions," zsh
  have fish || want "fish, to test completions," fish
  [ -e /usr/share/bash-completion/bash_completion ] || want "what bash completes with" bash-completion
  have mandoc || want "mandoc, to test manual pages," mandoc
  have shellcheck || want "shellcheck, to test scripts that are written," shellcheck
  have pre-commit || want "pre-commit, to test the hook for it," pre-commit
  have groff || want "groff, to test manual pages," groff-base
  have chromium || want "chromium, to look at reports," chromium
  have pdftotext || want "pdftotext, to read what was printed," poppler-utils
  have npm || want "npm, to fetch axe-core," npm
  if [ "$distribution" = debian ]; then
    [ -e /usr/include/stdlib.h ] || want "the C library's headers" libc6-dev
  fi
fi

if [ ${#packages[@]} -gt 0 ]; then
  [ "$distribution" = debian ] ||
    fail "this is not Debian, so nothing was installed; needed are Go $want_go, nix $oldest_nix, git and make, or later versions, and for the tests gcc, systemd-analyze, perl, restic, sanoid, sqlite3, zsh, fish, bash-completion, shellcheck, mandoc, groff, pre-commit, chromium, poppler-utils and npm"
  [ -n "$able" ] || fail "neither root nor sudo; as root run: apt-get install ${packages[*]}"
  {
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
      -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install "${packages[@]}"
  } </dev/null >"$cache/apt.log" 2>&1 || {
    cat "$cache/apt.log" >&2
    fail "apt-get could not install ${packages[*]}"
  }
fi

# ---- nix ----

nix_version() { "$1" --version 2>/dev/null | sed -nE 's/^.* ([0-9]+\.[0-9][0-9.]*).*$/\1/p'; }

system_nix=$(command -v nix)
at_least "$(nix_version "$system_nix")" "$oldest_nix" ||
  fail "$system_nix is version $(nix_version "$system_nix"), too old; install nix $oldest_nix or later"

# ---- Go ----

# The version of the Go itself, whatever newer toolchain it would fetch for this module.
go_version() { (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -nE 's/^go([0-9][0-9.]*).*$/\1/p') || true; }

go=$(command -v go || true)
found=${go:+$(go_version "$go")}
if [ -z "$found" ] || ! at_least "$found" 1.21; then
  lack="Go is missing"
  [ -z "$found" ] || lack="Go $found is too old"
  [ "$distribution" = debian ] || fail "$lack; install Go $want_go or later"
  go="$cache/go-trixie/root/usr/bin/go"
  [ -x "$go" ] || say "$lack: unpacking Debian trixie's into $cache"
  "$top/scripts/debroot" trixie "$cache/go-trixie" golang-go
  found=$(go_version "$go")
  give PATH "${go%/*}:$PATH"
fi
if ! at_least "$found" "$want_go"; then
  # From 1.21 on Go fetches the toolchain that a module asks for, if it may.
  export GOTOOLCHAIN=auto
  give GOTOOLCHAIN auto
  compgen -G "$(cd / && "$go" env GOMODCACHE)/golang.org/toolchain@v0.0.1-go$want_go.*" >/dev/null ||
    say "Go $found is older than $want_go: having it fetch that version for itself"
  (cd "$top" && "$go" version) >/dev/null || fail "Go $found could not fetch Go $want_go"
fi

# ---- more versions of nix ----

# wrap NAME COMMAND...: $cache/bin/NAME, so that a version of a program is just the path of an executable.
wrap() {
  local target="$cache/bin/$1" text
  shift
  text=$(printf '#!/bin/sh\nexec'; printf " '%s'" "$@"; printf ' "$@"')
  mkdir -p "$cache/bin"
  if [ "$(cat "$target" 2>/dev/null || true)" != "$text" ]; then
    printf '%s\n' "$text" >"$target.$$"
    chmod +x "$target.$$"
    mv "$target.$$" "$target"
  fi
}

if [ -n "$versions" ] && [ "$distribution" = debian ]; then
  mkdir -p "$cache/bin"
  cmp -s "$top/scripts/debroot-run" "$cache/bin/debroot-run" || {
    cp "$top/scripts/debroot-run" "$cache/bin/debroot-run.$$"
    mv "$cache/bin/debroot-run.$$" "$cache/bin/debroot-run"
  }
fi

# unpack SUITE PROGRAM PACKAGE: into $cache/PACKAGE-SUITE, with a wrapper $cache/bin/PROGRAM-SUITE
unpack() {
  [ -e "$cache/$3-$1/root/usr/bin/$2" ] || say "$2 of Debian $1 is missing: unpacking it into $cache"
  "$top/scripts/debroot" "$1" "$cache/$3-$1" "$3"
  wrap "$2-$1" "$cache/bin/debroot-run" "$cache/$3-$1" "$2"
}

if [ -n "$versions" ] && [ -z "${STATEWARD_TEST_NIX:-}" ]; then
  list=()
  described=
  if [ "$distribution" = debian ]; then
    for one in "${suites[@]}"; do
      if [ "$one" = "$suite" ]; then
        wrap "nix-$one" "$system_nix"
      else
        [ -x "$cache/nix-$one/root/usr/bin/nix" ] || say "nix of Debian $one is missing: unpacking it into $cache"
        "$top/scripts/debroot" "$one" "$cache/nix-$one" nix-bin
        wrap "nix-$one" "$cache/bin/debroot-run" "$cache/nix-$one" nix
      fi
      list+=("$cache/bin/nix-$one")
      described+="${described:+, }$(nix_version "$cache/bin/nix-$one") ($one)"
    done
  else
    list=("$system_nix")
    described=$(nix_version "$system_nix")
  fi
  say "testing with nix $described"
  give STATEWARD_TEST_NIX "$(IFS=:; echo "${list[*]}")"
fi

# ---- programs whose answers ours must equal ----

if [ -n "$versions" ] && [ "$distribution" = debian ]; then
  if [ -z "${STATEWARD_TEST_RESTIC:-}" ]; then
    unpack trixie restic restic # 0.18
    unpack sid restic restic    # 0.19
    give STATEWARD_TEST_RESTIC "$cache/bin/restic-trixie:$cache/bin/restic-sid"
  fi
  if [ -z "${STATEWARD_TEST_REST_SERVER:-}" ]; then
    unpack trixie restic-rest-server restic-rest-server
    give STATEWARD_TEST_REST_SERVER "$cache/bin/restic-rest-server-trixie"
  fi
  if [ -z "${STATEWARD_TEST_SYSTEMD:-}" ]; then
    list=("$(command -v systemd-analyze)")
    if [ "$suite" != trixie ]; then
      unpack trixie systemd-analyze systemd
      list+=("$cache/bin/systemd-analyze-trixie")
    fi
    give STATEWARD_TEST_SYSTEMD "$(IFS=:; echo "${list[*]}")"
  fi
  if [ -z "${STATEWARD_TEST_SANOID:-}" ]; then
    # Only scripts: the system's perl runs them.
    "$top/scripts/debroot" --only trixie "$cache/sanoid-trixie" sanoid libcapture-tiny-perl libconfig-inifiles-perl
    give STATEWARD_TEST_SANOID "$cache/sanoid-trixie/root"
  fi
fi

# in_place ROOT PROGRAM...: have programs of an unpacked ROOT start with its own loader and libraries where they are. PostgreSQL's start
# one another, and find what they need by where they are themselves.
in_place() {
  local root="$1" loader program
  shift
  loader=$(compgen -G "$root/usr/lib/*-linux-gnu*/ld-linux*.so.*" | head -n 1) || fail "no loader in $root"
  for program; do
    [ ! -e "$program.elf" ] || [ "$program.elf" -ef "$program" ] || continue
    printf "#!/bin/sh\nexec '%s' --argv0 '%s' --library-path '%s' '%s' \"\$@\"\n" "$loader" "$program" "${loader%/*}" "$program.elf" >"$program.$$"
    chmod +x "$program.$$"
    ln -f "$program" "$program.elf"
    mv "$program.$$" "$program"
  done
}

# postgresql SUITE VERSION
postgresql() {
  local dir="$cache/postgresql-$2-$1" bin programs
  bin="$dir/root/usr/lib/postgresql/$2/bin"
  [ -e "$bin/postgres" ] || say "PostgreSQL $2 is missing: unpacking Debian $1's into $cache"
  "$top/scripts/debroot" "$1" "$dir" "postgresql-$2"
  mapfile -t programs < <(find "$bin" -maxdepth 1 -type f ! -name '*.elf' ! -name '*.[0-9]*' -size +16k)
  in_place "$dir/root" "${programs[@]}"
  list+=("$bin")
}

# barman SUITE: scripts, which run with the python that was unpacked with them
barman() {
  local dir="$cache/barman-cli-cloud-$1" loader python program text quick distutils
  [ -e "$dir/root/usr/bin/barman-cloud-backup" ] || say "barman-cloud of Debian $1 is missing: unpacking it into $cache"
  "$top/scripts/debroot" "$1" "$dir" barman-cli-cloud python3-boto3
  loader=$(compgen -G "$dir/root/usr/lib/*-linux-gnu*/ld-linux*.so.*" | head -n 1) || fail "no loader in $dir"
  python=$(compgen -G "$dir/root/usr/bin/python3.*[0-9]" | head -n 1) || fail "no python in $dir"
  # Compiled once, as Debian's own maintainer scripts do: else each start of a program compiles what it imports, which is four fifths of its time.
  if [ ! -e "$dir/root/.compiled" ]; then
    PYTHONHOME="$dir/root/usr" "$loader" --argv0 "$python" --library-path "${loader%/*}" "$python" -W ignore -m compileall -q --invalidation-mode unchecked-hash \
      "$dir"/root/usr/lib/python3* >&2 || say "not all modules of barman-cloud could be compiled"
    : >"$dir/root/.compiled"
  fi
  # Nearly all of the time of `make test` with PostgreSQL goes to the starts of these programs, some hundreds, and a fifth to a quarter of that to two things they can do without:
  # to look for garbage while modules are loaded, and to load all of setuptools for one module that compares versions, as no distutils comes with newer Pythons.
  quick="$dir/root/quick" distutils=usr/lib/python3/dist-packages/setuptools/_distutils
  mkdir -p "$dir/bin" "$quick"
  printf 'import gc\n\ngc.set_threshold(200000, 10, 10)\n' >"$quick/sitecustomize.py.$$"
  mv "$quick/sitecustomize.py.$$" "$quick/sitecustomize.py"
  [ ! -d "$dir/root/$distutils" ] || ln -sfn "../$distutils" "$quick/distutils"
  for program in "$dir"/root/usr/bin/barman-cloud-*; do
    text=$(printf "#!/bin/sh\nPYTHONHOME='%s' PYTHONPATH='%s' SETUPTOOLS_USE_DISTUTILS=stdlib PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore exec '%s' --argv0 '%s' --library-path '%s' '%s' '%s' \"\$@\"" \
      "$dir/root/usr" "$quick" "$loader" "$python" "${loader%/*}" "$python" "$program")
    program="$dir/bin/${program##*/}"
    [ "$(cat "$program" 2>/dev/null || true)" != "$text" ] || continue
    printf '%s\n' "$text" >"$program.$$"
    chmod +x "$program.$$"
    mv "$program.$$" "$program"
  done
  list+=("$dir/bin")
}

if [ -n "$versions" ] && [ "$distribution" = debian ]; then
  if [ -z "${STATEWARD_TEST_POSTGRESQL:-}" ]; then
    list=()
    postgresql trixie 17
    postgresql bookworm 15
    give STATEWARD_TEST_POSTGRESQL "$(IFS=:; echo "${list[*]}")"
  fi
  if [ -z "${STATEWARD_TEST_BARMAN:-}" ]; then
    list=()
    barman trixie
    barman bookworm
    give STATEWARD_TEST_BARMAN "$(IFS=:; echo "${list[*]}")"
  fi
fi

if [ -n "$versions" ] && [ -z "${STATEWARD_TEST_AXE:-}" ]; then
  version=4.14.1
  axe="$cache/axe-core-$version"
  if [ ! -e "$axe/node_modules/axe-core/axe.min.js" ]; then
    say "axe-core $version is missing: having npm fetch it into $cache"
    rm -rf "$axe.$$"
    mkdir -p "$axe.$$"
    # Its package only, by version; nothing of it is run here, and npm compares it with the hash that the registry tells.
    npm install --prefix "$axe.$$" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error "axe-core@$version" >&2 ||
      fail "npm could not fetch axe-core $version"
    rm -rf "$axe"
    mv "$axe.$$" "$axe"
  fi
  give STATEWARD_TEST_AXE "$axe/node_modules/axe-core/axe.min.js"
fi

if [ -n "$versions" ] && [ -z "${STATEWARD_TEST_S3_SERVER:-}" ]; then
  server="$cache/bin/s3server-$(cat "$top"/tools/{go.mod,go.sum,s3server/main.go} | sha256sum | cut -c1-12)"
  if [ ! -x "$server" ]; then
    say "the S3 server for tests is missing: building it into $cache"
    mkdir -p "$cache/bin"
    (cd "$top/tools" && CGO_ENABLED=0 "$go" build -trimpath -o "$server.$$" ./s3server) >&2 || fail "the S3 server for tests could not be built"
    mv "$server.$$" "$server"
  fi
  give STATEWARD_TEST_S3_SERVER "$server"
fi
