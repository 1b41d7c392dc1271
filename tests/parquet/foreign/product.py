#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From SQL to foreign readers: fills USER and SHARED tables through the shell's machine protocol,
changes rows and columns between flushes, then reads every file below cold/ with pyarrow and DuckDB
and compares what they find with the shell's own SELECT and with a model in memory. A reader that
knows nothing of Lamina takes, of all files of a folder, the newest _seq of each key, leaves out
what is _deleted, and matches columns by field id, as current.json states them.
Usage: product.py SHELL DIRECTORY [SEED]. Needs the packages duckdb and pyarrow."""

import glob
import json
import os
import random
import struct
import subprocess
import sys
import urllib.parse
import uuid
from datetime import date, timedelta
from decimal import Decimal, getcontext

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

import check

getcontext().prec = 80
DAY = 86400 * 10**6
SYSTEM = [("_seq", "BIGINT", 1000000001), ("_updated", "TIMESTAMP", 1000000002),
          ("_deleted", "BOOLEAN", 1000000003)]
TYPES = {"BOOLEAN": check.BOOLEAN, "SMALLINT": check.SMALLINT, "INT": check.INT,
         "BIGINT": check.BIGINT, "FLOAT": check.FLOAT, "DOUBLE": check.DOUBLE,
         "DECIMAL": check.DECIMAL, "TEXT": check.TEXT, "VARCHAR": check.TEXT,
         "BYTES": check.BYTES, "TIMESTAMP": check.TIMESTAMP, "DATE": check.DATE,
         "TIME": check.TIME, "UUID": check.UUID, "JSON": check.JSON}
DUCK_TYPES = {"FLOAT": "FLOAT", "INT": "INTEGER", "TEXT": "VARCHAR", "VARCHAR": "VARCHAR",
              "BYTES": "BLOB", "TIMESTAMP": "TIMESTAMPTZ", "JSON": "VARCHAR"}
USERS = ["ann", "../x", "a/b", "..", ".", "ümlaut", "_ann", "%2E%2E", "a b\"c\\d", "'; DROP --",
         "x" * 256, "x" * 255 + "y", "Ann"]
passed = failed = 0


def expect(good, what):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print("FAIL", what[:600])


def same(what, expected, found):
    if expected == found:
        expect(True, what)
        return
    text = "%s: found %r, expected %r" % (what, found, expected)
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [k for k in {**expected, **found} if expected.get(k) != found.get(k)]
        text = "%s: %d of %d rows differ, as %r: found %r, expected %r" % (
            what, len(keys), len(expected), keys[0], found.get(keys[0]), expected.get(keys[0]))
    expect(False, text)


def sub_check(what, call, *arguments):
    """A check of check.py, which notes its failures in a list."""
    before = len(check.failures)
    call(*arguments)
    expect(len(check.failures) == before, what)


class Shell:
    def __init__(self, program, directory):
        self.process = subprocess.Popen([program, "--batch", directory], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, encoding="utf-8")

    def run(self, sql, conn=None, params=None):
        """The rows of the last statement, numbers as text; an error ends the test."""
        frame = {"id": 1, "sql": sql}
        if conn is not None:
            frame["conn"] = "user:" + conn
        if params is not None:
            frame["params"] = params
        self.process.stdin.write(json.dumps(frame) + "\n")
        self.process.stdin.flush()
        rows = []
        for line in self.process.stdout:
            answer = json.loads(line, parse_int=str, parse_float=str)
            if isinstance(answer, list):
                rows.append(answer)
            elif "error" in answer:
                raise RuntimeError("%s: %s" % (sql, line))
            elif "sync" in answer:
                return rows
        raise RuntimeError("the shell ended in " + sql)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


class Column:
    def __init__(self, name, sql_type):
        self.name, self.sql_type = name, sql_type
        self.base, *rest = sql_type.rstrip(")").split("(")
        numbers = [int(n) for n in rest[0].split(",")] if rest else []
        self.precision, self.scale = numbers if self.base == "DECIMAL" else (0, 0)
        self.length = numbers[0] if self.base == "VARCHAR" else 0

    def field(self, field_id, nullable):
        return check.Field("%s %d %d %d %d %d" % (self.name, TYPES[self.base], self.precision,
                                                  self.scale, field_id, nullable))

    def duck_type(self):
        return self.sql_type if self.base == "DECIMAL" else DUCK_TYPES.get(self.base, self.base)


# --- values: a plain form to compare, the text that SQL takes, and back ---


def random_text(rng, most):
    alphabet = "ab%_'\"\\ \n\u00e9\u4e2d\U0001f600" if rng.random() < 0.5 else "abc"
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(most + 1)))


def to_float(v):
    try:
        return struct.unpack("f", struct.pack("f", v))[0]
    except OverflowError:
        return float("inf") if v > 0 else float("-inf")


def random_value(rng, column, in_key=False):
    """In plain form: what check.arrow_values makes of the value."""
    base = column.base
    extreme = rng.random() < 0.2
    if base == "BOOLEAN":
        return rng.random() < 0.5
    if base in ("SMALLINT", "INT", "BIGINT"):
        bits = {"SMALLINT": 15, "INT": 31, "BIGINT": 63}[base]
        if extreme:
            return rng.choice([-2**bits, 2**bits - 1, 0, -1])
        return rng.randrange(-2**bits, 2**bits) if rng.random() < 0.5 else rng.randrange(1000)
    if base in ("FLOAT", "DOUBLE"):
        odd = [float("inf"), float("-inf"), 5e-324 if base == "DOUBLE" else 1.401298464324817e-45,
               1.7976931348623157e308 if base == "DOUBLE" else 3.4028234663852886e38]
        if not in_key:
            odd += [float("nan"), -0.0]
        v = rng.choice(odd) if extreme else rng.gauss(0, 10.0**rng.randrange(-20, 20))
        return check.double_text(to_float(v) if base == "FLOAT" else v)
    if base == "DECIMAL":
        most = 10**column.precision
        n = rng.choice([most - 1, 1 - most, 0]) if extreme else rng.randrange(1 - most, most)
        return format(Decimal(n).scaleb(-column.scale), "f")
    if base in ("TEXT", "VARCHAR"):
        most = column.length or (3000 if extreme and not in_key else 12)
        return random_text(rng, most)
    if base == "BYTES":
        return rng.randbytes(rng.randrange(300 if extreme else 8)).hex()
    if base == "TIMESTAMP":
        low, high = -719162 * DAY, 2932897 * DAY - 1
        return rng.choice([low, high, -1, 0]) if extreme else rng.randrange(low, high)
    if base == "DATE":
        return rng.choice([-719162, 2932896]) if extreme else rng.randrange(-719162, 2932896)
    if base == "TIME":
        return rng.choice([0, DAY - 1]) if extreme else rng.randrange(DAY)
    if base == "UUID":
        return rng.choice(["00" * 16, "ff" * 16]) if extreme else rng.randbytes(16).hex()
    return json.dumps(rng.choice([None, True, 17, "\u00e9\"", [1, [2]], {"a": {"b": [1, "x"]}}]))


def date_text(days):
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def time_text(us):
    return "%02d:%02d:%02d.%06d" % (us // 3600000000, us // 60000000 % 60, us // 1000000 % 60,
                                    us % 1000000)


def to_sql(column, v):
    if v is None:
        return None
    if column.base == "BYTES":
        return "\\x" + v
    if column.base == "TIMESTAMP":
        return date_text(v // DAY) + " " + time_text(v % DAY)
    if column.base == "DATE":
        return date_text(v)
    if column.base == "TIME":
        return time_text(v)
    if column.base == "UUID":
        return str(uuid.UUID(v))
    return v


def days_of(text):
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def micros_of(text):
    clock, _, fraction = text.partition(".")
    h, m, s = clock.split(":")
    return (int(h) * 3600 + int(m) * 60 + int(s)) * 10**6 + int((fraction + "000000")[:6])


def from_sql(column, v):
    if v is None or column.base in ("BOOLEAN", "TEXT", "VARCHAR", "JSON"):
        return v
    if column.base in ("SMALLINT", "INT", "BIGINT"):
        return int(v)
    if column.base in ("FLOAT", "DOUBLE"):
        return check.double_text(to_float(float(v)) if column.base == "FLOAT" else float(v))
    if column.base == "DECIMAL":
        return format(Decimal(v).quantize(Decimal(1).scaleb(-column.scale)), "f")
    if column.base == "BYTES":
        return v[2:]
    if column.base == "DATE":
        return days_of(v)
    if column.base == "TIME":
        return micros_of(v)
    if column.base == "UUID":
        return uuid.UUID(v).hex
    day, clock = v.split(" ")
    return days_of(day) * DAY + micros_of(clock)


def comparable(column, v):
    """JSON may be written in another form than it was given in: the model compares its meaning."""
    return v if column.base != "JSON" or v is None else json.dumps(json.loads(v), sort_keys=True)


# --- a table and its model ---

ALL_TYPES = ["BOOLEAN", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(9,2)",
             "DECIMAL(18,4)", "DECIMAL(38,10)", "TEXT", "VARCHAR(20)", "BYTES", "TIMESTAMP", "DATE",
             "TIME", "UUID", "JSON"]


class Table:
    def __init__(self, name, kind, columns, key, options="", indexed=None):
        self.name, self.kind, self.key = name, kind, key
        self.columns = [Column(*c) for c in columns] + [
            Column("c%d" % i, t) for i, t in enumerate(ALL_TYPES)] + [Column("owner", "TEXT")]
        self.options, self.indexed = options, indexed
        self.rows = {user: {} for user in (USERS if kind == "USER" else [None])}
        self.versions = 1

    def create(self, shell):
        shell.run("CREATE %s TABLE n.%s (%s, PRIMARY KEY (%s))%s" % (
            self.kind, self.name,
            ", ".join("%s %s" % (c.name, c.sql_type) for c in self.columns), ", ".join(self.key),
            self.options))
        if self.indexed:
            shell.run("CREATE INDEX %s_i ON n.%s (%s)" % (self.name, self.name, self.indexed))

    def column(self, name):
        return next(c for c in self.columns if c.name == name)

    def key_of(self, row):
        return tuple(row[k] for k in self.key)

    def random_row(self, rng, user):
        row = {c.name: random_value(rng, c, True) if c.name in self.key else
               None if rng.random() < 0.15 else random_value(rng, c) for c in self.columns}
        row["owner"] = user or "shared"
        return row

    def insert(self, shell, rng, user):
        row = self.random_row(rng, user)
        if self.key_of(row) in self.rows[user]:
            return
        shell.run("INSERT INTO n.%s (%s) VALUES (%s)" % (
            self.name, ", ".join(row), ", ".join("$%d" % (i + 1) for i in range(len(row)))), user,
            [to_sql(self.column(n), v) for n, v in row.items()])
        self.rows[user][self.key_of(row)] = row

    def where_key(self, key, first):
        return (" AND ".join("%s = $%d" % (k, first + i) for i, k in enumerate(self.key)),
                [to_sql(self.column(k), v) for k, v in zip(self.key, key)])

    def update(self, shell, rng, user, key):
        row = self.rows[user][key]
        names = rng.sample([n for n in row if n not in self.key and n != "owner"], 3)
        for n in names:
            row[n] = None if rng.random() < 0.2 else random_value(rng, self.column(n))
        where, values = self.where_key(key, len(names) + 1)
        shell.run("UPDATE n.%s SET %s WHERE %s" % (
            self.name, ", ".join("%s = $%d" % (n, i + 1) for i, n in enumerate(names)), where),
            user, [to_sql(self.column(n), row[n]) for n in names] + values)

    def delete(self, shell, user, key):
        where, values = self.where_key(key, 1)
        shell.run("DELETE FROM n.%s WHERE %s" % (self.name, where), user, values)
        del self.rows[user][key]

    def change(self, shell, rng, inserts):
        for user, rows in self.rows.items():
            for _ in range(inserts):
                self.insert(shell, rng, user)
            for key in rng.sample(list(rows), len(rows) // 5):
                self.update(shell, rng, user, key)
            for key in rng.sample(list(rows), len(rows) // 8):
                self.delete(shell, user, key)

    def alter(self, shell, action):
        shell.run("ALTER TABLE n.%s %s" % (self.name, action))
        self.versions += 1

    def add(self, shell, name, sql_type, default=None, value=None):
        self.alter(shell, "ADD COLUMN %s %s%s" % (name, sql_type,
                                                  " DEFAULT " + default if default else ""))
        self.columns.append(Column(name, sql_type))
        for rows in self.rows.values():
            for row in rows.values():
                row[name] = value

    def drop(self, shell, name):
        self.alter(shell, "DROP COLUMN " + name)
        self.columns = [c for c in self.columns if c.name != name]
        for rows in self.rows.values():
            for row in rows.values():
                del row[name]

    def rename(self, shell, old, new):
        self.alter(shell, "RENAME COLUMN %s TO %s" % (old, new))
        self.column(old).name = new
        self.key = [new if k == old else k for k in self.key]
        for rows in self.rows.values():
            for row in rows.values():
                row[new] = row.pop(old)

    def select(self, shell, user):
        rows = {}
        for found in shell.run("SELECT %s FROM n.%s" % (
                ", ".join(c.name for c in self.columns), self.name), user):
            row = {c.name: from_sql(c, v) for c, v in zip(self.columns, found)}
            expect(self.key_of(row) not in rows, "%s: key %r twice" % (self.name,
                                                                      self.key_of(row)))
            rows[self.key_of(row)] = row
        return rows

    def meaning(self, rows):
        return {k: {c.name: comparable(c, row[c.name]) for c in self.columns}
                for k, row in rows.items()}


def make_tables():
    return [
        Table("u", "USER", [("k", "BIGINT")], ["k"], indexed="c9"),
        Table("s", "SHARED", [("first", "DOUBLE"), ("k", "TEXT")], ["k"], indexed="c12"),
        Table("c", "USER", [("a", "VARCHAR(30)"), ("x", "INT"), ("b", "TIMESTAMP")], ["b", "a"],
              " WITH (COMPRESSION = 'none')"),
        Table("d", "SHARED", [("m", "DECIMAL(18,4)"), ("h", "DOUBLE"), ("g", "UUID")],
              ["g", "h", "m"], " WITH (COMPRESSION = 'none')"),
    ]


def fill(shell, tables, rng):
    shell.run("CREATE NAMESPACE n")
    for table in tables:
        table.create(shell)
    for step in range(5):
        for table in tables:
            table.change(shell, rng, 12 if table.kind == "USER" else 250)
            if step == 1:
                table.add(shell, "late", "DECIMAL(9,2)", "1.50", "1.50")
                table.rename(shell, "c10", "renamed")
            if step == 2:
                table.drop(shell, "c2")
                table.add(shell, "c2", "TEXT")
                table.rename(shell, table.key[0], "the_key")
            if step == 3:
                table.drop(shell, "late")
                table.add(shell, "late", "BYTES", "'\\x00ff'", "00ff")
            shell.run("STORAGE FLUSH TABLE n." + table.name)


# --- what lies below cold/ ---


def load_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def fields_of(schema):
    fields = [Column(c["name"], c["type"]).field(c["id"], "primary_key" not in c)
              for c in schema["columns"]]
    return fields + [Column(n, t).field(i, n != "_seq") for n, t, i in SYSTEM]


def arrow_rows(path, fields):
    table = pq.read_table(path, page_checksum_verification=True)
    columns = [check.arrow_values(f, table.column(i)) for i, f in enumerate(fields)]
    return columns, [dict(zip([f.id for f in fields], row)) for row in zip(*columns)]


class File:
    """One segment, checked by itself."""

    def __init__(self, duck, path, table, folder, rng):
        what = os.path.relpath(path, folder)
        meta = pq.ParquetFile(path).metadata
        pairs = {k.decode(): v.decode() for k, v in meta.metadata.items()}
        schema = load_json(os.path.join(folder, "schema_v%s.json" %
                                        pairs["lamina.schema_version"]))
        self.path, self.pairs = path, pairs
        self.fields = fields_of(schema)
        columns, self.rows = arrow_rows(path, self.fields)
        same(what + ": table", str(schema["table_id"]), pairs["lamina.table_id"])
        sub_check(what + ": field ids", check.check_field_ids, path, self.fields)
        sub_check(what + ": statistics", check.check_statistics, path, self.fields, columns, [])
        found = duck.execute("SELECT %s FROM read_parquet('%s')" % (
            ", ".join(check.duck_select(f) for f in self.fields), path.replace("'", "''")))
        found = found.fetchall()
        for i, field in enumerate(self.fields):
            sub_check(what + ": duckdb " + field.name, check.compare, what, columns[i],
                      check.duck_values(field, [row[i] for row in found]))
        names = set(table.key) | {"c9", "c12", "k", "a", "b", "g"}
        for i, field in enumerate(self.fields):
            if field.name in names:
                sub_check(what + ": filters on " + field.name, check.check_filters, duck,
                          path.replace("'", "''"), field, columns[i], rng)
                sub_check(what + ": pyarrow filters on " + field.name, check.check_arrow_filters,
                          path, field, columns[i], rng)
        owners = {row["owner"] for row in
                  [dict(zip([f.name for f in self.fields], r)) for r in zip(*columns)]
                  if not row["_deleted"]}
        expect(owners <= {pairs.get("lamina.user", "shared")},
               "%s: rows of %r in a file of %r" % (what, owners, pairs.get("lamina.user")))
        lz4 = {meta.row_group(g).column(c).compression for g in range(meta.num_row_groups)
               for c in range(meta.num_columns)}
        expect(lz4 <= ({"UNCOMPRESSED"} if "none" in table.options else {"UNCOMPRESSED", "LZ4"}),
               "%s: compression %r" % (what, lz4))
        seqs = [row[SYSTEM[0][2]] for row in self.rows]
        same(what + ": sequences", (str(min(seqs)), str(max(seqs))),
             (pairs["lamina.min_seq"], pairs["lamina.max_seq"]))
        self.seqs = seqs


def newest(files, key_ids):
    """Newest version of each key over the files, and how many older ones each file holds."""
    best, dead = {}, {f.path: 0 for f in files}
    for f in files:
        for row in f.rows:
            key = tuple(row[i] for i in key_ids)
            old = best.get(key)
            if old is None or old[0] < row[SYSTEM[0][2]]:
                if old:
                    dead[old[1].path] += 1
                best[key] = (row[SYSTEM[0][2]], f, row)
            else:
                dead[f.path] += 1
    return best, dead


def check_manifest(manifest, files, dead, user):
    where = "manifest.json of %r" % user
    same(where + ": user", user, manifest["user_id"])
    stated = {s["file"]: s for s in manifest["segments"]}
    same(where + ": files", sorted(os.path.basename(f.path) for f in files), sorted(stated))
    for f in files:
        s = stated.get(os.path.basename(f.path), {})
        deleted = sum(bool(row[SYSTEM[2][2]]) for row in f.rows)
        same(where + ": " + str(s.get("file")),
             (len(f.rows), os.path.getsize(f.path), deleted, min(f.seqs), max(f.seqs),
              int(f.pairs["lamina.schema_version"]), dead[f.path]),
             tuple(s.get(k) for k in ("row_count", "size_bytes", "deleted_rows", "min_seq",
                                      "max_seq", "schema_version", "dead_rows")))


def duck_default(column, text):
    """The value of rows older than a column, as a constant in DuckDB's text form."""
    if text is None:
        return "NULL"
    if column.base == "BYTES":
        text = "".join("\\x" + text[i:i + 2] for i in range(2, len(text), 2))
    return "'%s'" % text.replace("'", "''")


