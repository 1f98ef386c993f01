# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail -o noglob
shopt -u nocasematch
export LC_ALL=C
umask 022
cd /
exec </dev/null

say() { printf '%s\n' "$*"; }
fail() {
  printf 'stateward: %s\n' "$*" >&2
  exit 1
}

# problem NAME TEXT: what keeps a dataset from being as it is declared. The rest is done all the same, and the script fails at its end.
problems=()
declare -A faulty
problem() {
  local text
  printf -v text '%s: %s' "$1" "$2"
  problems+=("$text")
  faulty[$1]=1
  printf 'stateward: %s\n' "$text" >&2
}

# lines TEXT: sets lines to those that are not empty; words TEXT to what lies between blanks. There may be no /dev/fd and no /tmp yet.
lines() {
  local IFS=$'\n'
  # shellcheck disable=SC2206
  lines=($1)
}
words() {
  local IFS=' '
  # shellcheck disable=SC2206
  words=($1)
}

# Declarations: dataset KIND NAME [OWNER [GROUP [MODE]]], and of the dataset before them property NAME TEXT [VALUE], where TEXT is
# what zfs takes and VALUE what `zfs get -Hp` prints of it, and inherits NAME.
# KIND is own; volume; container, which is only made; or foreign, which is another's to make and never touched.
names=() kind=() owner=() group=() mode=() start=() path=()
property=() text=() value=() created_only=()
declare -A asked=([type]=1 [mountpoint]=1 [canmount]=1 [zoned]=1)
dataset() {
  [ "$1" != volume ] || asked[volsize]=1 asked[volblocksize]=1
  kind+=("$1") names+=("$2") owner+=("${3-}") group+=("${4-}") mode+=("${5-}") start+=("${#property[@]}") path+=('')
}
property() { setting "$1" "$2" "${3-$2}" ''; }
at_creation() { setting "$1" "$2" "${3-$2}" only; }
inherits() { setting "$1" '' '' inherit; }
setting() {
  asked["$1"]=1
  property+=("$1") text+=("$2") value+=("$3") created_only+=("$4")
}

# usable: takes out the pools that nothing is done in: one that does not answer makes every call wait, and one that is imported below
# another root, as an installer does, holds the mountpoints of another system. Of those not imported zpool complains; zfs list does too.
declare -A unusable
usable() {
  local said lines line words left=() pool
  said=$(zpool list -H -o name,health,altroot -- "${pools[@]}" 2>/dev/null) || :
  lines "$said"
  for line in ${lines[@]+"${lines[@]}"}; do
    words "${line//$'\t'/ }"
    case ${words[1]} in
      ONLINE | DEGRADED) [ "${words[2]}" = - ] || unusable["${words[0]}"]="is imported below ${line##*$'\t'}" ;;
      *) unusable["${words[0]}"]="is ${words[1]}" ;;
    esac
  done
  for pool in "${pools[@]}"; do
    [ -n "${unusable["$pool"]+x}" ] || left+=("$pool")
  done
  pools=(${left[@]+"${left[@]}"})
}

# claim PATH TEXT: what is no dataset of ours and belongs there. covers: what belongs at a place, a line each, with "on" before it, or
# "noauto" where it counts for what lies in it only.
declare -A covers
claim() { covers["$1"]+="on $2"$'\n'; }

