#!/bin/sh
# Runs one program for Windows under Wine, in the session that session.sh keeps. The address of nothing is left to chance:
# Wine must map a page that a random heap of its loader would now and then cover. Crash dialogs, menus and the desktop are
# switched off here, as each call takes them from its own environment.
here=$(cd "$(dirname "$0")/../.." && pwd)
export WINEPREFIX="${WINEPREFIX:-$here/build/wine}" WINEDEBUG="${WINEDEBUG:--all}"
export WINEDLLOVERRIDES="winemenubuilder.exe,explorer.exe,winedbg.exe=d;mscoree,mshtml=d"
wine=/usr/lib/wine/wine64
[ -x "$wine" ] || wine=$(command -v wine64 || command -v wine)
if setarch -R true 2>/dev/null; then
    exec setarch -R "$wine" "$@"
fi
exec "$wine" "$@"
