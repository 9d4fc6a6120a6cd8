#!/bin/sh
# The program running-process under Wine: cli.sh EMULATOR PROGRAM CHILD. The codes of small exit statuses come through as they
# are; what is written is compared.
set -u
emulator=$1
program=$2
child=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failed=0

# check NAME CODE EXPECTED-STDOUT ARGUMENT...
check() {
    name=$1
    code=$2
    expected=$3
    shift 3
    actual=$("$emulator" "$program" "$@" 2>"$scratch/errors" </dev/null)
    got=$?
    if [ "$got" -ne "$code" ] || [ "$actual" != "$expected" ]; then
        printf 'failed %s: code %s, not %s; output "%s"\n' "$name" "$got" "$code" "$actual"
        cat "$scratch/errors"
        failed=1
    else
        printf 'passed %s\n' "$name"
    fi
}

check "passes output and code on" 5 hello --no-auto-stack-dumping -- "$child" echo hello exit 5
check "tells a command that is missing" 127 "" --no-auto-stack-dumping -- no-such-program
check "ends a command whose time is over" 124 here --no-auto-stack-dumping --wall-timeout 0.5 -- "$child" echo here pause
check "sets the environment" 0 value --env RP_X=value -- "$child" env RP_X

"$emulator" "$program" --json="$scratch/events" -- "$child" echo one >/dev/null 2>&1 </dev/null
if ! grep -q '"event":"exit"' "$scratch/events" || ! grep -q '"text":"one"' "$scratch/events"; then
    echo "failed writes events to a file"
    failed=1
fi
exit $failed
