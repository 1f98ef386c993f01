# shellcheck shell=bash disable=SC2154
set -euo pipefail

say() { printf '%s\n' "$*"; }
fail() {
  printf 'stateward: %s\n' "$*" >&2
  exit 1
}

directory() { [ -d "$1" ] && [ ! -L "$1" ]; }

# up PATH: sets REPLY to the directory above.
up() {
  REPLY=${1%/*}
  REPLY=${REPLY:-/}
}

# Each call of each is: directory|file FROM TO UNIT... -- KEEP...
# KEEP lies below TO already, by entries of its own, and stays as it is.
split() {
  units=() keep=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    units+=("$1")
    shift
  done
  shift
  keep=("$@")
}

# copied TO: whether an earlier run has copied it. That is written down once all of it lies beside TO.
copied() {
  local line
  printf -v line %q "$1"
  [ -e "$journal" ] && grep -qxF -e "$line" -- "$journal"
}

# strays DIRECTORY: prints what lies there besides keep and the way to it.
strays() {
  local entry k
  while IFS= read -r -d '' entry; do
    for k in ${keep[@]+"${keep[@]}"}; do
      if [ "$k" = "$entry" ]; then
        continue 2
      elif [[ $k == "$entry"/* ]] && directory "$entry"; then
        strays "$entry"
        continue 2
      fi
    done
    printf '%q\n' "$entry"
  done < <(find "$1" -mindepth 1 -maxdepth 1 -print0)
}

# todo FROM TO: whether there is something to copy.
todo() {
  [ -e "$2.stateward-ready" ] && return 0
  if copied "$2"; then
    say "copied before:  $2"
  elif [ ! -e "$1" ] && [ ! -L "$1" ]; then
    say "nothing there:  $1"
  elif [ "$1" -ef "$2" ]; then
    say "mounted:        $1"
  else
    return 0
  fi
  return 1
}

check() {
  local kind=$1 from=$2 to=$3 found
  split "${@:4}"
  todo "$from" "$to" >/dev/null || return 0
  [ -e "$to.stateward-ready" ] && return 0
  [ ! -L "$from" ] || fail "$from is a symbolic link"
  if [ "$kind" = file ]; then
    [ -f "$from" ] || fail "$from is no file"
    if [ -s "$to" ] || [ -d "$to" ]; then
      fail "$to is there already and is not empty"
    fi
    return 0
  fi
  [ -d "$from" ] || fail "$from is no directory"
  [ -e "$to" ] || [ -L "$to" ] || return 0
  directory "$to" || fail "$to is there already and is no directory"
  found=$(strays "$to")
  [ -z "$found" ] || fail "$to is not empty: ${found%%$'\n'*} lies there"
}

# parents FROM TO: makes TO and the directories above it that are not there, like those of FROM.
parents() {
  [ ! -d "$2" ] || return 0
  local from=$1 to=$2
  up "$from"
  local above=$REPLY
  up "$to"
  parents "$above" "$REPLY"
  mkdir -- "$to"
  chown --reference="$from" -- "$to"
  chmod --reference="$from" -- "$to"
}

# merge FROM TO: moves FROM to TO. What TO holds already stays.
merge() {
  local entry
  if { [ ! -e "$2" ] && [ ! -L "$2" ]; } || { [ -f "$1" ] && [ -f "$2" ] && [ ! -L "$2" ] && [ ! -s "$2" ]; }; then
    mv -fT -- "$1" "$2"
    return
  fi
  if ! directory "$1" || ! directory "$2"; then
    fail "$2 is in the way of $1"
  fi
  while IFS= read -r -d '' entry; do
    merge "$entry" "$2/${entry##*/}"
  done < <(find "$1" -mindepth 1 -maxdepth 1 -print0)
  chown --reference="$1" -- "$2"
  chmod --reference="$1" -- "$2"
  rmdir -- "$1"
}

copy() {
  local kind=$1 from=$2 to=$3 unit k above
  local beside=$to.stateward-copy ready=$to.stateward-ready
  split "${@:4}"
  todo "$from" "$to" || return 0
  for unit in ${units[@]+"${units[@]}"}; do
    if systemctl is-active --quiet -- "$unit"; then
      say "stopping:       $unit"
      systemctl stop -- "$unit"
    fi
  done
  say "copying:        $from to $to"
  if [ ! -e "$ready" ]; then
    up "$from"
    above=$REPLY
    up "$to"
    parents "$above" "$REPLY"
    rm -rf -- "$beside" # of a run that was interrupted
    if [ "$kind" = file ]; then
      cp -a --reflink=auto -- "$from" "$beside"
    else
      mkdir -m 0700 -- "$beside"
      cp -a -x --reflink=auto -- "$from/." "$beside/"
      for k in ${keep[@]+"${keep[@]}"}; do
        rm -rf -- "${beside:?}/${k#"$to"/}"
      done
    fi
    sync -f -- "$beside"
    mv -T -- "$beside" "$ready"
  fi
  copied "$to" || printf '%q\n' "$to" >>"$journal"
  merge "$ready" "$to"
}

[ "$EUID" -eq 0 ] || [ -n "${STATEWARD_UNPRIVILEGED-}" ] || fail "run this as root, or nothing keeps its owner"
[ -d "$root" ] || fail "there is no directory $root"
[ -z "$mount" ] || mountpoint -q -- "$mount" || fail "$mount is not mounted"
each check
each copy