def merged_view(duck, files, current, key):
    """The table as DuckDB sees it over all files, with columns by field id."""
    columns = [(c["id"], Column(c["name"], c["type"]), c.get("initial"))
               for c in current["columns"]] + [(i, Column(n, t), None) for n, t, i in SYSTEM]
    entries = ["%d: {name: '%s', type: '%s', default_value: %s}" % (
        field_id, c.name, c.duck_type(), duck_default(c, initial))
        for field_id, c, initial in columns]
    paths = ", ".join("'%s'" % f.path.replace("'", "''") for f in files)
    duck.execute("CREATE OR REPLACE TEMP VIEW merged AS SELECT * EXCLUDE (rank_) FROM (SELECT *, "
                 "row_number() OVER (PARTITION BY %s ORDER BY _seq DESC) AS rank_ FROM "
                 "read_parquet([%s], schema = MAP {%s})) WHERE rank_ = 1 AND NOT _deleted" %
                 (", ".join(key), paths, ", ".join(entries)))


def check_queries(duck, shell, table, user, rows, rng):
    """WHERE on the key, on text and on a time: DuckDB, the shell and brute force."""
    names = [table.key[0], "owner", "c9", "c12"]
    for name in names:
        column = table.column(name)
        field = column.field(0, True)
        present = [row[name] for row in rows.values() if row[name] is not None]
        for value in rng.sample(present, min(2, len(present))):
            pivot = check.sort_key(field, value)
            for op, test in (("=", lambda k: k == pivot), (">=", lambda k: k >= pivot),
                             ("<", lambda k: k < pivot)):
                wanted = sum(test(check.sort_key(field, v)) for v in present)
                found = duck.execute("SELECT count(*) FROM merged WHERE %s %s %s" % (
                    name, op, check.duck_literal(field, value))).fetchone()[0]
                same("duckdb %s.%s %s" % (table.name, name, op), wanted, found)
                found = shell.run("SELECT COUNT(*) FROM n.%s WHERE %s %s $1" % (
                    table.name, name, op), user, [to_sql(column, value)])
                same("shell %s.%s %s" % (table.name, name, op), wanted, int(found[0][0]))