# observe: reads which datasets are there, and where those that are not declared would be mounted. All that can be asked at once is.
declare -A there have source claimed aim
observe() {
  local listed line lines name rest pool unread='' i
  local -A planned
  usable
  [ ${#pools[@]} -gt 0 ] || return 0
  for ((i = 0; i < ${#names[@]}; i++)); do
    [ "${kind[i]}" = container ] || planned["${names[i]}"]=1
  done
  listed=$(zfs list -H -o name,canmount,mountpoint -t filesystem,volume -r -- "${pools[@]}") || unread=1
  lines "$listed"
  for line in ${lines[@]+"${lines[@]}"}; do
    name=${line%%$'\t'*} rest=${line#*$'\t'}
    there["$name"]=1 aim["$name"]=${rest#*$'\t'}
    if [[ $rest == on$'\t'/* ]]; then
      claimed["${rest#*$'\t'}"]+=$name$'\n'
    fi
    # Of what is declared, places knows where it will belong.
    if [[ $rest == on$'\t'/* || $rest == noauto$'\t'/* ]] && [ -z "${planned["$name"]+x}" ]; then
      covers["${rest#*$'\t'}"]+="${rest%%$'\t'*} $name"$'\n'
    fi
  done
  [ -n "$unread" ] || return 0
  for pool in "${pools[@]}"; do
    [ -z "${there["$pool"]+x}" ] || continue
    unread=0
  done
  [ "$unread" = 0 ] || fail 'the datasets of the pools could not be listed'
}

# look: reads the properties of all declared datasets that are there, and where they are from.
look() {
  local name line lines rest key='' out columns='' known=()
  for name in "${!asked[@]}"; do
    columns+=${columns:+,}$name
  done
  for name in "${names[@]}"; do
    [ -z "${there["$name"]+x}" ] || known+=("$name")
  done
  have=() source=()
  [ ${#known[@]} -gt 0 ] || return 0
  out=$(zfs get -Hp -o name,property,value,source -- "$columns" "${known[@]}") || fail 'the properties of the datasets could not be read'
  lines "$out"
  for line in "${lines[@]}"; do
    name=${line%%$'\t'*} rest=${line#*$'\t'}
    # What breaks over lines is a value that another wrote, and no value of ours.
    if [ -z "${there["$name"]+x}" ] || [ -z "${asked["${rest%%$'\t'*}"]+x}" ]; then
      [ -z "$key" ] || have["$key"]+=$'\n'
      continue
    fi
    key=$name$'\t'${rest%%$'\t'*} rest=${rest#*$'\t'}
    [ -z "${have["$key"]+x}" ] || fail "property ${key#*$'\t'} of $name was printed twice"
    have["$key"]=${rest%$'\t'*} source["$key"]=${rest##*$'\t'}
    case ${source["$key"]} in
      local | default | received | temporary | - | inherited*) ;;
      *) have["$key"]=$rest$'\n' source["$key"]=local ;;
    esac
  done
}

# unset_here NAME PROPERTY: whether it is a user property that is not set, of which zfs prints "-", which is a value too.
unset_here() { [[ $2 == *:* && ${source["$1"$'\t'"$2"]} == - ]]; }

# inherited NAME PROPERTY NOW: sets REPLY to what the dataset has of it once what was set above is, which is NOW where nothing was.
declare -A given
inherited() {
  local name=$1 from=${source["$1"$'\t'"$2"]} above=$1
  REPLY=$3
  case " $not_inherited " in *" $2 "*) return 0 ;; esac
  [[ $2 != *@* ]] || return 0
  case $from in inherited* | default) ;; *) return 0 ;; esac
  while [[ $above == */* ]] && [ "inherited from $above" != "$from" ]; do
    above=${above%/*}
    [ -n "${given["$above"$'\t'"$2"]+x}" ] || continue
    REPLY=${given["$above"$'\t'"$2"]}
    [[ $2 != mountpoint || $REPLY != /* ]] || REPLY=${REPLY%/}/${name#"$above"/}
    return 0
  done
}

# get NAME PROPERTY: sets REPLY to what the dataset has; fails where zfs did not say.
get() {
  local key=$1$'\t'$2
  [ -n "${have["$key"]+x}" ] || fail "property $2 of $1 was not printed"
  REPLY=${have["$key"]}
}

# before MAJOR MINOR: whether zfs is older than that. Sets REPLY to its version.
before() {
  local major minor
  [ -n "${zfs_version-}" ] || zfs_version=$(zfs version) || zfs_version=unknown
  REPLY=${zfs_version%%$'\n'*}
  REPLY=${REPLY#zfs-}
  major=${REPLY%%.*} minor=${REPLY#*.}
  minor=${minor%%[!0-9]*}
  case $major$minor in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -lt "$1" ] || { [ "$major" -eq "$1" ] && [ "$minor" -lt "$2" ]; }
}

# wanted NAME J NOW: sets REPLY to what zfs prints once property J is as declared. A volume has whole blocks, and a reservation of auto is
# what zfs reckons that it may take.
wanted() {
  local size=${value[$2]}
  case ${property[$2]} in
    volsize)
      get "$1" volblocksize
      REPLY=$(((size + REPLY - 1) / REPLY * REPLY))
      return
      ;;
    refreservation)
      if [ "$size" = auto ]; then
        get "$1" volsize
        [ "$3" -lt "$REPLY" ] || size=$3
      fi
      ;;
    xattr)
      # Before 2.3 zfs prints sa as it is, and "on" is dir.
      if [ "${text[$2]}" = sa ] && { [ "$3" = sa ] || { [ "$3" = on ] && before 2 3; }; }; then
        size=sa
      fi
      ;;
  esac
  REPLY=$size
}

# mounts: reads what is mounted where. Of those at one place the last counts.
declare -A mounted_at mounted_device mounted_on mounted_zfs
mounts() {
  local lines line words at device from fields
  mounted_at=() mounted_device=() mounted_on=() mounted_zfs=()
  mapfile -t lines <"${STATEWARD_MOUNTINFO:-/proc/self/mountinfo}"
  for line in "${lines[@]}"; do
    words "${line%% - *}"
    fields=("${words[@]}")
    words "${line#* - }"
    # A blank is \040 there.
    printf -v at %b "${fields[4]//\\/\\0}"
    printf -v from %b "${words[1]//\\/\\0}"
    device=${fields[2]}
    mounted_device["$at"]=$(((${device%:*} & 0xfff) << 8 | (${device#*:} & 0xff) | (${device#*:} & ~0xff) << 12))
    mounted_on["$at"]=$from mounted_zfs["$at"]=''
    if [ "${words[0]}" = zfs ] && [ "${fields[3]}" = / ]; then
      mounted_zfs["$at"]=$from
      [ -n "${mounted_at["$from"]+x}" ] || mounted_at["$from"]=$at
    fi
  done
}

# is_mounted NAME PATH: whether the dataset is what is mounted there.
is_mounted() { [ "${mounted_zfs["$2"]-}" = "$1" ]; }

# create I: makes a dataset with all its properties at once, and does not mount it.
create() {
  local i=$1 j name=${names[$1]} options=() how=(-u)
  local above=${name%/*}
  if [ -z "${there["${name%%/*}"]+x}" ]; then
    problem "$name" "pool ${name%%/*} ${unusable["${name%%/*}"]-is not imported}"
    return 1
  elif [ -z "${there["$above"]+x}" ]; then
    problem "$name" "lies in $above, which is not there"
    return 1
  fi
  [ "${kind[i]}" != volume ] || how=()
  for ((j = start[i]; j < start[i + 1]; j++)); do
    case ${kind[i]}:${property[j]}:${text[j]} in
      volume:volsize:*) how+=(-V "${text[j]}") ;;
      volume:refreservation:none) how+=(-s) ;;
      volume:refreservation:auto) ;;
      *) [ "${created_only[j]}" = inherit ] || options+=(-o "${property[j]}=${text[j]}") ;;
    esac
  done
  say "create $name"
  if ! zfs create "${how[@]}" ${options[@]+"${options[@]}"} -- "$name"; then
    problem "$name" 'could not be created'
    return 1
  fi
  there["$name"]=1 changed=1
}

# make I: creates a dataset, and those above it that are declared, unless it could not be mounted where it belongs: the next boot
# mounts every dataset, over whatever lies there.
make() {
  local i=$1 j name=${names[$1]}
  [ -z "${there["$name"]+x}" ] || return 0
  [ -z "${faulty["$name"]+x}" ] || return 1
  for ((j = 0; j < i; j++)); do
    [[ $name != "${names[j]}"/* ]] || [ "${kind[j]}" = foreign ] || [ -n "${there["${names[j]}"]+x}" ] || make "$j" || break
  done
  [ -z "${path[i]}" ] || fits "$name" "${path[i]}" || return 1
  create "$i"
}

# busy NAME: whether another mountpoint would pull a directory from under what uses it: the dataset's own, or that of one that
# inherits from it. Sets REPLY to which.
busy() {
  local name above
  REPLY=${mounted_at["$1"]-}
  [ -z "$REPLY" ] || return 0
  get "$1" mountpoint
  above=$REPLY
  for name in "${!mounted_at[@]}"; do
    REPLY=${mounted_at["$name"]}
    [[ $name != "$1"/* || $REPLY != "${above%/}/${name#"$1"/}" ]] || return 0
  done
  return 1
}

# change I: sets what differs, in one go. What moves a mount is left to move.
declare -A moving stuck
change() {
  local i=$1 j name=${names[$1]} now key from want differ=() shares=() options=() type=filesystem
  [ "${kind[i]}" != volume ] || type=volume
  get "$name" type
  if [ "$REPLY" != "$type" ]; then
    problem "$name" "is a $REPLY, and a ${type/filesystem/file system} is wanted"
    return
  fi
  [ "${kind[i]}" != container ] || return 0
  for ((j = start[i]; j < start[i + 1]; j++)); do
    key=${property[j]}
    get "$name" "$key"
    now=$REPLY from=${source["$name"$'\t'"$key"]}
    if [ "${created_only[j]}" = inherit ]; then
      [ "$from" = local ] || [ "$from" = received ] || continue
      case " $mount_properties " in *" $key "*)
        problem "$name" "has a $key of its own, and zfs would mount or share at once what inherits it: set it"
        stuck["$name"]=1
        continue
        ;;
      esac
      say "inherit $key $name"
      zfs inherit -- "$key" "$name" || problem "$name" "could not inherit $key"
      changed=1 given["$name"$'\t'"$key"]=$'\n'
      continue
    fi
    inherited "$name" "$key" "$now"
    now=$REPLY
    wanted "$name" "$j" "$now"
    want=$REPLY
    [ "$now" != "$want" ] || unset_here "$name" "$key" || continue
    printf -v now %q "$now"
    if [ "${created_only[j]}" = only ]; then
      problem "$name" "$key is $now and cannot become ${text[j]}: only a new dataset can have it"
    elif [ "$key" = volsize ] && [ "$now" -gt "$want" ]; then
      problem "$name" "is a volume of $now bytes and is to have $want: what lies beyond would be lost"
    elif [ "$from" = temporary ]; then
      problem "$name" "$key is $now by a mount option, and what it is set to does not show"
    elif [ "$key" = mountpoint ] && busy "$name"; then
      problem "$name" "is mounted at $REPLY, and its mountpoint cannot change beneath what uses it"
      stuck["$name"]=1
    elif [ "$key" = canmount ] && [ "${text[j]}" = off ] && [ -n "${mounted_at["$name"]-}" ]; then
      problem "$name" "is mounted at ${mounted_at["$name"]}, and canmount cannot become off beneath what uses it"
    elif [[ $key =~ ^(mountpoint|canmount|sharenfs|sharesmb|zoned)$ ]] && before 2 2; then
      problem "$name" "$key would mount or move what is there: zfs $REPLY cannot set it without (zfs set -u came with 2.2)"
      [ "$key" != mountpoint ] || stuck["$name"]=1
    elif [ "$key" = mountpoint ] || [ "$key" = canmount ]; then
      moving["$name"$'\t'"$key"]=$j given["$name"$'\t'"$key"]=$want
    else
      given["$name"$'\t'"$key"]=$want
      [ "$key" = volsize ] || want=${text[j]}
      case " $mount_properties " in *" $key "*) options=(-u) ;; esac
      case $key in
        sharenfs | sharesmb) shares+=("$key=$want") ;;
        *) differ+=("$key=$want") ;;
      esac
    fi
  done
  if [ ${#differ[@]} -gt 0 ]; then
    say "set $name ${differ[*]}"
    zfs set ${options[@]+"${options[@]}"} -- "${differ[@]}" "$name" || problem "$name" 'could not be set as declared'
    changed=1
  fi
  for want in ${shares[@]+"${shares[@]}"}; do
    share "$name" "$want"
  done
}

# share NAME SETTING: sets sharenfs or sharesmb. What is mounted is shared anew; what is not is not mounted for it, as zfs would without -u.
share() {
  local name=$1 lines line words ok=1
  say "set $1 $2"
  changed=1
  if [ "${2#*=}" = off ]; then
    zfs set -- "$2" "$name" || problem "$name" 'could not be set as declared'
    return
  fi
  if ! zfs set -u -- "$2" "$name" || ! lines=$(zfs get -Hr -t filesystem -o name,source -- "${2%%=*}" "$name"); then
    problem "$name" 'could not be set as declared'
    return
  fi
  lines "$lines"
  for line in ${lines[@]+"${lines[@]}"}; do
    [ "$line" = "$name"$'\tlocal' ] || [[ $line == *$'\t'"inherited from $name" ]] || continue
    line=${line%%$'\t'*}
    [ -n "${mounted_at["$line"]-}" ] || continue
    zfs unshare -- "$line" 2>/dev/null || true
    zfs share -- "$line" || ok=''
  done
  [ -n "$ok" ] || problem "$name" "${2%%=*} was set, and could not be shared so"
}

# move NAME: gives a dataset the mountpoint and canmount that are declared, which nothing stands against.
move() {
  local name=$1 key j differ=()
  for key in mountpoint canmount; do
    j=${moving["$name"$'\t'"$key"]-}
    [ -n "$j" ] || continue
    moving["$name"$'\t'"$key"]=''
    changed=1
    differ+=("$key=${text[j]}")
  done
  [ ${#differ[@]} -gt 0 ] || return 0
  say "set $name ${differ[*]}"
  zfs set -u -- "${differ[@]}" "$name" || problem "$name" 'could not be set as declared'
}

# verify: whether all has become what is declared, once zfs did not complain.
verify() {
  local i j name now
  look
  for ((i = 0; i < ${#names[@]}; i++)); do
    name=${names[i]}
    if [ "${kind[i]}" = container ] || [ "${kind[i]}" = foreign ] || [ -n "${faulty["$name"]+x}" ]; then
      continue
    fi
    for ((j = start[i]; j < start[i + 1]; j++)); do
      get "$name" "${property[j]}"
      now=$REPLY
      wanted "$name" "$j" "$now"
      if [ "${created_only[j]}" != inherit ] && { [ "$REPLY" != "$now" ] || unset_here "$name" "${property[j]}"; }; then
        problem "$name" "${property[j]} was set to ${text[j]}, and zfs prints ${now@Q}"
      fi
    done
  done
}

# places: finds where each dataset is to be mounted, if it is, once all is as it is declared.
where=()
places() {
  local i j name can zoned at
  for ((i = 0; i < ${#names[@]}; i++)); do
    name=${names[i]} can='' zoned='' at=''
    # What it inherits.
    if [ "$name" != "${name%/*}" ]; then
      at=${aim["${name%/*}"]-}
      case $at in /*) at=${at%/}/${name##*/} ;; esac
    fi
    if [ -n "${there["$name"]+x}" ]; then
      get "$name" type
      [ "$REPLY" = filesystem ] || continue
      get "$name" mountpoint
      case ${source["$name"$'\t'mountpoint]} in inherited*) ;; *) at=$REPLY ;; esac
      get "$name" canmount
      can=$REPLY
      get "$name" zoned
      zoned=$REPLY
    fi
    for ((j = start[i]; j < start[i + 1]; j++)); do
      if [ -n "${there["$name"]+x}" ] && [ "${moving["$name"$'\t'"${property[j]}"]-}" != "$j" ]; then
        continue
      fi
      case ${property[j]} in
      mountpoint) at=${text[j]} ;;
      canmount) can=${text[j]} ;;
      zoned) zoned=${text[j]} ;;
      esac
    done
    # Where one is that cannot move, those that inherit from it are not where they belong either.
    [ -z "${stuck["$name"]+x}" ] || at=''
    aim["$name"]=$at
    if [ "$can" = noauto ] && [ "$zoned" != on ] && [ "${kind[i]}" != container ] && [[ $at == /* ]]; then
      covers["$at"]+="on $name"$'\n'
    fi
    if [ "${kind[i]}" = container ] || [ "${kind[i]}" = volume ] || [ "${can:-on}" != on ] || [ "$zoned" = on ] || [[ $at != /* ]]; then
      # It may be mounted all the same: by fileSystems, or by hand.
      if [ "${kind[i]}" = own ] && [ -n "${owner[i]}${group[i]}${mode[i]}" ] && [ -n "$at" ] && [ -z "${stuck["$name"]+x}" ]; then
        where[i]=${mounted_at["$name"]-}
      fi
      continue
    fi
    if [[ $at == *[[:cntrl:]]* ]]; then
      problem "$name" "is to be mounted at ${at@Q}, which has a control character"
    else
      path[i]=$at
    fi
  done
}

# straight PATH: whether it is a directory that no link leads to.
straight() {
  local real=''
  ! CDPATH='' cd -P -- "$1" 2>/dev/null || real=$PWD
  cd /
  [ "$real" = "$1" ]
}

# fits NAME PATH: whether a dataset can be mounted there: what the mount would hide is refused.
fits() {
  local name=$1 at=$2 above found i lines line
  for ((i = 0; i < ${#names[@]}; i++)); do
    if [ -n "${path[i]}" ] && [[ $at == "${path[i]%/}"/* ]] && ! is_mounted "${names[i]}" "${path[i]}"; then
      problem "$name" "belongs in ${path[i]}, where ${names[i]} is not mounted"
      return 1
    fi
  done
  # What belongs above and is not mounted would hide it as soon as it is.
  above=$at
  while above=${above%/*} && [ -n "$above" ]; do
    [ -z "${mounted_on["$above"]+x}" ] || continue
    lines "${covers["$above"]-}"
    for line in ${lines[@]+"${lines[@]}"}; do
      [[ $line == on\ * || $name == "${line#* }"/* ]] || continue
      problem "$name" "is to be mounted at $at, which lies in $above, where ${line#* } belongs and is not mounted: it would hide it"
      return 1
    done
  done
  if [ -n "${mounted_on["$at"]+x}" ]; then
    problem "$name" "is to be mounted at $at, where ${mounted_on["$at"]} is mounted"
    return 1
  fi
  lines "${claimed["$at"]-}"
  for line in ${lines[@]+"${lines[@]}"}; do
    if [ "$line" != "$name" ]; then
      problem "$name" "is to be mounted at $at, and so is $line"
      return 1
    fi
  done
  above=$at
  while [ ! -e "$above" ] && [ ! -L "$above" ]; do
    above=${above%/*}
    above=${above:-/}
  done
  if ! straight "$above"; then
    problem "$name" "is to be mounted at $at, and $above is no directory, or a link leads there"
    return 1
  fi
  [ "$above" = "$at" ] || return 0
  if ! found=$(find "$at" -mindepth 1 -maxdepth 1 -print -quit); then
    problem "$name" "is to be mounted at $at, which could not be looked into"
    return 1
  elif [ -n "$found" ]; then
    problem "$name" "is to be mounted at $at, which holds files that the mount would hide"
    return 1
  fi
}

# mount_all: makes and mounts what is not mounted, what lies above first. A directory that is not there is made, root's and with mode
# 0000, so that nobody writes beneath the mount.
mount_all() {
  local i name at lines order fresh=()
  order=$(
    for ((i = 0; i < ${#names[@]}; i++)); do
      if [ "${kind[i]}" = own ] && [ -n "${path[i]}" ] && ! is_mounted "${names[i]}" "${path[i]}"; then
        printf '%s\t%s\n' "${path[i]}" "$i"
      fi
    done | sort
  )
  lines "$order"
  for i in ${lines[@]+"${lines[@]}"}; do
    i=${i##*$'\t'}
    name=${names[i]} at=${path[i]}
    if [ -n "${mounted_at["$name"]+x}" ]; then
      problem "$name" "is mounted at ${mounted_at["$name"]}, and belongs at $at"
      continue
    fi
    if [ -n "${there["$name"]+x}" ]; then
      fits "$name" "$at" || continue
      move "$name"
    else
      make "$i" || continue
    fi
    if [ ! -e "$at" ]; then
      order=${at%/*}
      if ! mkdir -p -- "${order:-/}" || ! mkdir -m 0000 -- "$at"; then
        problem "$name" "is to be mounted at $at, which could not be made"
        continue
      fi
    fi
    say "mount $name at $at"
    order=0
    mount_on "$name" "$at" || order=$?
    case $order in
      0)
        mounted_at["$name"]=$at mounted_on["$at"]=$name mounted_zfs["$at"]=$name fresh+=("$name")
        ;;
      3) problem "$name" "could not be mounted: $at was empty, and is so no more, or a link leads there by now" ;;
      4) problem "$name" "was mounted at $at, into which something was written meanwhile: that is hidden now" ;;
      *) problem "$name" 'could not be mounted' ;;
    esac
  done
  mounts
  # `zfs mount` shares nothing.
  if [ ${#fresh[@]} -gt 0 ] && [ -n "${asked[sharenfs]-}${asked[sharesmb]-}" ]; then
    lines=$(zfs get -H -o name,value -- sharenfs,sharesmb "${fresh[@]}") || fail 'what is shared could not be read'
    lines "$lines"
    for name in "${fresh[@]}"; do
      for i in "${lines[@]}"; do
        if [[ $i == "$name"$'\t'* && $i != *$'\t'off ]]; then
          zfs share -- "$name" || problem "$name" 'could not be shared'
          break
        fi
      done
    done
  fi
}

# mount_on NAME PATH: mounts a dataset on an empty directory, which is held meanwhile: what is put into it until the mount is there is found.
mount_on() (
  CDPATH='' cd -P -- "$2" && [ "$PWD" = "$2" ] || exit 3
  found=$(find . -mindepth 1 -maxdepth 1 -print -quit) && [ -z "$found" ] || exit 3
  zfs mount -- "$1" || exit 1
  found=$(find . -mindepth 1 -maxdepth 1 -print -quit) && [ -z "$found" ] || exit 4
)

# settle PATH DEVICE OWNER:GROUP MODE: gives the directory its owner and mode, once it is the dataset and nothing else. What is held
# as the working directory is what is changed, even if the path leads elsewhere by then.
settle() (
  CDPATH='' cd -P -- "$1" && [ "$PWD" = "$1" ] && [ "$(stat -c %d .)" = "$2" ] || exit 1
  # The mode comes first: it is right whoever the owner is. Five digits, since chmod would keep the setuid and setgid bits of a directory.
  [ -z "$4" ] || chmod -- "0$4" . || exit 1
  # A group is right too where the user is unknown.
  case $3 in
    [!:]*:*)
      chown -h -- ":${3#*:}" . || exit 1
      chown -h -- "${3%%:*}" . || exit 1
      ;;
    ?*) chown -h -- "$3" . || exit 1 ;;
  esac
  # chown(2) takes the setuid and setgid bits.
  [ -z "$4" ] || chmod -- "0$4" .
)

# claims NAME PATH: whether the next boot may mount another dataset over this one. Asked for all of them only: what waits for this one
# has it where it belongs.
claims() {
  local lines line
  [ -n "$whole" ] || return 0
  lines "${claimed["$2"]-}"
  for line in ${lines[@]+"${lines[@]}"}; do
    [ "$line" = "$1" ] || problem "$1" "is mounted at $2, and $line has the same mountpoint: the next boot may mount it over this one"
  done
}

# own_all: sees to it that all are mounted where they belong, and what their top directories are like. Asks stat once for all.
own_all() {
  local i n name at seen list=() paths=() lines words ids bits
  for ((i = 0; i < ${#names[@]}; i++)); do
    name=${names[i]} at=${path[i]:-${where[i]-}}
    if [ "${kind[i]}" != own ] || [ -z "$at" ]; then
      continue
    elif ! is_mounted "$name" "$at"; then
      [ -n "${faulty["$name"]+x}" ] || problem "$name" "is not mounted at $at"
    elif ! straight "$at"; then
      problem "$name" "is mounted at $at, which another mount or a link hides"
    else
      list+=("$i") paths+=("$at")
      claims "$name" "$at"
    fi
  done
  [ ${#list[@]} -gt 0 ] || return 0
  # Names may have blanks, and have lines of their own.
  seen=$(stat -c $'%d %u %g %a\n%U\n%G' -- "${paths[@]}") || fail 'the directories of the datasets could not be looked at'
  lines "$seen"
  [ ${#lines[@]} -eq $((3 * ${#list[@]})) ] || fail 'stat did not print what was asked for'
  for ((n = 0; n < ${#list[@]}; n++)); do
    i=${list[n]}
    name=${names[i]} at=${path[i]:-${where[i]-}}
    words "${lines[3 * n]}"
    if [ "${words[0]}" != "${mounted_device["$at"]}" ]; then
      problem "$name" "is mounted at $at, which another mount hides"
      continue
    fi
    ids='' bits=''
    if [ -n "${owner[i]}" ] && [ "${owner[i]}" != "${words[1]}" ] && [ "${owner[i]}" != "${lines[3 * n + 1]}" ]; then
      ids=${owner[i]}
    fi
    if [ -n "${group[i]}" ] && [ "${group[i]}" != "${words[2]}" ] && [ "${group[i]}" != "${lines[3 * n + 2]}" ]; then
      ids+=:${group[i]}
    fi
    if [ -n "${mode[i]}" ] && [ $((8#${mode[i]})) -ne $((8#${words[3]})) ]; then
      bits=${mode[i]}
    fi
    [ -n "$ids$bits" ] || continue
    say "own $at${ids:+ $ids}${bits:+ $bits}"
    settle "$at" "${words[0]}" "$ids" "$bits" || problem "$name" "owner and mode of $at could not be set"
  done
}

# only NAME…: leaves alone what is not named, and is no container above what is.
only() {
  local i name keep all=' '
  for ((i = 0; i < ${#names[@]}; i++)); do
    keep=''
    for name; do
      if [ "$name" = "${names[i]}" ] || { [ "${kind[i]}" = container ] && [[ $name == "${names[i]}"/* ]]; }; then
        keep=1
      fi
    done
    all+="${names[i]} "
    [ -n "$keep" ] || kind[i]=foreign
  done
  for name; do
    [[ $all == *" $name "* ]] || fail "$name is none of the declared datasets"
  done
}

[ "$EUID" -eq 0 ] || [ -n "${STATEWARD_UNPRIVILEGED-}" ] || fail 'run this as root'
for tool in zfs zpool find mkdir sort stat chown chmod; do
  type -P "$tool" >/dev/null || fail "there is no $tool in PATH"
done
declared
start+=("${#property[@]}")
whole=1
if [ $# -gt 0 ]; then
  whole=''
  only "$@"
fi
[ ${#names[@]} -gt 0 ] || exit 0
# One at a time changes the datasets of a machine: `stateward dataset apply` holds the same lock.
if type -P flock >/dev/null; then
  lock=${STATEWARD_LOCK:-/run/stateward/dataset.lock}
  mkdir -m 0700 -- "${lock%/*}" 2>/dev/null || [ -d "${lock%/*}" ] || fail "${lock%/*} could not be made"
  [ ! -L "$lock" ] || fail "$lock is a link"
  exec 9<>"$lock"
  flock -w 300 9 || fail 'another run changes the datasets, and has not ended within five minutes'
  printf 'process %s, a script\n' "$$" >"$lock"
fi
changed=''
observe
look
mounts
for ((i = 0; i < ${#names[@]}; i++)); do
  if [ "${kind[i]}" != foreign ] && [ -n "${there["${names[i]}"]+x}" ]; then
    change "$i"
  fi
done
places
mount_all
for ((i = 0; i < ${#names[@]}; i++)); do
  if [ "${kind[i]}" = foreign ]; then
    continue
  elif [ -z "${there["${names[i]}"]+x}" ]; then
    make "$i" || [ -n "${faulty["${names[i]}"]+x}" ] || problem "${names[i]}" 'is not there'
  elif [ -z "${path[i]}" ] || is_mounted "${names[i]}" "${path[i]}"; then
    move "${names[i]}"
  fi
done
[ -z "$changed" ] || verify
own_all
if [ ${#problems[@]} -gt 0 ]; then
  fail "${#problems[@]} of what is declared is not so, see above"
fi
