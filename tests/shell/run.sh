#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The tests of the shell: every test_*.sh here, then the kill -9 test. LAMINA names the program.
#   LAMINA=build/release/lamina tests/shell/run.sh [SCRIPT...]
cd "$(dirname "$0")" || exit 1
: "${LAMINA:?LAMINA must name the lamina program}"
export LAMINA
[ $# -gt 0 ] || set -- test_*.sh kill9.sh
passed=0
failed=0
for script in "$@"; do
    if sh "./$script"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $script"
    fi
done
echo "shell: $passed passed, $failed failed"
[ "$failed" = 0 ]