def check_user(duck, shell, table, user, directory, folder, current, rng):
    what = "%s of %r" % (table.name, user)
    paths = sorted(glob.glob(os.path.join(glob.escape(directory), "*.parquet")))
    files = [File(duck, path, table, folder, rng) for path in paths]
    expect(len(files) > 1, what + ": %d files" % len(files))
    for f in files:
        same(what + ": owner of a file", user, f.pairs.get("lamina.user"))
    ids = {c["name"]: c["id"] for c in current["columns"]}
    best, dead = newest(files, [ids[k] for k in table.key])
    check_manifest(load_json(os.path.join(directory, "manifest.json")), files, dead, user)
    live = {}
    for key, (_, f, row) in best.items():
        if row[SYSTEM[2][2]]:
            continue
        live[key] = {c.name: row[ids[c.name]] if ids[c.name] in row else
                     from_sql(c, next(j.get("initial") for j in current["columns"]
                                      if j["id"] == ids[c.name])) for c in table.columns}
    shown = table.select(shell, user)
    same(what + ": model and SELECT", table.meaning(table.rows[user]), table.meaning(shown))
    same(what + ": SELECT and pyarrow", shown, live)
    merged_view(duck, files, current, table.key)
    fields = [c.field(0, True) for c in table.columns]
    found = duck.execute("SELECT %s FROM merged" % ", ".join(check.duck_select(f)
                                                             for f in fields)).fetchall()
    columns = [check.duck_values(f, [row[i] for row in found]) for i, f in enumerate(fields)]
    rows = [dict(zip([f.name for f in fields], row)) for row in zip(*columns)]
    same(what + ": SELECT and duckdb", shown, {table.key_of(row): row for row in rows})
    check_queries(duck, shell, table, user, shown, rng)
    return set(paths)


