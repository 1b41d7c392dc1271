#!/bin/sh
# The style and structure checks: each prints what breaks it; the end counts them.
#   B=build tests/lint/lint.sh        (after `make lib` in release mode)
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
passed=0
failed=0

check() { # FUNCTION: what it prints are findings; none is a pass
    findings=$("$1" 2>&1)
    if [ -z "$findings" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s\n%s\n\n' "lint: $1" "$findings"
    fi
}

sources=$(git ls-files -co --exclude-standard '*.c' '*.h' | sort)
product=$(echo "$sources" | grep -E '^(base|lsm|catalog|flush|sql|include|shell)/')

format() {
    for f in $sources; do
        clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || echo "$f: run clang-format -i"
    done
}

licence() {
    for f in $sources; do
        head -1 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f:1: no SPDX line"
    done
}

# A folder includes its own headers, base, public headers, and the door header of folders below it.
layers() {
    for f in $product; do
        case "$f" in
        include/*) doors='lamina/' ;;
        base/*) doors='base/|lamina/' ;;
        flush/parquet/*) doors='flush/parquet/|base/|lamina/' ;;
        lsm/*) doors='lsm/|base/|lamina/' ;;
        catalog/*) doors='catalog/|lsm/lsm\.h|base/|lamina/' ;;
        flush/*) doors='flush/[a-z_]*\.h|flush/parquet/parquet\.h|catalog/(catalog|entities)\.h|lsm/lsm\.h|base/|lamina/' ;;
        sql/*) doors='sql/|flush/flush\.h|catalog/(catalog|entities)\.h|lsm/lsm\.h|base/|lamina/' ;;
        shell/*) doors='shell/|lamina/' ;;
        esac
        grep -nE '^#include "' "$f" | grep -vE "#include \"($doors)" | sed "s|^|$f:|"
    done
}

# Only the posix environment may reach the operating system: every symbol that the other objects
# take from outside is on the list.
symbols() {
    allowed=tests/lint/allowed_symbols.txt
    objects=$(find "$B/release/obj/base" "$B/release/obj/lsm" "$B/release/obj/catalog" \
        "$B/release/obj/flush" "$B/release/obj/sql" -name '*.o' ! -name 'env_posix*.o')
    nm -A --defined-only $(find "$B/release/obj/base" "$B/release/obj/lsm" "$B/release/obj/catalog" \
        "$B/release/obj/flush" "$B/release/obj/sql" -name '*.o') | awk '{print $NF}' | sort -u >"$B/defined.txt"
    for o in $objects; do
        nm -u "$o" | awk '{print $2}' | sort -u | comm -23 - "$B/defined.txt" |
            grep -vxF -f "$allowed" | sed "s|^|$o: uses |"
    done
}

# Nothing but lam_* leaves the library.
exports() {
    nm -D --defined-only "$B/release/liblamina.so" | awk '$2 ~ /[TDBRVW]/ {print $3}' | grep -v '^lam_' |
        sed 's/^/liblamina.so exports /'
    nm -g --defined-only "$B/release/liblamina.a" | awk 'NF == 3 {print $3}' | grep -v '^lam_' |
        sed 's/^/liblamina.a exports /'
}

# What the headers promise is there.
api() {
    nm -D --defined-only "$B/release/liblamina.so" | awk '{print $3}' | sort -u >"$B/exported.txt"
    cat include/lamina/*.h | tr '\n' ' ' | grep -oE 'LAM_API[^;]*;' | grep -oE 'lam_[a-z0-9_]+\(' | tr -d '(' |
        sort -u | comm -23 - "$B/exported.txt" | sed 's/^/declared but not exported: /'
}

headers() {
    for h in include/lamina/*.h; do
        gcc -std=c11 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c "$h" 2>&1
        if command -v g++ >/dev/null; then
            g++ -std=c++17 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ "$h" 2>&1
        fi
    done
}

thread_safety() {
    for f in $(echo "$product" | grep '\.c$' | grep -v '^shell/'); do
        clang -std=gnu11 -D_GNU_SOURCE -I. -Iinclude -fsyntax-only -Wall -Wextra -Wshadow -Wthread-safety \
            -Wno-unknown-warning-option "$f" 2>&1 | grep -E 'warning|error'
    done
}

# Files and functions that outgrew one purpose.
sizes() {
    for f in $product; do
        n=$(wc -l <"$f")
        [ "$n" -le 900 ] || echo "$f: $n lines, the limit is 900"
    done
}

words() {
    grep -nEw 'TODO|FIXME|XXX|HACK' $product tests/*/*.c bench/*.c 2>/dev/null
    grep -nE '\b(strcpy|strcat|sprintf|gets|atoi|alloca)\(' $product
}

# Paths and make targets named in the documents exist.
docs() {
    for d in README.md DESIGN.md CONTRIBUTING.md docs/*.md; do
        [ -f "$d" ] || { echo "$d is missing"; continue; }
        grep -oE '`(base|lsm|catalog|flush|sql|shell|tests|bench|docs|include)/[A-Za-z0-9_./-]+`' "$d" | tr -d '`' |
            sort -u | while read -r p; do
            [ -e "$p" ] || echo "$d: $p does not exist"
        done
        grep -oE '`make [a-z-]+' "$d" | sed 's/`make //' | sort -u | while read -r t; do
            grep -qE "^([a-z-]+ )*$t( [a-z-]+)*:" Makefile || echo "$d: no target make $t"
        done
    done
}

# Each promise names a test that is there, and is run.
promises() {
    grep -oE '`test_[a-z_]+\.c:[a-z0-9_]+`' docs/THREATS.md | tr -d '`' | sort -u | while IFS=: read -r file test; do
        path=$(find tests -name "$file")
        { [ -n "$path" ] && grep -q "START_TEST($test)" "$path" && [ "$(grep -cw "$test" "$path")" -ge 2 ]; } ||
            echo "docs/THREATS.md: $file has no test $test, or does not run it"
    done
}

# The system's environment is the host's guest too: what it may not call.
guest() {
    nm -u "$B"/release/obj/base/env_posix*.o | awk '{print $NF}' | sort -u |
        grep -xE '(secure_)?getenv|setenv|signal|sigaction|pthread_cancel|p?rintf|puts|putchar|exit|system|popen|dlopen|umask|chdir|setrlimit' |
        sed 's|^|base/env_posix uses |'
}

for c in format licence layers symbols exports api headers thread_safety sizes words docs promises guest; do
    check "$c"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
