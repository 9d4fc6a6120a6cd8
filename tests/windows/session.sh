#!/bin/sh
# Keeps a session of Wine for the tests: session.sh start | stop. Its service processes outlive the first program and would
# hold that program's pipes, so that a test that passed would seem to hang: they are started first, with nothing to hold.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
export WINEPREFIX="${WINEPREFIX:-$here/build/wine}" WINEDEBUG=-all
export WINEDLLOVERRIDES="winemenubuilder.exe,explorer.exe,winedbg.exe=d;mscoree,mshtml=d"
wine=/usr/lib/wine/wine64
[ -x "$wine" ] || wine=$(command -v wine64 || command -v wine)

case ${1-} in
start)
    mkdir -p "$WINEPREFIX"
    setsid wineserver -p </dev/null >/dev/null 2>&1
    if [ ! -f "$WINEPREFIX/is-ready" ]; then
        timeout 120 "$wine" wineboot -i </dev/null >/dev/null 2>&1
        timeout 60 "$wine" reg add 'HKCU\Software\Wine' /v Version /d win10 /f </dev/null >/dev/null 2>&1
        touch "$WINEPREFIX/is-ready"
    else
        timeout 120 "$wine" wineboot </dev/null >/dev/null 2>&1
    fi
    ;;
stop)
    wineserver -k || true # there may be none
    wineserver -w
    ;;
*)
    echo "usage: session.sh start | stop" >&2
    exit 2
    ;;
esac