def check_table(duck, shell, table, cold, rng):
    folder = os.path.join(cold, "n", table.name)
    current = load_json(os.path.join(folder, "current.json"))
    same(table.name + ": version", table.versions, current["schema_version"])
    same(table.name + ": current.json", load_json(os.path.join(
        folder, "schema_v%d.json" % table.versions)), current)
    same(table.name + ": columns", sorted((c.name, c.sql_type) for c in table.columns),
         sorted((c["name"], c["type"].replace(", ", ",")) for c in current["columns"]))
    for version in range(1, table.versions + 1):
        same(table.name + ": schema version", version, load_json(os.path.join(
            folder, "schema_v%d.json" % version))["schema_version"])
    if table.kind == "SHARED":
        return check_user(duck, shell, table, None, folder, folder, current, rng)
    directories = sorted(e.path for e in os.scandir(folder) if e.is_dir())
    owners = {load_json(os.path.join(d, "manifest.json"))["user_id"]: d for d in directories}
    same(table.name + ": users", sorted(USERS), sorted(owners))
    same(table.name + ": a folder each", len(USERS), len(directories))
    paths = set()
    for user, directory in owners.items():
        name = os.path.basename(directory)
        expect(name.startswith("_") or urllib.parse.unquote(name) == user,
               "%s: folder %r of user %r" % (table.name, name, user))
        paths |= check_user(duck, shell, table, user, directory, folder, current, rng)
    return paths


