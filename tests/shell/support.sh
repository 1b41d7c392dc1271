# SPDX-License-Identifier: Apache-2.0
#
# What the shell's test scripts share; sourced. LAMINA is the program under test. Each script has a
# directory of its own in $work, removed at the end.
set -u
: "${LAMINA:?LAMINA must name the lamina program}"
work=$(mktemp -d "${TMPDIR:-/tmp}/lamina-shell-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
passed=0
failed=0

# is FACT EXPECTED GOT
is() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n--- expected\n%s\n--- got\n%s\n---\n' "$1" "$2" "$3"
    fi
}

# has FACT PART TEXT: whether TEXT contains PART
has() {
    case "$3" in
    *"$2"*) passed=$((passed + 1)) ;;
    *)
        failed=$((failed + 1))
        printf 'FAILED %s\n--- expected to find\n%s\n--- got\n%s\n---\n' "$1" "$2" "$3"
        ;;
    esac
}

# lamina ARGS...: runs it; sets out, err and status
lamina() {
    status=0
    "$LAMINA" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

# lamina_in TEXT ARGS...: the same with TEXT on standard input
lamina_in() {
    text=$1
    shift
    status=0
    printf '%s' "$text" | "$LAMINA" "$@" >"$work/out" 2>"$work/err" || status=$?
    out=$(cat "$work/out")
    err=$(cat "$work/err")
}

finish() {
    echo "$(basename "$0" .sh): $passed passed, $failed failed"
    [ "$failed" = 0 ]
}
