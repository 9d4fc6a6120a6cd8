#!/bin/sh
# Builds what the library uses for Windows, where no package brings it: PCRE2, from the sources that Debian ships, into
# build/windows-libraries. The sources come from where this machine's packages come from, through a private apt folder, so that
# nothing of the system's own is changed. Does nothing where it is built already.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
prefix=$here/build/windows-libraries
work=$here/build/windows-sources
[ ! -f "$prefix/lib/pkgconfig/libpcre2-8.pc" ] || exit 0
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$prefix"
cd "$work"

# The machine's own entries, for sources: one-line files and the newer paragraphs.
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$list" ] || sed -n 's/^deb /deb-src /p' "$list"
done >src.list
for list in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list"
done >src.sources
set -- -o "Dir::Etc::SourceList=$work/src.list" -o "Dir::Etc::SourceParts=$work/parts" \
    -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache"
mkdir -p parts
cp src.sources parts/src.sources
apt-get -q "$@" update
# A mirror may list a version and not have it: the next older one then.
for version in $(apt-cache "$@" showsrc pcre2 | sed -n 's/^Version: //p' | sort -Vru); do
    if apt-get -q "$@" source --download-only "pcre2=$version"; then
        break
    fi
done

archive=$(find . -maxdepth 1 -name 'pcre2_*.orig.tar.*' ! -name '*.asc' | head -n 1)
mkdir -p pcre2
tar -xf "$archive" -C pcre2 --strip-components=1
cmake -S pcre2 -B pcre2-build -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/cmake/mingw.cmake" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF -DPCRE2_SUPPORT_JIT=ON \
    -DPCRE2_BUILD_TESTS=OFF -DPCRE2_BUILD_PCRE2GREP=OFF
cmake --build pcre2-build
cmake --install pcre2-build
# A static library says so to its users.
sed -i 's/^Cflags:.*/& -DPCRE2_STATIC/' "$prefix/lib/pkgconfig/libpcre2-8.pc"
