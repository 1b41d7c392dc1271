#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the files of `alltypes` with DuckDB and pyarrow and compares every value, filter results
(statistics, page indexes and bloom filters that lie show only under pruning), chunk statistics and
field ids. With the program's path as well, writes the same tables with DuckDB and pyarrow in the
forms their own writers have, and compares what Lamina's reader makes of them.
Usage: check.py DIR [ALLTYPES]. Needs the packages duckdb and pyarrow."""

import glob
import json
import math
import os
import random
import subprocess
import sys
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

(BOOLEAN, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, TEXT, BYTES, TIMESTAMP, DATE, TIME, UUID,
 JSON) = range(1, 15)
failures = []


def fail(text):
    failures.append(text)
    print("FAIL", text[:500])


class Field:
    def __init__(self, line):
        self.name, *rest = line.split()
        self.type, self.precision, self.scale, self.id, self.nullable = map(int, rest)


def double_text(v):
    return "NaN" if math.isnan(v) else "%.17g" % v


def arrow_values(field, column):
    """A pyarrow column in the text forms of the expected file."""
    column = column.combine_chunks()
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if field.type == TIMESTAMP:
        assert column.type == pa.timestamp("us", tz="UTC"), column.type
        column = column.cast(pa.int64())
    elif field.type == TIME:
        assert column.type == pa.time64("us"), column.type
        column = column.cast(pa.int64())
    elif field.type == DATE:
        assert column.type == pa.date32(), column.type
        column = column.cast(pa.int32())
    elif field.type == SMALLINT:
        assert column.type == pa.int16(), column.type
    elif field.type == DECIMAL:
        assert (column.type.precision, column.type.scale) == (field.precision, field.scale)
    convert = {
        FLOAT: double_text,
        DOUBLE: double_text,
        DECIMAL: lambda v: format(v, "f"),
        BYTES: lambda v: v.hex(),
        UUID: lambda v: v.hex(),
    }.get(field.type, lambda v: v)
    return [None if v is None else convert(v) for v in column.to_pylist()]


def duck_select(field):
    name = '"%s"' % field.name
    return {
        FLOAT: "CAST(%s AS DOUBLE)" % name,
        DECIMAL: "CAST(%s AS VARCHAR)" % name,
        TIMESTAMP: "epoch_us(%s)" % name,
        TIME: "epoch_us(%s)" % name,
        DATE: "CAST(%s - DATE '1970-01-01' AS BIGINT)" % name,
        BYTES: "lower(hex(%s))" % name,
        UUID: "replace(CAST(%s AS VARCHAR), '-', '')" % name,
    }.get(field.type, name)


def duck_values(field, values):
    if field.type in (FLOAT, DOUBLE):
        return [None if v is None else double_text(v) for v in values]
    return values


def compare(what, expected, found):
    if len(expected) != len(found):
        fail("%s: %d rows, expected %d" % (what, len(found), len(expected)))
        return
    for row, (e, f) in enumerate(zip(expected, found)):
        if e != f or type(e) is not type(f):
            fail("%s: row %d is %r, expected %r" % (what, row, f, e))
            return


def sort_key(field, text):
    """What orders values of a field, from the expected text form."""
    if field.type in (FLOAT, DOUBLE):
        v = float(text)
        return (1, 0.0) if math.isnan(v) else (0, v)
    if field.type == DECIMAL:
        return Decimal(text)
    if field.type in (TEXT, JSON):
        return text.encode()
    if field.type in (BYTES, UUID):
        return bytes.fromhex(text)
    return text


def duck_parameter(field, text):
    """SQL with one ? that gives the value, and the parameter for it."""
    if field.type == FLOAT:
        return "CAST(CAST(? AS DOUBLE) AS FLOAT)", text
    if field.type == DOUBLE:
        return "CAST(? AS DOUBLE)", text
    if field.type == DECIMAL:
        return "CAST(? AS DECIMAL(%d, %d))" % (field.precision, field.scale), text
    if field.type == BYTES:
        return "CAST(? AS BLOB)", bytes.fromhex(text)
    if field.type == UUID:
        return "CAST(? AS UUID)", "-".join(
            (text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    if field.type == TIMESTAMP:
        return "make_timestamptz(CAST(? AS BIGINT))", text
    if field.type == DATE:
        return "(DATE '1970-01-01' + CAST(? AS INTEGER))", text
    if field.type == TIME:
        return "CAST(? AS TIME)", "%02d:%02d:%02d.%06d" % (
            text // 3600000000, text // 60000000 % 60, text // 1000000 % 60, text % 1000000)
    return "?", text


def duck_literal(field, text):
    """The same as a constant, which DuckDB turns into a filter of the scan."""
    sql, value = duck_parameter(field, text)
    if isinstance(value, bytes):
        return "unhex('%s')" % value.hex()
    if isinstance(value, str):
        quoted = "'" + value.replace("'", "''") + "'"
    else:
        quoted = str(value)
    return sql.replace("?", quoted)


def check_filters(duck, path, field, expected, picks):
    """WHERE against brute force, for values that occur and values between or beside them."""
    name = '"%s"' % field.name
    keys = [None if v is None else sort_key(field, v) for v in expected]
    present = [v for v in expected if v is not None]
    queries = [("%s IS NULL" % name, sum(k is None for k in keys)),
               ("%s IS NOT NULL" % name, len(present))]
    for value in picks.sample(present, min(len(present), 3)):
        key = sort_key(field, value)
        literal = duck_literal(field, value)
        for op, test in (("=", lambda k: k == key), ("<", lambda k: k < key),
                         (">=", lambda k: k >= key), (">", lambda k: k > key),
                         ("<=", lambda k: k <= key), ("<>", lambda k: k != key)):
            if field.type == BOOLEAN and op not in ("=", "<>"):
                continue
            queries.append(("%s %s %s" % (name, op, literal),
                            sum(k is not None and test(k) for k in keys)))
    sql = "SELECT " + ", ".join("(SELECT count(*) FROM read_parquet('%s') WHERE %s)" % (path, q)
                                for q, _ in queries)
    for (query, count), found in zip(queries, duck.execute(sql).fetchone()):
        if count != found:
            fail("%s: duckdb WHERE %s finds %d rows, expected %d" % (path, query, found, count))


def check_arrow_filters(path, field, expected, picks):
    if field.type not in (SMALLINT, INT, BIGINT, FLOAT, DOUBLE, TEXT, DECIMAL):
        return
    present = [v for v in expected if v is not None and v != "NaN"]
    if not present:
        return
    value = picks.choice(present)
    key = sort_key(field, value)
    literal = {FLOAT: float, DOUBLE: float, DECIMAL: Decimal}.get(field.type, lambda v: v)(value)
    if field.type == FLOAT:
        literal = pa.scalar(literal, pa.float32())
    for op, test in (("==", lambda k: k == key), ("<", lambda k: k < key),
                     (">", lambda k: k > key)):
        found = pq.read_table(path, columns=[field.name],
                              filters=[(field.name, op, literal)]).num_rows
        count = sum(v is not None and v != "NaN" and test(sort_key(field, v)) for v in expected)
        if found != count:
            fail("%s: pyarrow %s %s %r finds %d rows, expected %d" %
                 (path, field.name, op, value, found, count))


def statistic_text(field, value):
    if field.type == DECIMAL:
        return format(value, "f")
    if field.type in (FLOAT, DOUBLE):
        return double_text(value)
    if field.type in (BYTES, UUID):
        return value.hex()
    if field.type == DATE and hasattr(value, "toordinal"):
        return value.toordinal() - 719163
    return value


def check_statistics(path, fields, columns, lost_bounds):
    """Chunk metadata against brute force."""
    file = pq.ParquetFile(path)
    meta = file.metadata
    if meta.created_by != "lamina version 0.1.0 (build 0)":
        fail("%s: created_by %r" % (path, meta.created_by))
    row = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        for i, field in enumerate(fields):
            chunk = group.column(i)
            values = columns[i][row:row + group.num_rows]
            present = [v for v in values if v is not None]
            what = "%s: group %d column %s" % (path, g, field.name)
            if chunk.file_offset != 0:
                fail(what + ": file_offset %d" % chunk.file_offset)
            if not chunk.has_offset_index:
                fail(what + ": no offset index")
            stats = chunk.statistics
            if stats is None or not stats.has_null_count:
                fail(what + ": no null count")
                continue
            if stats.null_count != len(values) - len(present):
                fail(what + ": null count %d" % stats.null_count)
            wants = bool(present) and "NaN" not in present and field.type != UUID
            # A long run of 0xff has no shorter upper bound; such bounds are left out.
            if field.type == BYTES and any(len(v) > 8192 and v.startswith("ff" * 64)
                                           for v in present):
                wants = False
            if stats.has_min_max != wants:
                fail(what + ": has_min_max is %r" % stats.has_min_max)
            if not stats.has_min_max or field.type in (TIME, TIMESTAMP):
                continue
            low = min(sort_key(field, v) for v in present)
            high = max(sort_key(field, v) for v in present)
            try:
                found_low = sort_key(field, statistic_text(field, stats.min))
                found_high = sort_key(field, statistic_text(field, stats.max))
            except (UnicodeDecodeError, OverflowError):
                lost_bounds.append(what)
                continue
            if found_low > low or found_high < high:
                fail(what + ": bounds %r..%r, values %r..%r" % (found_low, found_high, low, high))
            if field.type not in (TEXT, BYTES, JSON) and (found_low != low or found_high != high):
                fail(what + ": loose bounds %r..%r" % (found_low, found_high))
        row += group.num_rows


def check_field_ids(path, fields):
    schema = pq.ParquetFile(path).schema_arrow
    if schema.names != [f.name for f in fields]:
        fail("%s: columns %r" % (path, schema.names))
    for field in fields:
        found = schema.field(field.name)
        if (found.metadata or {}).get(b"PARQUET:field_id") != str(field.id).encode():
            fail("%s: field id of %s: %r" % (path, field.name, found.metadata))
        if found.nullable != bool(field.nullable):
            fail("%s: nullability of %s" % (path, field.name))


def check_blooms(duck, path, field, expected, picks):
    if field.type not in (INT, BIGINT, TEXT):
        return
    present = [v for v in expected if v is not None]
    for value in picks.sample(present, min(len(present), 3)):
        if isinstance(value, str) and "'" in value:
            continue
        literal = "'%s'" % value if isinstance(value, str) else str(value)
        groups = duck.execute("SELECT bloom_filter_excludes FROM parquet_bloom_probe('%s', '%s', %s)"
                              % (path, field.name, literal)).fetchall()
        if groups and all(excluded for (excluded,) in groups):
            fail("%s: bloom filter of %s excludes %r, which occurs" % (path, field.name, value))


FOREIGN_FORMS = [
    dict(compression="none", use_dictionary=False),
    dict(compression="lz4", use_dictionary=True, data_page_size=700),
    dict(compression="lz4", data_page_version="2.0", row_group_size=311),
    dict(compression="none", data_page_version="2.0", data_page_size=500, write_page_index=True),
    dict(compression="lz4", write_page_index=True, write_page_checksum=True, row_group_size=97),
]


def read_with_lamina(program, path):
    out = subprocess.run([program, "--dump", path], capture_output=True)
    if out.returncode != 0:
        fail("lamina does not read %s: %s" % (path, out.stderr.decode()))
        return []
    return [json.loads(line) for line in out.stdout.decode().splitlines()]


def check_reader(duck, program, path, fields, columns, table):
    """Lamina's reader on files of other writers."""
    foreign = path + ".foreign"
    table = table.drop_columns([f.name for f in fields if f.type == UUID])
    kept = [i for i, f in enumerate(fields) if f.type != UUID]
    for form in FOREIGN_FORMS:
        pq.write_table(table, foreign, store_decimal_as_integer=True, **form)
        rows = read_with_lamina(program, foreign)
        for k, i in enumerate(kept):
            compare("%s: pyarrow %r read by lamina: %s" % (path, form, fields[i].name),
                    columns[i], [row[k] for row in rows])
    for form in ("COMPRESSION uncompressed", "COMPRESSION lz4_raw, PARQUET_VERSION v1",
                 "COMPRESSION lz4_raw, ROW_GROUP_SIZE 2048"):
        duck.execute("COPY (SELECT * FROM read_parquet('%s')) TO '%s' (FORMAT parquet, %s)" %
                     (path, foreign, form))
        rows = read_with_lamina(program, foreign)
        for i, field in enumerate(fields):
            compare("%s: duckdb %s read by lamina: %s" % (path, form, field.name), columns[i],
                    [row[i] for row in rows])
    os.remove(foreign)


