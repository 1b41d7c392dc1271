#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Branch coverage of a folder ("taken at least once", by gcov -b), as a gate.

    tests/fault/coverage.py fast|long [--folder lsm] [--seed HEX] [--jobs N] [--missing]
                            [--only NAME ...] [--add]

Compiles the folder with coverage, links its own tests and the harness's programs with it, runs them, and
counts. `make coverage` sets the environment: CC, CFLAGS, LDLIBS, O (build directory of the mode), SIM_OBJ,
FAULT_OBJ, LIBS. Branches of asserts are left out: that they are never taken is their point. --missing lists
the lines with a branch that was not taken. --add counts on top of the last run: with --only, what a test
adds to it.
"""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from harness import ROOT, env, gate, read, words

ASSERT = re.compile(r"\b(LAM_ASSERT|DEBUG_ASSERT|UNREACHABLE)\(")
REQUIRED = {"fast": 90, "long": 95}

# Programs of the harness with their arguments, by tier; {seed} is filled in. The folder's own tests
# (tests/<folder>/test_*.c) run in both.
PROGRAMS = {
    "fast": [
        "sim/engine --count 2000 --seed {seed}",
        "sim/threads --count 200 --seed {seed}",
    ],
    "long": [
        "fault/io --part engine --stride 7",
        "fault/oom --part engine --stride 7",
        "sim/engine --count 2000 --seed {seed}",
        "sim/threads --count 200 --seed {seed}",
    ],
}
# Tests of other folders that run as well.
OTHER_TESTS = {
    "fast": ["tests/process/test_misuse.c", "tests/process/test_fork.c"],
    "long": ["tests/process/test_*.c", "tests/crash/test_*.c", "tests/sim/test_*.c", "tests/fault/test_*.c"],
}


def must_run(command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{shlex.join(command)}\n{run.stderr}")
    return run.stdout


class Build:
    """The folder's archive with coverage, and programs that are linked with it."""

    def __init__(self, folder, jobs, add):
        self.folder, self.jobs = folder, jobs
        self.out = os.path.join(os.path.abspath(env("O")), "coverage")
        if not add:
            shutil.rmtree(self.out, ignore_errors=True)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            flags = ["-O0", "-U_FORTIFY_SOURCE", "--coverage", "-fprofile-update=atomic"]
            objects = list(pool.map(lambda s: self.compile_once(s, flags), sources(f"{folder}/*.c")))
        self.check = self.compile("tests/support/test.c", ["-O1"])
        archive = folder.replace("/", "_") + ".a"
        must_run(["ar", "rcs", os.path.join(self.out, archive), *objects])
        self.libraries = [os.path.join(self.out, archive) if os.path.basename(l) == archive else l
                          for l in words("LIBS")]

    def compile(self, source, flags):
        obj = os.path.join(self.out, "obj", source[:-2] + ".o")
        os.makedirs(os.path.dirname(obj), exist_ok=True)
        must_run([*words("CC"), *words("CFLAGS"), *flags, "-c", source, "-o", obj])
        return obj

    def compile_once(self, source, flags):
        obj = os.path.join(self.out, "obj", source[:-2] + ".o")
        if os.path.exists(obj) and os.path.getmtime(obj) > os.path.getmtime(os.path.join(ROOT, source)):
            return obj
        counts = obj[:-2] + ".gcda"
        if os.path.exists(counts):
            os.remove(counts)
        return self.compile(source, flags)

    def link(self, name, objects, libraries):
        program = os.path.join(self.out, name)
        os.makedirs(os.path.dirname(program), exist_ok=True)
        must_run([*words("CC"), *words("CFLAGS"), "--coverage", "-Wl,-u,__gcov_dump", "-o", program, *objects,
                  *self.libraries, *libraries, *words("LDLIBS")])
        return program

    def harness(self, kind):
        return (words("FAULT_OBJ") if kind == "fault" else []) + words("SIM_OBJ")

    def program(self, name):
        kind, base = name.split("/")
        return self.link(name, [f"{env('O')}/obj/tests/{kind}/prog_{base}.o", *self.harness(kind)], [])

    def test(self, source):
        objects = [self.compile(source, ["-O1"]), self.check]
        text = read(source)
        text += "".join(read(header) for header in re.findall(r'#include "(tests/[^"]*)"', text))
        if '"tests/fault/' in text or '"tests/sim/' in text:
            objects += self.harness("fault" if '"tests/fault/' in text else "sim")
        else:
            objects += [f"{env('O')}/obj/tests/support/{n}.o" for n in ("env_fault", "gate")]
        libraries = must_run(["pkg-config", "--libs", "check"]).split()
        return self.link(source[:-2], objects, libraries)


