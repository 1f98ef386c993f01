# shellcheck shell=bash disable=SC2154
set -euo pipefail -o noglob
shopt -u nocasematch
export LC_ALL=C
umask 077
cd /
exec </dev/null

down='' self="bash ${0@Q}"

say() { printf '%s\n' "$*"; }
fail() {
  printf 'stateward: %s\n' "$*" >&2
  exit 1
}
# --- what is mounted

# words TEXT: sets words to what lies between blanks.
words() {
  local IFS=' '
  # shellcheck disable=SC2206
  words=($1)
}

# mount_at PATH: sets mount_source, mount_type and mount_root to what is mounted there. Of several the last counts.
mount_at() {
  local line lines words at
  mount_source='' mount_type='' mount_root=''
  mapfile -t lines </proc/self/mountinfo
  for line in "${lines[@]}"; do
    words "${line%% - *}"
    printf -v at %b "${words[4]//\\/\\0}" # a blank is \040 there
    [ "$at" = "$1" ] || continue
    printf -v mount_root %b "${words[3]//\\/\\0}"
    words "${line#* - }"
    mount_type=${words[0]}
    printf -v mount_source %b "${words[1]//\\/\\0}"
  done
  [ -n "$mount_type" ]
}
mounted() { mount_at "$1" && [ "$mount_type" = zfs ] && [ "$mount_source" = "$dataset" ] && [ "$mount_root" = / ]; }