def check_file(duck, path, program):
    stem = path[:-len(".parquet")]
    with open(stem + ".types") as f:
        fields = [Field(line) for line in f]
    with open(stem + ".jsonl", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    columns = [[row[i] for row in rows] for i in range(len(fields))]
    picks = random.Random(1)
    table = pq.read_table(path, page_checksum_verification=True)
    for i, field in enumerate(fields):
        compare("%s: pyarrow %s" % (path, field.name), columns[i],
                arrow_values(field, table.column(i)))
    found = duck.execute("SELECT %s FROM read_parquet('%s')" %
                         (", ".join(duck_select(f) for f in fields), path)).fetchall()
    for i, field in enumerate(fields):
        compare("%s: duckdb %s" % (path, field.name), columns[i],
                duck_values(field, [row[i] for row in found]))
    lost_bounds = []
    check_field_ids(path, fields)
    check_statistics(path, fields, columns, lost_bounds)
    for i, field in enumerate(fields):
        check_filters(duck, path, field, columns[i], picks)
        check_arrow_filters(path, field, columns[i], picks)
        check_blooms(duck, path, field, columns[i], picks)
    if program:
        check_reader(duck, program, path, fields, columns, table)
    print("%-40s %6d rows, %d columns%s" % (os.path.basename(path), len(rows), len(fields),
          ", %d bounds pyarrow can't show" % len(lost_bounds) if lost_bounds else ""))


def main():
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    paths = sorted(glob.glob(os.path.join(sys.argv[1], "*.parquet")))
    if not paths:
        fail("no files in " + sys.argv[1])
    for path in paths:
        check_file(duck, path, sys.argv[2] if len(sys.argv) > 2 else None)
    print("duckdb %s, pyarrow %s: %d files, %d failures" %
          (duckdb.__version__, pa.__version__, len(paths), len(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
