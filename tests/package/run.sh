#!/bin/sh
# Configures, builds and installs the library into a prefix of its own, then builds and runs an outside program against it in
# every way that is promised: pkg-config (shared and static), find_package (shared and static), add_subdirectory, FetchContent.
# Run by ctest: run.sh SOURCE WORK CMAKE CC PKG_CONFIG RP_WITH_URING
set -eu

source=$1
work=$2
cmake=$3
cc=$4
pkg_config=$5
uring=$6
here=$source/tests/package

say() { echo "package: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

quietly() { # the output only where it failed
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log"
        fail "failed: $*"
    }
}

# One run of an outside program, which must say what it should.
check() { # NAME PROGRAM
    "$2" >"$work/output" || fail "$1: exit code $?"
    grep -q 'hello from outside' "$work/output" || fail "$1: wrong output"
    say "$1: $(cat "$work/output")"
}

rm -rf "$work"
mkdir -p "$work"

quietly "$cmake" -G Ninja -S "$source" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_INSTALL_PREFIX="$work/first" -DRP_WITH_URING="$uring" -DRP_BUILD_TESTS=OFF -DRP_BUILD_BENCH=OFF \
    -DRP_BUILD_EXAMPLES=OFF
quietly "$cmake" --build "$work/build" -j 2
quietly "$cmake" --install "$work/build"
mv "$work/first" "$work/prefix" # the tree may be moved
prefix=$work/prefix
library=$(dirname "$(find "$prefix" -name librunning-process.a)")

# ---- what lies there ----

for file in "$library/librunning-process.so.1" "$prefix/bin/running-process" "$prefix/libexec/running-process-guard"; do
    [ -e "$file" ] || fail "not installed: $file"
done
foreign=$(find "$prefix/include" -type f ! -path '*/rp/*.h')
[ -z "$foreign" ] || fail "installed beside the public headers: $foreign"
if grep -rlF -e "$source" -e "$work" "$prefix/include" "$library/pkgconfig" "$library/cmake"; then
    fail "a path of the build is in an installed text"
fi
LD_LIBRARY_PATH=$library "$prefix/bin/running-process" --version >/dev/null || fail "the installed program does not run"

# ---- pkg-config ----

export PKG_CONFIG_PATH="$library/pkgconfig"
# shellcheck disable=SC2046 # the flags are words
quietly "$cc" -o "$work/by_pkg_config" "$here/main.c" $("$pkg_config" --cflags --libs running-process)
# shellcheck disable=SC2046
quietly "$cc" -o "$work/by_pkg_config_static" "$here/main.c" $("$pkg_config" --cflags running-process) \
    "$library/librunning-process.a" $("$pkg_config" --static --libs running-process | sed 's/-lrunning-process//')
LD_LIBRARY_PATH=$library check pkg-config "$work/by_pkg_config"
check 'pkg-config, static' "$work/by_pkg_config_static"

# ---- CMake ----

by_cmake() { # NAME HOW [OPTION...]
    name=$1
    how=$2
    shift 2
    quietly "$cmake" -G Ninja -S "$here" -B "$work/$name" -DHOW="$how" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Debug "$@"
    quietly "$cmake" --build "$work/$name" -j 2
    check "$name" "$work/$name/outside"
}

by_cmake find_package find_package -DCMAKE_PREFIX_PATH="$prefix"
by_cmake find_package_static find_package -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=OFF
by_cmake add_subdirectory add_subdirectory -DRP_SOURCE="$source" -DRP_WITH_URING="$uring"
by_cmake FetchContent FetchContent -DRP_SOURCE="$source" -DRP_WITH_URING="$uring" -DBUILD_SHARED_LIBS=ON