def sources(*patterns):
    return sorted(os.path.relpath(p, ROOT) for g in patterns for p in glob.glob(os.path.join(ROOT, g)))


def work_of(tier, folder, seed):
    """Names of tests and command lines of programs, the longest first."""
    tests = sources(f"tests/{folder}/test_*.c", *OTHER_TESTS[tier])
    return [p.format(seed=seed) for p in PROGRAMS[tier]] + tests


def run_one(build, item):
    name, *args = item.split()
    program = build.test(name) if name.endswith(".c") else build.program(name)
    begun = time.monotonic()
    run = subprocess.run([program, *args], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         errors="replace")
    # A short run of a program misses its counts; that is no failure here.
    gates = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"gate"')]
    missed = run.returncode == 1 and gates and not any(g["failed"] for g in gates)
    return run.returncode == 0 or missed, run.stdout, time.monotonic() - begun


def run_all(build, items):
    """Whether all held."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(build.jobs) as pool:
        futures = {pool.submit(run_one, build, item): item for item in items}
        for done in concurrent.futures.as_completed(futures):
            ok, output, seconds = done.result()
            print(f"{futures[done]:60} {'ok' if ok else 'FAILED':6} {seconds:7.1f} s", flush=True)
            if not ok:
                failed += 1
                print("\n".join(output.splitlines()[-30:]))
    return failed == 0


def assert_lines(path):
    lines, inside = set(), False
    for number, line in enumerate(read(path).splitlines(), 1):
        inside = inside or ASSERT.search(line) is not None
        if inside:
            lines.add(number)
        if inside and line.rstrip().endswith(";"):
            inside = False
    return lines


def count(build):
    """By file and line, how often each branch was taken; also of objects that nothing has run."""
    taken = collections.defaultdict(list)
    for note in glob.glob(f"{build.out}/obj/{build.folder}/*.gcno"):
        for document in must_run(["gcov", "-b", "--json-format", "--stdout", note]).splitlines():
            for f in json.loads(document)["files"]:
                name = os.path.relpath(os.path.join(ROOT, f["file"]), ROOT)
                if not name.startswith(build.folder + "/"):
                    continue
                for line in f["lines"]:
                    for i, branch in enumerate(line["branches"]):
                        key = (name, line["line_number"], line.get("function_name", ""), i)
                        taken[key].append(branch["count"])
    return taken


def report(taken, missing_too):
    """Prints a table; returns (branches, of them taken)."""
    skipped = {name: assert_lines(name) for name in {k[0] for k in taken}}
    total, hit = collections.Counter(), collections.Counter()
    missing = collections.defaultdict(set)
    for (name, line, _, _), counts in taken.items():
        if line in skipped[name]:
            continue
        total[name] += 1
        if any(counts):
            hit[name] += 1
        else:
            missing[name].add(line)
    for name in sorted(total, key=lambda n: hit[n] / total[n]):
        print(f"{name:32} {hit[name]:5} of {total[name]:5}  {100 * hit[name] / total[name]:5.1f} %")
    for name in sorted(missing) if missing_too else []:
        text = read(name).splitlines()
        for line in sorted(missing[name]):
            print(f"{name}:{line}: {text[line - 1].strip()}")
    return sum(total.values()), sum(hit.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tier", choices=sorted(REQUIRED))
    parser.add_argument("--folder", default="lsm")
    parser.add_argument("--seed", default="0x1a")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="*", help="names of tests and programs, or parts of them")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--add", action="store_true", help="to the counts of the last run")
    args = parser.parse_args()
    build = Build(args.folder, args.jobs, args.add)
    work = work_of(args.tier, args.folder, args.seed)
    held = run_all(build, [w for w in work if not args.only or any(o in w for o in args.only)])
    branches, reached = report(count(build), args.missing)
    percent = 100 * reached / branches if branches else 0
    print(f"{args.folder}: {reached} of {branches} branches, {percent:.1f} %")
    ok = gate(f"branch coverage of {args.folder}, per mille", REQUIRED[args.tier] * 10, int(percent * 10),
              0 if held else 1, "0x0")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
