#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Branch coverage of a folder ("taken at least once", by gcov -b), as a gate.

    tests/fault/coverage.py --folder lsm --required 90 [--missing]

O is the build directory of MODE=cov, in which the tests have run. Branches of asserts are left out: that
they are never taken is their point. --missing lists lines with a branch that was not taken.
"""
import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ASSERT = re.compile(r"\b(LAM_ASSERT|DEBUG_ASSERT|UNREACHABLE)\(")


def assert_lines(path):
    lines, inside = set(), False
    with open(os.path.join(ROOT, path)) as f:
        for number, line in enumerate(f, 1):
            inside = inside or ASSERT.search(line) is not None
            if inside:
                lines.add(number)
            if inside and line.rstrip().endswith(";"):
                inside = False
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", default="lsm")
    parser.add_argument("--required", type=float, default=90)
    parser.add_argument("--missing", action="store_true")
    args = parser.parse_args()
    out = os.environ["O"]
    # Every object counts, also one that no test has run: its notes are there.
    notes = glob.glob(f"{out}/obj/{args.folder}/*.gcno")
    taken = collections.defaultdict(list)
    for note in notes:
        run = subprocess.run(["gcov", "-b", "--json-format", "--stdout", note], cwd=ROOT, capture_output=True,
                             text=True)
        for document in run.stdout.splitlines():
            for f in json.loads(document)["files"]:
                name = os.path.relpath(os.path.join(ROOT, f["file"]), ROOT)
                if not name.startswith(args.folder + "/"):
                    continue
                for line in f["lines"]:
                    for i, branch in enumerate(line["branches"]):
                        key = (name, line["line_number"], line.get("function_name", ""), i)
                        taken[key].append(branch["count"])
    skipped = {name: assert_lines(name) for name in {k[0] for k in taken}}
    total = collections.Counter()
    hit = collections.Counter()
    missing = collections.defaultdict(set)
    for (name, line, function, i), counts in taken.items():
        if line in skipped[name]:
            continue
        total[name] += 1
        if any(counts):
            hit[name] += 1
        else:
            missing[name].add(line)
    for name in sorted(total, key=lambda n: hit[n] / total[n]):
        print(f"{name:32} {hit[name]:5} of {total[name]:5}  {100 * hit[name] / total[name]:5.1f} %")
    if args.missing:
        for name in sorted(missing):
            with open(os.path.join(ROOT, name)) as f:
                text = f.read().splitlines()
            for line in sorted(missing[name]):
                print(f"{name}:{line}: {text[line - 1].strip()}")
    branches, reached = sum(total.values()), sum(hit.values())
    percent = 100 * reached / branches if branches else 0
    ok = percent >= args.required
    print(f"{args.folder}: {reached} of {branches} branches, {percent:.1f} %")
    print(json.dumps({"gate": f"branch coverage of {args.folder}, per cent x 10", "required": int(args.required * 10),
                      "reached": int(percent * 10), "failed": 0 if ok else 1, "seed": "0x0", "ok": ok}))
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
