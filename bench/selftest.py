#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the benchmark itself, with few keys: every row that is promised is there, did all of its
work, wrote and synced what it says; an engine that lies is found out; tables and plots are made.

    bench/selftest.py PROGRAM
"""
import csv
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

sys.dont_write_bytecode = True
import figures

N = 2000
# Operations of each row with N keys; rows without an entry do N.
LIMITED = {"firstkey", "firstkey_dumped"}  # as many as time allows
E = N // 10 + N // 200                      # YCSB E runs over what D inserted
OPERATIONS = {
    "seek10_mem": N // 10, "seek10": N // 10, "seek10_compacted": N // 10,
    "multiget32_mem": N // 32 * 32, "multiget32": N // 32 * 32, "multiget32_compacted": N // 32 * 32,
    "longiter_read": N // 2, "deleteseq": N // 2, "deleterange": N // 4, "scan_rangedeleted": N // 4,
    "fillsync8": 8 * N, "open": 5, "part_create": 99, "part_open": 100,
    "fill4k": 100, "read4k": 100, "scan4k": 100, "fill64k": 20, "read64k": 20, "scan64k": 20,
    "cold_read": 100, "limited_seek10": N // 10, "sustained": 2 * N, "sql-insert": N // 5, "sql-insert-1000": N - N // 5,
    "sql-point-select": N // 5, "cold-point-select": N // 500 + 1,
}
# Rows whose size follows the draws of YCSB: a range.
RANGES = {"ycsbE": (N // 10, E * 2), "deleterandom": (N // 2, N), "scan_halfdeleted": (N // 2, N),
          "rww_write": (1, 1 << 40), "queue": (1, N)}
LIES = {
    "write-some": "fillrandom,readrandom", "get-nothing": "readrandom", "get-first": "readrandom",
    "read-fewer": "readseq", "read-untouched": "readseq", "write-unsynced": "fillsync",
    "delete-range-not": "deleterange",
}

failures = []


def check(condition, text):
    if not condition:
        failures.append(text)


def run(program, directory, *arguments):
    return subprocess.run([program, "-n", str(N), "-d", directory, "-m", "16", *arguments], check=False,
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def promised_rows(program):
    rows = []
    for line in subprocess.check_output([program, "-L"], text=True).splitlines():
        words = line.split()
        if words[0] == "group":
            rows += words[2:]
    return rows


def check_rows(program, rows):
    """rows: of the file, in order."""
    names = [r["workload"] for r in rows]
    for name in promised_rows(program):
        check(names.count(name) == 1, f"{name}: {names.count(name)} rows, expected 1")
    for r in rows:
        name, operations = r["workload"], int(r["operations"])
        if name in LIMITED:
            check(operations > 0, f"{name}: no operations")
            continue
        low, high = RANGES.get(name, (OPERATIONS.get(name, N),) * 2)
        check(low <= operations <= high, f"{name}: {operations} operations, expected {low} to {high}")
        check(name in RANGES or r["cut"] == "0", f"{name}: cut short")
        check(float(r["wall_s"]) > 0 and float(r["cpu_us_per_op"]) > 0, f"{name}: took no time")
    by_name = {r["workload"]: r for r in rows}
    check(int(by_name["fillsync"]["syncs"]) >= N, "fillsync: fewer syncs than commits")
    check(int(by_name["fillsync8"]["syncs"]) >= N, "fillsync8: fewer syncs than groups of eight")
    check(int(by_name["fillrandom"]["syncs"]) < N / 10, "fillrandom: syncs, though it has OS durability")
    written, user = float(by_name["sustained"]["written_mib"]), float(by_name["sustained"]["user_mib"])
    check(written >= user > 0, f"sustained: {written} MiB written of {user} MiB put")


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        path, timeline = os.path.join(directory, "results.csv"), os.path.join(directory, "timeline.csv")
        done = run(program, directory, "-o", path, "-T", timeline, "-l", "60")
        check(done.returncode == 0, f"the run failed: {done.stderr.strip()}")
        if not failures:
            check_rows(program, list(csv.DictReader(open(path, newline=""))))
            subprocess.run([sys.executable, figures.__file__, directory], check=True)
            for name in ("ratios.svg", "latency.svg", "throughput.svg", "stalls.svg"):
                made = os.path.join(directory, name)
                if os.path.exists(made):
                    xml.etree.ElementTree.parse(made)
                check(os.path.exists(made) or name == "ratios.svg", f"{name} was not made")
        for lie, rows in LIES.items():
            done = run(program, directory, "-Z", lie, "-w", rows)
            check(done.returncode == 1 and done.stderr, f"the lie {lie} was not noticed by {rows}")
    for text in failures:
        print(f"bench selftest: {text}")
    print(f"bench selftest: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
