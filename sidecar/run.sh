#!/bin/sh
# Put here by `migsafe begin`: runs the migration that everything was made ready for, once, and notes
# how it ended for `migsafe conclude`.
#
#   /migsafe/run COMMAND [ARGUMENT ...]
#
# It ends with 0 however the migration ends: what follows from that, `conclude` decides. Any POSIX
# shell will do, and any user: the folder of the run is open to all.

main() {
  here=${0%/*}
  [ $# -gt 0 ] || refuse "say what to run: $0 COMMAND [ARGUMENT ...]"
  read -r run until <"$here/current" || refuse "begin has handed nothing over in $here"
  [ "$run" != nothing-to-do ] || { say "nothing to do: not run"; exit 0; }
  mine=$here/$run
  # who makes this folder has the run: a second start of the same, or a begin that has settled it,
  # finds it there
  mkdir "$mine/started" || { say "not run: run $run was started before, or was settled"; exit 0; }
  migrate "$@"
}

migrate() {
  : >"$mine/alive"
  "$@" <&0 &
  child=$!
  trap 'kill -TERM "$child" 2>/dev/null' TERM INT HUP
  beat >/dev/null 2>&1 &
  beating=$!
  code=0
  while wait "$child" || code=$?; do
    # a signal ends the wait as well
    kill -0 "$child" 2>/dev/null || break
    code=0
  done
  kill "$beating" 2>/dev/null
  [ ! -e "$mine/late" ] || code=late
  note || { say "how the migration ended can't be noted: it will be put back"; exit 1; }
  say "the migration ended with $code"
}

# A sign of life, once a second: by it a second begin knows that the migration still runs.
beat() {
  while kill -0 "$child"; do
    : >"$mine/alive"
    late=$(($(date +%s) - until))
    [ "$late" -lt 0 ] || { : >"$mine/late"; kill -TERM "$child"; }
    [ "$late" -lt 10 ] || kill -KILL "$child"
    sleep 1
  done
}

note() { (umask 022 && echo "$code" >"$mine/exit-code.new") && mv "$mine/exit-code.new" "$mine/exit-code"; }
say() { echo "migsafe: $*" >&2; }
refuse() { say "$*"; exit 2; }

main "$@"