# below PATH: sets REPLY to a mount below it.
below() {
  local line lines words at
  mapfile -t lines </proc/self/mountinfo
  for line in "${lines[@]}"; do
    words "${line%% - *}"
    printf -v at %b "${words[4]//\\/\\0}"
    if [[ $at == "${1%/}"/* ]]; then
      REPLY=$at
      return 0
    fi
  done
  return 1
}

# directory PATH: whether it is one that no link leads to.
directory() {
  local real=''
  # shellcheck disable=SC2164
  ! CDPATH='' cd -P -- "$1" 2>/dev/null || real=$PWD
  cd /
  [ "$real" = "$1" ]
}
empty() {
  local found
  found=$(find "$1" -mindepth 1 -maxdepth 1 -print -quit) || fail "$1 could not be looked into"
  [ -z "$found" ]
}

# --- the journal

# keep NAME TEXT: writes a fact of this attempt down, as a whole or not at all.
keep() {
  printf '%s\n' "$2" >"$now/$1.new"
  sync -- "$now/$1.new" # else a power cut may leave an empty file by that name
  mv -f -- "$now/$1.new" "$now/$1"
  sync -f -- "$now"
}
kept() {
  REPLY=''
  [ -e "$now/$1" ] || return 1
  REPLY=$(<"$now/$1")
}
is_done() { [ -e "$now/done-$1" ]; }

# tick NAME: writes down that a step is done, and when. That it is there is what counts.
tick() {
  printf '%s\n' "$EPOCHSECONDS" >"$now/done-$1.new"
  mv -f -- "$now/done-$1.new" "$now/done-$1"
  sync -f -- "$now"
}

attempt() {
  number=1
  while [ -e "$journal/$number/taken-back" ]; do
    number=$((number + 1))
  done
  now=$journal/$number
}

# own_journal: takes the lock, which ends with the process, and finds the attempt.
own_journal() {
  [ -d "${journal%/*}/" ] || fail "there is no directory ${journal%/*}"
  if [ -L "$journal" ]; then fail "$journal is a symbolic link"; fi
  if [ ! -d "$journal" ]; then mkdir -- "$journal"; fi
  [ -O "$journal" ] || fail "$journal belongs to somebody else than root, who could write down what was not done: look what it holds, and move it away"
  chmod 0700 -- "$journal"
  exec 9>>"$journal/lock"
  flock -n 9 || fail 'another run works on this migration'
  attempt
}

# --- the dataset

property() { zfs get -Hp -o value -- "$1" "${2-$dataset}"; }
there() { zfs list -H -o name -- "$1" >/dev/null 2>&1; }

# survey: looks once which of the dataset and those above it are there: sets present to them, a line each, lowest to the last, and free
# to the bytes that it has.
survey() {
  local at=$dataset chain=("$dataset") lines line
  present=$'\n' lowest='' free=''
  while [[ $at == */* ]]; do
    at=${at%/*}
    chain=("$at" "${chain[@]}")
  done
  mapfile -t lines < <(zfs list -Hp -o name,available -- "${chain[@]}" 2>/dev/null)
  for line in ${lines[@]+"${lines[@]}"}; do
    lowest=${line%%$'\t'*} free=${line#*$'\t'}
    present+=$lowest$'\n'
  done
}
marked() { [ "$(zfs get -H -o value,source -- stateward:migration "$1")" = "$id"$'\tlocal' ]; }

# ours: fails unless the dataset is the one that this migration made or took. Sets REPLY to its guid.
ours() {
  local seen known
  seen=$(zfs get -Hp -o value,source -- guid,stateward:migration "$dataset") || fail "$dataset is not there (any more)"
  [ "${seen#*$'\n'}" = "$id"$'\tlocal' ] || fail "$dataset does not carry the mark of this migration: somebody else made it, or changed it"
  REPLY=${seen%%$'\t'*}
  [ -e "$journal/guid" ] || return 0
  known=$(<"$journal/guid")
  [ "$known" = "$REPLY" ] || fail "$dataset has another guid than $known, which was written down: it is another dataset by that name"
}

# staged: sees to it that the dataset, and nothing else, is mounted at the staging place.
staged() {
  ours
  if mounted "$path"; then
    zfs unmount -- "$dataset" || fail "$dataset is mounted at $path, and could not be unmounted"
  fi
  mounted "$staging" && return
  ! mount_at "$staging" || fail "$mount_source is mounted at $staging"
  if [ -d "$staging" ]; then chmod 0700 -- "$staging"; else mkdir -p -- "$staging"; fi
  mount -t zfs -o zfsutil -- "$dataset" "$staging" || fail "$dataset could not be mounted at $staging"
  mounted "$staging" || fail "$dataset is not what is mounted at $staging"
}
unstage() {
  if mount_at "$staging"; then
    mounted "$staging" || fail "$mount_source is mounted at $staging"
    umount -- "$staging" || fail "$staging could not be unmounted"
  fi
  [ ! -d "$staging" ] || rmdir -- "$staging"
}

# rescue: where the dataset was in use before, a copy onto it would remove what was written to it then: a snapshot keeps that.
rescue() {
  local n k=1 name since=''
  for ((n = 1; n <= number; n++)); do
    [ ! -e "$journal/$n/live" ] || since=$(<"$journal/$n/live")
  done
  [ -n "$since" ] || return 0
  zfs set -u canmount=noauto "$dataset" || fail "canmount of $dataset could not be set"
  while [ -e "$journal/written-$k" ]; do k=$((k + 1)); done
  name=$dataset@stateward-migration-$id-written-$k
  if there "$name"; then
    marked "$name" || fail "$name is there, and is not of this migration"
  else
    zfs snapshot -o "stateward:migration=$id" -- "$name" || fail "$name could not be taken: what was written to $dataset since $(date -d "@$since") would be lost"
  fi
  printf '%s %s\n' "$(property guid "$name")" "$name" >"$journal/written-$k.new"
  sync -- "$journal/written-$k.new"
  mv -f -- "$journal/written-$k.new" "$journal/written-$k"
  sync -f -- "$journal"
  for ((n = 1; n <= number; n++)); do
    rm -f -- "$journal/$n/live"
  done
  say "  what was written to $dataset since $(date -d "@$since") is kept as $name"
}

# --- units

# states UNIT...: sets states to what each is, and running to those that run, come up or go down.
states() {
  local text i
  states=() running=()
  [ $# -gt 0 ] || return 0
  text=$(systemctl is-active -- "$@" || true)
  mapfile -t states <<<"$text"
  [ ${#states[@]} -eq $# ] || fail "the states of $* could not be had"
  for ((i = 0; i < $#; i++)); do
    case ${states[i]} in
      inactive | failed | unknown) ;;
      *) running+=("${@:i+1:1}") ;;
    esac
  done
}

# triggers: sets triggers to what starts the units, and the timers of the backup.
triggers() {
  local words=() text
  if [ ${#units[@]} -gt 0 ]; then
    text=$(systemctl show -P TriggeredBy -- "${units[@]}")
    words "${text//$'\n'/ }"
  fi
  triggers=(${timers[@]+"${timers[@]}"} ${words[@]+"${words[@]}"})
}

# dependents UNIT...: sets dependents to what systemd stops along with the units, and does not start along with them.
dependents() {
  local text words unit seen=" $* " todo=("$@")
  dependents=()
  while [ ${#todo[@]} -gt 0 ]; do
    text=$(systemctl show --value -p RequiredBy -p RequisiteOf -p BoundBy -p ConsistsOf -p PropagatesStopTo -- "${todo[@]}")
    words "${text//$'\n'/ }"
    todo=()
    for unit in ${words[@]+"${words[@]}"}; do
      [[ $seen != *" $unit "* ]] || continue
      seen+="$unit "
      todo+=("$unit")
      [[ $unit == *.target ]] || dependents+=("$unit") # to start one would start all that it wants
    done
  done
}

# quiet: stops all that may use the data. What ran when it was first called is written down before.
quiet() {
  local unit text='' triggers dependents states running early=() late=()
  triggers
  states ${triggers[@]+"${triggers[@]}"} ${units[@]+"${units[@]}"}
  for unit in ${running[@]+"${running[@]}"}; do
    if [[ " ${triggers[*]-} " == *" $unit "* ]]; then early+=("$unit"); else late+=("$unit"); fi
  done
  down=1
  if ! kept active; then
    dependents ${units[@]+"${units[@]}"}
    states ${units[@]+"${units[@]}"} ${dependents[@]+"${dependents[@]}"}
    for unit in ${early[@]+"${early[@]}"}; do
      text+="trigger $unit"$'\n'
    done
    for unit in ${running[@]+"${running[@]}"}; do
      text+="unit $unit"$'\n'
    done
    keep active "$text"
  fi
  if [ ${#early[@]} -gt 0 ]; then
    say "  stop ${early[*]}"
    systemctl stop -- "${early[@]}" || fail "${early[*]} could not be stopped"
    states ${units[@]+"${units[@]}"} # one of them may have been started just before
  else
    running=(${late[@]+"${late[@]}"})
  fi
  [ ${#running[@]} -gt 0 ] || return 0
  say "  stop ${running[*]}"
  systemctl stop -- "${running[@]}" || fail "${running[*]} could not be stopped"
  states "${units[@]}"
  [ ${#running[@]} -eq 0 ] || fail "${running[*]} runs again: stop what starts it"
}

# ran KIND: sets ran to the units of a kind that ran before, those that are stopped last first.
ran() {
  local lines line i
  ran=()
  kept active || return 0
  mapfile -t lines <<<"$REPLY"
  for ((i = ${#lines[@]} - 1; i >= 0; i--)); do
    line=${lines[i]}
    [ "${line%% *}" != "$1" ] || ran+=("${line#* }")
  done
}

# wake: starts what ran, what triggers it last.
wake() {
  local kind ran
  for kind in unit trigger; do
    ran "$kind"
    [ ${#ran[@]} -gt 0 ] || continue
    say "  start ${ran[*]}"
    systemctl start -- "${ran[@]}" || fail "not all of ${ran[*]} could be started: systemctl status ${ran[*]}"
  done
  down=''
}

# --- restic

# with_restic ARGUMENT...: runs restic as the job does. systemd reads the environment file, and no secret is an argument.
with_restic() {
  # ssh and rclone are found where they are found here.
  local run=(systemd-run --quiet --wait --pipe --collect -p Type=exec -p CacheDirectory=stateward-restic --setenv=RESTIC_CACHE_DIR --setenv=PATH) name
  [ -z "$job_user" ] || run+=("--uid=$job_user")
  [ -z "$environment_file" ] || run+=(-p "EnvironmentFile=$environment_file")
  for name in RESTIC_REPOSITORY RESTIC_REPOSITORY_FILE RESTIC_PASSWORD_FILE; do
    [ -z "${!name-}" ] || run+=("--setenv=$name")
  done
  RESTIC_CACHE_DIR=/var/cache/stateward-restic "${run[@]}" -- "$restic" "$@"
}

# restic_failed STATUS WHAT
restic_failed() {
  case $1 in
    3) fail "$2: restic could not read some of the files (status 3), and what it stored is not all" ;;
    10) fail "$2: there is no repository; it is not made here" ;;
    11) fail "$2: the repository is locked: wait until the other backup has ended" ;;
    12) fail "$2: the password is wrong" ;;
    *) fail "$2: restic ended with status $1, and says above why" ;;
  esac
}
restic_ready() {
  local version status=0
  restic=$(type -P restic) || fail "there is no restic in PATH: where nix is, nix shell nixpkgs#restic -c $self run"
  version=$("$restic" version)
  if [[ ! $version =~ ^restic\ ([0-9]+)\.([0-9]+) ]] || [ $((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2])) -lt 18 ]; then
    fail "restic 0.18 or newer is needed, and this is ${version%% compiled*}: an older one does not tell a wrong password from a repository that is not there"
  fi
  with_restic cat config >/dev/null || status=$?
  [ "$status" -eq 0 ] || restic_failed "$status" 'the repository could not be opened'
}

# listed SINCE PATH LS-ARGUMENT...: counts what the newest snapshot that is chosen has at a path and below, into count.
listed() {
  local since=$1 at=$2 status=0 line='' made
  shift 2
  with_restic ls --json --recursive "$@" latest "$at" >"$now/listing" || status=$?
  [ "$status" -eq 0 ] || restic_failed "$status" 'the snapshot could not be listed'
  IFS= read -r line <"$now/listing" || true
  [[ $line =~ \"time\":\"([^\"]+)\" ]] || fail 'restic printed no time of the snapshot'
  made=$(date -d "${BASH_REMATCH[1]}" +%s)
  [ "$made" -ge "$since" ] || fail "the newest snapshot is of $(date -d "@$made"), from before: it does not have the data"
  count=$(grep -c '"struct_type":"node"' -- "$now/listing" || true)
  rm -f -- "$now/listing"
}

# unchanged_since TIME DIRECTORY: sets least to how many entries have not changed since, all of which a backup must have. What is
# removed meanwhile is none of them.
unchanged_since() { least=$({ find "$2" -xdev ! -newerct "@$1" ! -type s -printf x 2>/dev/null || true; } | wc -c); }

# --- the steps

do_backup() {
  local status=0 since count least
  restic_ready
  since=$EPOCHSECONDS
  with_restic backup --quiet --tag "$tag" -- "$source" || status=$?
  [ "$status" -eq 0 ] || restic_failed "$status" 'the backup failed'
  listed "$since" "$source" --tag "$tag" --path "$source"
  unchanged_since "$since" "$source"
  if [ "$count" -eq 0 ] || [ "$count" -lt "$least" ]; then
    fail "the backup has $count entries of $source, and there are $least that have not changed since it was begun: not all is in it"
  fi
  say "  $count entries are in the repository, under the tag $tag"
}

do_stop() { quiet; }

do_snapshot() {
  local name=$from@$snapshot-$number guid
  if there "$name"; then
    marked "$name" || fail "$name is there, and is not of this migration"
  else
    zfs snapshot -o "stateward:migration=$id" -- "$name" || fail "$name could not be taken"
  fi
  guid=$(property guid "$name")
  keep snapshot "$guid $name"
}

# op NAME COMMAND...: what is there is not made again.
op() {
  local name=$1
  shift
  if [ "$2" = create ] && [[ $present == *$'\n'"$name"$'\n'* ]]; then
    return
  fi
  "$@" || fail "$name could not be made as it is declared"
}

do_create() {
  local used need present lowest free
  survey
  if [[ $present == *$'\n'"$dataset"$'\n'* ]]; then
    if [ -z "$guid" ]; then
      marked "$dataset" || fail "$dataset is there already: let 'stateward capture zfs' look at it, and plan again with --observed"
    else
      [ "$(property guid)" = "$guid" ] || fail "$dataset has not the guid $guid: plan again"
      if ! marked "$dataset"; then
        [ "$(property mounted)" = no ] || fail "$dataset is mounted: unmount it, and look whether what it holds is needed"
      fi
    fi
  elif [ -n "$guid" ]; then
    fail "$dataset is not there any more: plan again"
  fi
  if [ ! -e "$journal/seen-empty" ]; then
    used=$(du -sx --block-size=1 -- "$source") || fail "$source could not be measured"
    used=${used%%$'\t'*}
    [ -n "$free" ] || fail "pool ${dataset%%/*} is not imported"
    need=$((used + used / 20))
    [ "$free" -ge "$need" ] || fail "the copy needs $need bytes, and $lowest has $free: make room; nothing has been copied"
  fi
  create_ops
  if [ -n "$guid" ]; then
    zfs set -u canmount=noauto "stateward:migration=$id" "$dataset" || fail "$dataset could not be marked"
  fi
  ours
  if [ ! -e "$journal/guid" ]; then
    printf '%s\n' "$REPLY" >"$journal/guid.new"
    mv -f -- "$journal/guid.new" "$journal/guid"
  fi
}

do_stage() {
  staged
  [ -e "$journal/seen-empty" ] && return
  empty "$staging" || fail "$dataset holds data: this migration did not put it there, and does not touch it"
  : >"$journal/seen-empty"
  sync -f -- "$journal"
}

# unchanged: fails where something changed in the source since the copy was begun.
unchanged() {
  local found
  kept stamp || fail 'it is not written down when the copy was begun'
  found=$(find "$source" -xdev -newerct "@$REPLY" -print -quit) || fail "$source could not be looked into"
  if [ -n "$found" ]; then
    rm -f -- "$now/done-copy" "$now/done-verify" "$now/done-own"
    fail "${found@Q} has changed since the copy was begun: find out who writes there; the next run copies again what differs"
  fi
}

do_copy() {
  local status=0 options=(-aHAXSx --numeric-ids --delete)
  staged
  quiet
  rescue
  [ ! -e "$now/mismatch" ] || options+=(--checksum)
  keep stamp "$EPOCHREALTIME"
  sleep 0.1 # the clock of ctime may lag behind by a tick
  rsync "${options[@]}" -- "$source/" "$staging/" || status=$?
  if [ "$status" -ne 0 ]; then
    say "  rsync ended with status $status. Where it could not keep an ACL, the dataset needs acltype=posix; extended attributes need xattr=sa or on" >&2
    fail "the copy is not whole, and $source is as it was"
  fi
  sync -f -- "$staging"
  unchanged
}

# manifest DIRECTORY FILE: writes down all that must be equal: names, types, owners, modes, sizes, times, link targets, device numbers,
# contents, which names are one file, extended attributes with ACLs.
manifest() (
  cd -- "$1" || exit 1
  declare -A first
  {
    find . -xdev \( -type d -printf '%p\t%y %m %U %G %T@\0' \) -o -printf '%p\t%y %m %U %G %s %T@ %l\0' | sort -z || exit 1
    find . -xdev \( -type b -o -type c \) -exec stat --printf '%n %t:%T\0' -- {} + | sort -z || exit 1
    find . -xdev -type f -exec sha256sum -bz -- {} + | sort -z -k 1.67 || exit 1 # by the name, which follows the 64 digits
    while IFS= read -r -d '' entry; do
      inode=${entry##*/} name=${entry%/*}
      : "${first[$inode]=$name}"
      printf '%s is %s\0' "$name" "${first[$inode]}"
    done < <(find . -xdev ! -type d -links +1 -printf '%p/%i\0' | sort -z)
    find . -xdev -print0 | sort -z | xargs -0 -r getfattr -h -d -m '^(user|trusted|security|system\.posix_acl)' -e hex -- | tr '\n' '\0' || exit 1
  } >"$2"
)

do_verify() {
  local a b allocated size name differ=0
  staged
  sync -f -- "$staging"
  manifest "$source" "$journal/source.manifest" || fail "$source could not be read"
  manifest "$staging" "$journal/copy.manifest" || fail "$staging could not be read"
  unchanged
  if ! cmp -s -- "$journal/source.manifest" "$journal/copy.manifest"; then
    while IFS= read -r -u 4 -d '' a; do
      IFS= read -r -u 5 -d '' b || b=''
      [ "$a" = "$b" ] && continue
      printf '  source: %q\n  copy:   %q\n' "$a" "$b" >&2
      break
    done 4<"$journal/source.manifest" 5<"$journal/copy.manifest"
    : >"$now/mismatch"
    rm -f -- "$now/done-copy"
    fail "the copy differs from $source, which is as it was; the next run compares checksums while it copies"
  fi
  # A file with holes has holes. On ZFS a compressed one looks the same.
  mount_over_source
  if [ "$mount_type" != zfs ] || [ "$(property compression)" != off ]; then
    while IFS=' ' read -r -d '' size allocated name; do
      [ $((size - allocated * 512)) -ge 1048576 ] || continue
      b=$(stat -c %b -- "$staging/$name")
      if [ $((b * 512)) -ge "$size" ]; then
        printf '  %q had holes, and has none\n' "$name" >&2
        differ=1
      fi
    done < <(find "$source" -xdev -type f -size +1023k -printf '%s %b %P\0')
  fi
  [ "$differ" -eq 0 ] || fail 'files with holes would take more room than they did'
  outside
  allocated=$(find "$source" -xdev -printf x)
  say "  ${#allocated} entries are equal"
}

# outside: says where one file has a name in the data and another outside of it, which a copy ends.
outside() {
  local inode n name
  declare -A names links
  while IFS=' ' read -r -d '' inode n name; do
    names[$inode]=$((${names[$inode]-0} + 1))
    links[$inode]=$n$'\t'$name
  done < <(find "$source" -xdev ! -type d -links +1 -printf '%i %n %P\0')
  for inode in "${!names[@]}"; do
    n=${links[$inode]%%$'\t'*}
    [ "$n" -eq "${names[$inode]}" ] || printf '  to know: %q is a hard link that leads out of %q: the copy is a file of its own\n' "${links[$inode]#*$'\t'}" "$source"
  done
}

# mount_over_source: sets mount_source and the others to what the source lies on.
mount_over_source() {
  local at=$source
  while ! mount_at "$at"; do
    at=${at%/*}
    at=${at:-/}
  done
}

do_own() {
  staged
  (
    cd -P -- "$staging" || exit 1
    [ . -ef "$staging" ] || exit 1
    [ -z "$owner" ] || chown -h -- "$owner" . || exit 1
    [ -z "$mode" ] || chmod -- "0$mode" .
  ) || fail "owner and mode of $staging could not be set"
}

# renamed: whether the source is where the old data is to be.
renamed() {
  [ -e "$old" ] || return 1
  kept old || fail "$old is there, and is not of this migration"
  [ "$REPLY" = "$(stat -c %d:%i -- "$old")" ] || fail "$old is there, and is not what was written down before it was renamed"
}

do_swap() {
  ours
  quiet
  if mounted "$path"; then
    zfs unmount -- "$dataset" || fail "$dataset is mounted at $path, and could not be unmounted"
  fi
  unstage
  if ! renamed; then
    directory "$source" || fail "$source is no directory, or a link leads there"
    unchanged
    [ -e "$now/live" ] || keep live "$EPOCHSECONDS" # from here on a reboot puts the dataset to use
    zfs set -u "canmount=$canmount" "$dataset" || fail "canmount of $dataset could not be set"
    if [ -n "$bound" ] && mount_at "$path"; then
      umount -- "$path" || fail "$path could not be unmounted"
    fi
    keep old "$(stat -c %d:%i -- "$source")"
    mv -nT -- "$source" "$old" || fail "$source could not be renamed to $old"
    renamed || fail "$source could not be renamed to $old"
    sync -f -- "$old"
  else
    zfs set -u "canmount=$canmount" "$dataset" || fail "canmount of $dataset could not be set"
  fi
  ! mount_at "$path" || fail "$mount_source is mounted at $path"
  if [ ! -e "$path" ] && [ ! -L "$path" ]; then
    mkdir -m 0000 -- "$path" || fail "$path could not be made"
  fi
  directory "$path" || fail "$path is no directory, or a link leads there"
  empty "$path" || fail "$path holds files that somebody put there meanwhile: look what they are, and move them away"
  zfs mount -- "$dataset" || fail "$dataset could not be mounted"
  mounted "$path" || fail "$dataset is not what is mounted at $path"
}

do_start() {
  mounted "$path" || zfs mount -- "$dataset" || fail "$dataset is not mounted at $path"
  mounted "$path" || fail "$dataset is not what is mounted at $path"
  keep started "$EPOCHSECONDS"
  wake
}

do_health() {
  local ran states running restarts i n
  ran unit
  if [ ${#ran[@]} -gt 0 ]; then
    restarts=$(systemctl show -P NRestarts -- "${ran[@]}")
    for ((n = 0; n < settle; n++)); do
      healthy
      sleep 1
    done
    healthy
    works
    [ "$restarts" = "$(systemctl show -P NRestarts -- "${ran[@]}")" ] || fail "one of ${ran[*]} was started again while it was watched: systemctl status ${ran[*]}"
  else
    say "  to know: none of ${units[*]-the units} ran before, so none was started, and nothing was seen of how they are on $dataset"
  fi
  mounted "$path" || fail "$dataset is not what is mounted at $path"
}
healthy() {
  states "${ran[@]}"
  for ((i = 0; i < ${#ran[@]}; i++)); do
    case ${states[i]} in
      active | reloading | refreshing) continue ;;
      inactive) # a oneshot that ran when it was stopped, and has ended
        if [ "$(systemctl show -P Type -- "${ran[i]}")" = oneshot ] && [ "$(systemctl show -P Result -- "${ran[i]}")" = success ]; then
          continue
        fi
        ;;
    esac
    fail "${ran[i]} is ${states[i]}, and ran before: systemctl status ${ran[i]}"
  done
}

# works: the service's own health check. What it prints may hold secrets, and is for nobody.
works() {
  local failed=0 status until=$((EPOCHSECONDS + health_start)) pause
  while [ -n "$health" ]; do
    status=0
    timeout -k 5 "$health_timeout" bash -c "$health" </dev/null >/dev/null 2>&1 || status=$?
    healthy
    [ "$status" -ne 0 ] || return 0
    pause=$health_interval
    if [ "$EPOCHSECONDS" -lt "$until" ]; then
      pause=$((pause < 5 ? pause : 5))
    else
      failed=$((failed + 1))
      [ "$failed" -lt "$health_retries" ] || fail "the health check of $service failed $failed times in a row, the last time with status $status: run it by hand, and look at what ${ran[*]} say"
    fi
    sleep "$pause"
  done
}

do_proof() {
  local since status=0 count least line
  restic_ready
  since=$EPOCHSECONDS
  if [ -n "$job_unit" ]; then
    systemctl start -- "$job_unit" || status=$?
    [ "$status" -ne 0 ] || status=$(systemctl show -P ExecMainStatus -- "$job_unit")
    # Each of its commands counts, and SuccessExitStatus= does not: 3 is a backup without some of the files.
    while IFS= read -r line; do
      if [ "$status" -eq 0 ] && [[ $line =~ \;\ status=([0-9]+)(/[A-Z0-9+-]+)?\ \}$ ]]; then status=${BASH_REMATCH[1]}; fi
    done < <(systemctl show -P ExecStart -- "$job_unit")
    [ "$status" -eq 0 ] || fail "$job_unit ended with status $status: journalctl -u ${job_unit@Q}"
  else
    with_restic backup --quiet -- "$path" || status=$?
    [ "$status" -eq 0 ] || restic_failed "$status" 'the backup failed'
  fi
  listed "$since" "$recorded" ${selects:+--path "$selects"}
  [ "$count" -gt 1 ] || empty "$path" || fail "the newest snapshot holds nothing of $recorded: the job does not read the dataset"
  kept started
  unchanged_since "$REPLY" "$path"
  if [ -n "$whole" ]; then
    [ "$count" -ge "$least" ] || fail "the newest snapshot has $count entries of $recorded, and there are $least that have not changed since: not all is in it"
  fi
  say "  $count entries are in the newest snapshot; $least of $path have not changed since it was started"
  if [ -z "$whole" ] && [ "$count" -lt "$least" ]; then
    say "  to know: the job excludes some, so it is not known whether the $((least - count)) others are among them: look at what restic ls latest ${recorded@Q} lists"
  fi
}

# --- what can be asked for

# fits: fails where the machine is not as the plan takes it to be.
fits() {
  local text known
  if mounted "$path" && [ ! -e "$now/live" ] && ! is_done swap; then
    fail "$dataset is mounted at $path already, and this migration did not mount it there: is the service migrated? Nothing is touched"
  fi
  if [ ${#units[@]} -gt 0 ]; then
    text=$(systemctl show -P LoadState -- "${units[@]}")
    words "${text//$'\n'/ }"
    known=("${words[@]//not-found/}")
    [[ ${known[*]} == *[a-z]* ]] || fail "this machine, $(uname -n), has none of ${units[*]}: is it not $host, or is that configuration not switched to yet? What uses the data could not be stopped"
  fi
  if [ ! -e "$now/old" ]; then
    directory "$source" || fail "$source is no directory, or a link leads there"
    ! below "$source" || fail "$REPLY is mounted below $source: unmount it, and see to it that nothing mounts it again"
  fi
  if is_done swap || mounted "$path"; then
    return
  fi
  if [ -n "$bound" ]; then
    if mount_at "$path"; then
      [ "$path" -ef "$source" ] || fail "$source is not what is mounted at $path: let 'stateward capture zfs' look at it, and plan again with --observed"
    fi
  elif mount_at "$path"; then
    fail "$mount_source is mounted at $path: let 'stateward capture zfs' look at it, and plan again with --observed"
  fi
  if [ -n "$from" ] && [ ! -e "$now/old" ]; then
    mount_over_source
    [ "$mount_source" = "$from" ] || fail "$source lies on $mount_source and not on $from: let 'stateward capture zfs' look at it, and plan again with --observed"
  fi
}

# ended: says what to do where a run has failed.
ended() {
  local status=$? ran
  [ "$status" -ne 0 ] || return 0
  if [ -n "$down" ]; then
    ran unit
    [ ${#ran[@]} -eq 0 ] || say "  stopped, and not started again: ${ran[*]}" >&2
  fi
  say "mend that and run this again, and it goes on where it is; $self back takes back what is done" >&2
}

main_run() {
  local step i=0
  own_journal
  if [ -e "$journal/going-back" ]; then fail "this is on its way back: finish that with $self back"; fi
  if [ -e "$journal/finished" ]; then
    say "$service is migrated: $dataset is at $path, and the old data is kept at $old"
    mounted "$path" || fail "$dataset is not mounted at $path, and was: zfs mount -- ${dataset@Q}"
    return
  fi
  trap ended EXIT
  fits
  [ -d "$now" ] || mkdir -- "$now"
  if is_done stop && ! is_done swap; then quiet; fi
  for step in "${steps[@]}"; do
    i=$((i + 1))
    ! is_done "$step" || continue
    say "$i/${#steps[@]} $step"
    "do_$step"
    tick "$step"
  done
  rm -f -- "$journal/source.manifest" "$journal/copy.manifest"
  : >"$journal/finished"
  sync -f -- "$journal"
  say "$service is migrated: $dataset is at $path"
  say "the old data is kept at $old until you say $self release"
}

# found_old: fails where the old data is in neither of its places. A dataset that is mounted over it hides it.
found_old() {
  if [ -e "$now/old" ] && [ ! -e "$old" ] && { [ ! -d "$source" ] || [ "$(stat -c %d:%i -- "$source")" != "$(<"$now/old")" ]; }; then
    fail "the old data is neither at $old nor at $source"
  fi
}

main_back() {
  own_journal
  if [ ! -d "$now" ] && [ ! -e "$journal/going-back" ]; then
    say 'nothing is done that could be taken back'
    return
  fi
  if [ -e "$now/released" ]; then fail "$old is released: there is nothing to go back to but the backup"; fi
  mounted "$path" || found_old
  if mounted "$path" && [ ! -e "$now/live" ] && ! is_done swap; then
    fail "$dataset is mounted at $path, and this migration did not mount it there: nothing is touched"
  fi
  [ -d "$now" ] || mkdir -- "$now"
  : >"$journal/going-back"
  rm -f -- "$journal/finished"
  sync -f -- "$journal"
  if kept active; then quiet; fi
  if [ -e "$journal/guid" ] && there "$dataset" && marked "$dataset"; then
    if kept live; then
      say "  what $service wrote since $(date -d "@$REPLY") stays in $dataset, and is not in the old data"
    fi
    if mounted "$path"; then
      zfs unmount -- "$dataset" || fail "$dataset could not be unmounted: something uses it"
    fi
    unstage
  fi
  found_old
  if [ -e "$now/old" ] && renamed; then
    if [ -z "$bound" ]; then
      ! mount_at "$path" || fail "$mount_source is mounted at $path"
      [ ! -d "$path" ] || rmdir -- "$path" || fail "$path holds files that somebody put there meanwhile: look what they are, and move them away"
    fi
    if [ -e "$source" ] || [ -L "$source" ]; then fail "$source is there, and in the way of the old data"; fi
    mv -nT -- "$old" "$source"
    if renamed 2>/dev/null; then fail "$old could not be renamed to $source"; fi
    sync -f -- "$source"
  fi
  if [ -n "$bound" ] && mount_at "$path"; then
    [ "$path" -ef "$source" ] || fail "$mount_source is mounted at $path"
  elif [ -n "$bound" ]; then
    mount --bind -- "$source" "$path" || fail "$source could not be mounted at $path"
  fi
  # Not before: a machine that comes up in the midst of this mounts the one or the other.
  if [ -e "$journal/guid" ] && there "$dataset" && marked "$dataset"; then
    zfs set -u canmount=noauto "$dataset" || fail "canmount of $dataset could not be set"
  fi
  wake
  : >"$now/taken-back"
  rm -f -- "$journal/going-back" "$journal/source.manifest" "$journal/copy.manifest"
  sync -f -- "$journal"
  say "$service is where it was: $source"
  if [ -e "$now/live" ]; then
    say "$dataset stays, unmounted, with all that was written to it. The next run keeps that in a snapshot, and copies again"
  elif there "$dataset"; then
    say "$dataset stays, unmounted; it holds nothing but a copy. The next run takes it up again"
  fi
}

main_status() {
  local step mark at
  attempt
  if [ ! -d "$now" ]; then
    say 'not begun'
    return
  fi
  say "attempt $number"
  for step in "${steps[@]}"; do
    mark=' ' at=''
    if is_done "$step"; then
      mark=x
      kept "done-$step"
      [ -z "$REPLY" ] || printf -v at ' %(%F %T)T' "$REPLY" # it may be empty after a power cut
    fi
    say "  [$mark] $step$at"
  done
  [ ! -e "$journal/going-back" ] || say "on its way back"
  [ ! -e "$old" ] || say "the old data is at $old"
  [ ! -e "$journal/finished" ] || say 'finished'
}

# victims: prints what is kept.
victims() {
  local file
  set +o noglob
  [ ! -d "$old" ] || printf 'directory\t%s\t\n' "$old"
  for file in "$journal"/*/snapshot "$journal"/written-*; do
    if [ -e "$file" ] && [[ $file != *.new ]] && there "$(cut -d ' ' -f 2- -- "$file")"; then
      printf 'snapshot\t%s\t%s\n' "$(cut -d ' ' -f 2- -- "$file")" "$(cut -d ' ' -f 1 -- "$file")"
    fi
  done
  set -o noglob
}

main_release() {
  local kind name guid want found list
  own_journal
  [ -e "$journal/finished" ] || fail 'the migration is not finished: nothing is released'
  ours
  mounted "$path" || fail "$dataset is not what is mounted at $path: nothing is released"
  list=$(victims)
  if [ $# -eq 0 ]; then
    say 'nothing is removed unless it is named:'
    while IFS=$'\t' read -r kind name guid; do
      [ -z "$kind" ] || say "  $self release ${name@Q}   # $kind${guid:+, guid $guid}"
    done <<<"$list"
    return
  fi
  for want in "$@"; do
    found=''
    while IFS=$'\t' read -r kind name guid; do
      [ "$name" != "$want" ] || found=$kind$'\t'$guid
    done <<<"$list"
    case $found in
      directory*)
        renamed || fail "$old is not there"
        ! mount_at "$old" || fail "$mount_source is mounted at $old"
        ! below "$old" || fail "$REPLY is mounted below $old"
        : >"$now/released"
        sync -f -- "$now"
        say "remove $old"
        rm -r --one-file-system -- "$old"
        ;;
      snapshot*)
        guid=${found#*$'\t'}
        [ "$(property guid "$want")" = "$guid" ] || fail "$want has not the guid $guid, which was written down when it was taken"
        marked "$want" || fail "$want does not carry the mark of this migration"
        say "destroy $want (guid $guid)"
        zfs destroy -- "$want" || fail "$want could not be destroyed"
        ;;
      *) fail "${want@Q} is nothing that this migration keeps" ;;
    esac
  done
}

usage() {
  printf 'usage: %s run|status|back|release [NAME]...\n' "$0" >&2
  exit 2
}
[ $# -gt 0 ] || usage
command=$1
shift
case $command in
  run | back | status) [ $# -eq 0 ] || usage ;;
  release) ;;
  *) usage ;;
esac
[ "$EUID" -eq 0 ] || fail "run this as root: sudo $self $command"
for tool in zfs rsync getfattr find sort xargs sha256sum cmp stat du mv mkdir rmdir sync flock mount umount systemctl systemd-run; do
  type -P "$tool" >/dev/null || fail "there is no $tool in PATH: install it (getfattr is of attr, cmp of diffutils), or run this in a nix shell that has it"
done
"main_$command" "$@"
exit