def files_below(directory):
    return {os.path.join(d, f) for d, _, names in os.walk(directory) for f in names}


def main():
    program, root = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(2**32)
    print("seed %d, duckdb %s, pyarrow %s" % (seed, duckdb.__version__, pa.__version__))
    rng = random.Random(seed)
    database = os.path.join(root, "db")
    shell, tables = Shell(program, database), make_tables()
    fill(shell, tables, rng)
    same("exit status", 0, shell.close())
    shell = Shell(program, database)
    duck = duckdb.connect()
    duck.execute("SET TimeZone = 'UTC'")
    cold, segments = os.path.join(database, "cold"), set()
    for table in tables:
        segments |= check_table(duck, shell, table, cold, rng)
    same("exit status", 0, shell.close())
    same("what lies beside the database", ["db"], sorted(os.listdir(root)))
    below = files_below(cold)
    same("segments", segments, {p for p in below if p.endswith(".parquet")})
    others = {os.path.basename(p) for p in below - segments}
    expect(all(n in ("manifest.json", "current.json") or n.startswith("schema_v") for n in others),
           "other files below cold/: %r" % others)
    expect(not [p for p in files_below(database) - below
                if p.endswith((".parquet", ".json", ".tmp"))], "cold files outside of cold/")
    print("product: %d files of %d tables" % (len(segments), len(tables)))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
