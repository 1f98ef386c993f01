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

# copied TO: whether an earlier run has copied it; sets since to when that began and line to where it is written down.
# That is done once all of it lies beside TO.
copied() {
  local quoted text
  printf -v quoted %q "$1"
  line=0
  [ -e "$journal" ] || return 1
  while IFS= read -r text; do
    line=$((line + 1))
    since=${text%% *}
    [ "${text#* }" != "$quoted" ] || return 0
  done <"$journal"
  return 1
}

# live PATH: sets REPLY to what is to get to PATH, which lies in TO.
live() { REPLY=$from${1#"$to"}; }

# kept PATH: whether PATH, which lies in FROM, is kept in TO by an entry of its own.
kept() {
  local k
  for k in ${keep[@]+"${keep[@]}"}; do
    live "$k"
    [[ $1 != "$REPLY" && $1 != "$REPLY"/* ]] || return 0
  done
  return 1
}

# mounted PATH: whether something is mounted there. A Btrfs subvolume has a device of its own and is no mount.
mounted() {
  local at
  while read -r _ _ _ _ at _; do
    printf -v at %b "$at"
    [ "$at" != "$1" ] || return 0
  done <"${STATEWARD_MOUNTINFO:-/proc/self/mountinfo}"
  return 1
}

# beyond DIRECTORY: adds to subvolumes what cp -x would leave out below it. What is mounted there is no part of it,
# and is hidden once TO is mounted over FROM.
beyond() {
  local own='' device entry real
  while IFS=' ' read -r -d '' device entry; do
    own=${own:-$device}
    if [ "$device" = "$own" ] || kept "$entry"; then
      continue
    fi
    real=$(realpath -e -- "$entry" && printf x)
    if ! mounted "${real%$'\n'x}"; then
      subvolumes+=("$entry")
      beyond "$entry"
    elif [ -n "${STATEWARD_LEAVE_MOUNTS-}" ]; then
      say "left out:       $entry, which is mounted"
    else
      fail "$entry is mounted below $from, and would be left out: unmount it or stop what mounts it;" \
        "or run this with STATEWARD_LEAVE_MOUNTS=1 if it need not be in $to"
    fi
  done < <(find "$1" -xdev -type d -printf '%D %p\0')
}

# unchanged: fails if FROM has changed since it was copied, which a change of its owner or mode is too.
unchanged() {
  local entry subvolumes=() STATEWARD_LEAVE_MOUNTS=1
  [ -d "$from" ] && beyond "$from" >/dev/null
  while IFS= read -r -d '' entry; do
    ! kept "$entry" || continue
    printf -v since '%(%F %T)T' "${since%.*}"
    fail "$entry has changed since $from was copied on $since: look which of the two is to stay; to copy it again," \
      "move $1 away, and $2"
  done < <(find "$from" ${subvolumes[@]+"${subvolumes[@]}"} -xdev -newerct "@$since" -print0)
}

# fresh: fails unless what an earlier run has copied is still there and like FROM.
fresh() {
  local ready=$to.stateward-ready since line again
  if [ "$from" -ef "$to" ]; then
    return 0
  elif copied "$to"; then
    again="take line $line out of $journal, and run this again"
  elif [ -e "$ready" ]; then
    since=$(stat -c %.9Z -- "$ready") again="run this again"
  else
    return 0
  fi
  if [ -e "$ready" ]; then
    [ ! -e "$from" ] || unchanged "$ready" "$again"
    return 0
  fi
  if [ ! -e "$to" ] || { directory "$to" && [ -z "$(find "$to" -mindepth 1 -print -quit)" ] && ! empty "$from"; } ||
    { [ "$kind" = file ] && [ ! -s "$to" ] && ! empty "$from"; }; then
    printf -v since '%(%F %T)T' "${since%.*}"
    fail "$to was copied on $since, and is gone or empty now: put it back; or to copy $from again, $again"
  fi
  [ ! -e "$from" ] || unchanged "$to" "$again"
}

# empty PATH: whether it is there and nothing is in it.
empty() {
  if directory "$1"; then
    [ -z "$(find "$1" -mindepth 1 -print -quit)" ]
  else
    [ -e "$1" ] && [ ! -s "$1" ]
  fi
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
  local since line
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
  local kind=$1 from=$2 to=$3 found subvolumes=()
  split "${@:4}"
  fresh
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
  beyond "$from" >/dev/null
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

# active UNIT: whether it runs, starts or stops.
active() {
  case $(systemctl is-active -- "$1" || true) in
    inactive | failed | unknown) return 1 ;;
  esac
}

copy() {
  local kind=$1 from=$2 to=$3 unit k above began since line subvolumes=()
  local beside=$to.stateward-copy ready=$to.stateward-ready
  split "${@:4}"
  todo "$from" "$to" || return 0
  for unit in ${units[@]+"${units[@]}"}; do
    if active "$unit"; then
      say "stopping:       $unit"
      systemctl stop -- "$unit"
    fi
  done
  say "copying:        $from to $to"
  if [ -e "$ready" ]; then
    began=$(stat -c %.9Z -- "$ready")
  else
    began=$(date +%s.%N)
    up "$from"
    above=$REPLY
    up "$to"
    parents "$above" "$REPLY"
    rm -rf -- "$beside" # of a run that was interrupted
    if [ "$kind" = file ]; then
      cp -ax --reflink=auto -- "$from" "$beside"
    else
      mkdir -m 0700 -- "$beside"
      beyond "$from"
      cp -ax --reflink=auto -- "$from/." "$beside/"
      for k in ${subvolumes[@]+"${subvolumes[@]}"}; do
        cp -ax --reflink=auto -- "$k/." "$beside${k#"$from"}/"
      done
      for k in ${keep[@]+"${keep[@]}"}; do
        rm -rf -- "${beside:?}/${k#"$to"/}"
      done
    fi
    for unit in ${units[@]+"${units[@]}"}; do
      ! active "$unit" || fail "$unit was started while $from was copied, which is half a copy then:" \
        "stop what starts it too, such as its socket, path or timer unit, and run this again"
    done
    sync -f -- "$beside"
    mv -T -- "$beside" "$ready"
  fi
  copied "$to" || printf '%s %q\n' "$began" "$to" >>"$journal"
  merge "$ready" "$to"
}

[ "$EUID" -eq 0 ] || [ -n "${STATEWARD_UNPRIVILEGED-}" ] || fail "run this as root, or nothing keeps its owner"
[ -d "$root" ] || fail "there is no directory $root"
[ -z "$mount" ] || mountpoint -q -- "$mount" || fail "$mount is not mounted"
each check
each copy
