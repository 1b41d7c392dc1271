#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into a scratch root and uses what is there as an application would: pkg-config, C11 and
# C++17, the static and the shared library, each header alone. B is the build directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
B=${B:-build}
cc=${CC:-gcc}
cxx=${CXX:-g++}
warn="-Wall -Wextra -Wpedantic -Werror"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
passed=0
failed=0

# ok FACT COMMAND...: passes if the command succeeds
ok() {
    fact=$1
    shift
    if "$@" >"$root/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n' "$fact"
        tail -n 20 "$root/log"
    fi
}

# prints FACT EXPECTED COMMAND...: passes if the command succeeds and prints that
prints() {
    fact=$1
    expected=$2
    shift 2
    if got=$("$@" 2>&1) && [ "$got" = "$expected" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n--- expected\n%s\n--- got\n%s\n' "$fact" "$expected" "$got"
    fi
}

# compile LANGUAGE OUT SOURCE FLAGS...
compile() {
    language=$1
    out=$2
    source=$3
    shift 3
    case "$language" in
    c) "$cc" -std=c11 -x c $warn -o "$out" "$source" -x none "$@" ;;
    c++) "$cxx" -std=c++17 -x c++ $warn -o "$out" "$source" -x none "$@" ;;
    esac
}

languages=c
if command -v "$cxx" >/dev/null 2>&1; then
    languages="c c++"
else
    echo "install: no $cxx here, so C++ is not checked"
fi

try_prefix() {
    prefix=$1
    stage=$root/stage$(echo "$prefix" | tr / -)
    ok "install to $prefix" make --no-print-directory MODE=release B="$B" DESTDIR="$stage" \
        PREFIX="$prefix" install
    export PKG_CONFIG_SYSROOT_DIR="$stage" PKG_CONFIG_LIBDIR="$stage$prefix/lib/pkgconfig"
    version=$(pkg-config --modversion lamina)
    lib=$stage$prefix/lib
    for f in lib/liblamina.a lib/liblamina.so lib/liblamina.so.0 lib/liblamina.so."$version" \
        bin/lamina include/lamina/lamina.h; do
        ok "$prefix/$f is there" test -s "$stage$prefix/$f"
    done
    prints "the shell is of the version that lamina.pc states" "lamina $version" \
        "$stage$prefix/bin/lamina" --version
    ok "no path of the scratch root in lamina.pc" sh -c "! grep -q '$root' '$lib/pkgconfig/lamina.pc'"
    expected=$(printf 'value\none 1\ntwo 2\n%s' "$version")
    for language in $languages; do
        app=$root/app
        # shellcheck disable=SC2046
        ok "$language: links the shared library from $prefix" compile "$language" "$app" \
            "$here/app.c" $(pkg-config --cflags --libs lamina)
        prints "$language: runs with the shared library from $prefix" "$expected" \
            env LD_LIBRARY_PATH="$lib" "$app"
        ok "$language: needs liblamina.so.0" sh -c "readelf -d '$app' | grep -q 'NEEDED.*liblamina.so.0'"
        # The archive alone, with what lamina.pc says it needs.
        # shellcheck disable=SC2046
        ok "$language: links the static library from $prefix" compile "$language" "$app" \
            "$here/app.c" $(pkg-config --cflags lamina) -Wl,-Bstatic -L"$lib" -llamina \
            -Wl,-Bdynamic $(pkg-config --static --libs-only-l lamina | sed 's/-llamina//') -pthread
        prints "$language: runs with the static library from $prefix" "$expected" "$app"
        ok "$language: does not need liblamina.so" sh -c "! readelf -d '$app' | grep -q liblamina"
    done
}

each_header() {
    for header in "$root/stage-usr/usr/include/lamina"/*.h; do
        name=$(basename "$header")
        echo "#include <lamina/$name>
int main(void) { return 0; }" >"$root/one.c"
        for language in $languages; do
            ok "$language: $name compiles alone" compile "$language" "$root/one" "$root/one.c" \
                -I"$root/stage-usr/usr/include"
        done
    done
}

try_prefix /usr
try_prefix /opt/lamina
each_header
echo "install: $passed passed, $failed failed"
[ "$failed" = 0 ]
