#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Foreign readers on Lamina's Parquet files: those of the writer alone (check.py), and those that the
# shell makes from SQL (product.py). B is the build directory; SEED repeats a run of product.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
B=$(cd "${B:-build}" && pwd)
python=$B/venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

"$python" -c 'import duckdb, pyarrow' 2>/dev/null || {
    echo "making a virtual environment with duckdb and pyarrow in $B/venv"
    python3 -m venv "$B/venv"
    "$B/venv/bin/pip" install --quiet --disable-pip-version-check duckdb pyarrow
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/files" "$work/product"
alltypes=$B/release/tests/parquet/foreign/alltypes
"$alltypes" "$work/files"
status=0
"$python" "$here/check.py" "$work/files" "$alltypes" || status=1
"$python" "$here/product.py" "$B/release/lamina" "$work/product" ${SEED:-} || status=1
exit $status
