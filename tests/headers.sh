#!/bin/sh
# Compiles every public header alone, as C11 and as C++17, with warnings as errors. Run by ctest:
# headers.sh INCLUDE_FOLDER C_COMPILER CXX_COMPILER
set -u

include=$1
cc=$2
cxx=$3
failed=0
count=0

# Word splitting of the flags is meant.
# shellcheck disable=SC2086
compile() { # COMPILER FLAGS HEADER
    if ! printf '#include "%s"\n' "$3" | $1 $2 -Wall -Wextra -Wpedantic -Werror -I "$include" -fsyntax-only -; then
        echo "$3 does not stand alone: $1 $2" >&2
        failed=1
    fi
}

for path in "$include"/rp/*.h; do
    header=rp/${path##*/}
    compile "$cc" '-std=c11 -x c' "$header"
    compile "$cxx" '-std=c++17 -x c++' "$header"
    count=$((count + 1))
done

if [ ! -e "$include/rp/rp.h" ]; then
    echo "$include/rp/rp.h, the umbrella, is missing" >&2
    failed=1
fi
echo "$count headers compiled"
exit "$failed"
