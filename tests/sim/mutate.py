#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proof that the fault harness can fail: it is run against copies of the product with a fault in them.

    tests/sim/mutate.py bugs [NAME ...]      the seeded bugs of tests/sim/bugs/*.bug; all must be found
    tests/sim/mutate.py mutants [--count N]  a sample of generated faults (a sync left out, two steps
                                             swapped, a return code ignored); prints the survivors

`make test-bugs` and `make test-mutants` set the environment: CC, CFLAGS, LDLIBS, O (build directory of
the mode), SIM_OBJ, FAULT_OBJ, LIBS.

A .bug file says what is wrong, which programs look for it (a name of PROGRAMS, or a test that knows only
its own folder), and which text of which file becomes which:

    about: ...
    world: engine sql tests/lsm/test_backup
    @@@ lsm/dump.c
    text that occurs once
    ===
    what stands there instead

The changed copy is compiled and linked before the archives, so it takes the module's place.
"""
import argparse
import concurrent.futures
import glob
import json
import os
import random
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from harness import ROOT, env, gate, read, words

# What looks for a fault: name, folder and name of the program, arguments; {seed} is filled in.
PROGRAMS = {
    "engine": ("sim", "engine", "--count 150000 --seed {seed}"),
    "threads": ("sim", "threads", "--count 10000 --seed {seed}"),
    "sql": ("sim", "sql", "--count 20000 --seed {seed}"),
    "io-engine": ("fault", "io", "--part engine --seed {seed}"),
    "io-sql": ("fault", "io", "--part sql --seed {seed}"),
    "oom": ("fault", "oom", "--part engine --seed {seed}"),
    "files": ("fault", "corrupt", "--sweep files --seed {seed}"),
    "corrupt": ("fault", "corrupt", "--seed {seed}"),
}


class Fault:
    """A change of one or more files, with the programs that should notice."""

    def __init__(self, name, about, worlds, texts):
        self.name, self.about, self.worlds, self.texts = name, about, worlds, texts


def load_bug(path):
    name = os.path.basename(path)[:-4]
    head, *hunks = read(path).split("@@@ ")
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
    texts = {}
    for hunk in hunks:
        where, body = hunk.split("\n", 1)
        where = where.strip()
        old, new = body.split("\n===\n", 1)
        new = new.rstrip("\n")
        text = texts.get(where) or read(where)
        if text.count(old) != 1:
            sys.exit(f"{path}: the text to change occurs {text.count(old)} times in {where}:\n{old}")
        texts[where] = text.replace(old, new)
    return Fault(name, fields["about"], fields["world"].split(), texts)


def build(fault, world, folder):
    """Returns (program, None), or (None, compiler's output)."""
    objects, out = [], env("O")
    texts = dict(fault.texts)
    is_test = world.startswith("tests/")
    if is_test:
        texts.update({source: read(source) for source in (world + ".c", "tests/support/test.c")})
    for where, text in texts.items():
        source = os.path.join(folder, where)
        obj = source[:-2] + ".o"
        os.makedirs(os.path.dirname(source), exist_ok=True)
        if not os.path.exists(obj):
            with open(source, "w") as f:
                f.write(text)
            run = subprocess.run([*words("CC"), *words("CFLAGS"), "-w", "-O1", "-g0", "-c", source, "-o", obj],
                                 cwd=ROOT, capture_output=True, text=True)
            if run.returncode:
                return None, run.stderr
        objects.append(obj)
    if is_test:
        name = os.path.basename(world)
        objects += [f"{out}/obj/tests/support/{n}.o" for n in ("env_fault", "gate")]
        check = subprocess.run(["pkg-config", "--libs", "check"], capture_output=True, text=True)
        libraries = check.stdout.split()
    else:
        kind, name, _ = PROGRAMS[world]
        objects = [f"{out}/obj/tests/{kind}/prog_{name}.o", *(words("FAULT_OBJ") if kind == "fault" else []),
                   *words("SIM_OBJ"), *objects]
        libraries = []
    program = os.path.join(folder, name)
    if os.path.exists(program):
        return program, None
    run = subprocess.run([*words("CC"), *words("CFLAGS"), "-o", program, *objects, *words("LIBS"), *libraries,
                          *words("LDLIBS")], cwd=ROOT, capture_output=True, text=True)
    return (program, None) if run.returncode == 0 else (None, run.stderr)


def hunt(fault, folder, seed, seconds):
    """Runs the programs until one fails. Returns (verdict, world, seconds, last line of output)."""
    begun = time.monotonic()
    for world in fault.worlds:
        program, why = build(fault, world, folder)
        if not program:
            return "unbuilt", world, 0, why.strip().splitlines()[0] if why.strip() else "?"
        args = "" if world.startswith("tests/") else PROGRAMS[world][2]
        log = os.path.join(folder, os.path.basename(world) + ".log")
        with open(log, "w") as out:
            try:
                run = subprocess.run([program, *args.format(seed=seed).split()], cwd=ROOT, stdout=out,
                                     stderr=subprocess.STDOUT, timeout=seconds)
            except subprocess.TimeoutExpired:
                return "hung", world, time.monotonic() - begun, f"no end after {seconds} s"
        with open(log, errors="replace") as f:
            lines = [l for l in f.read().splitlines() if l.strip()]
        # A gate that only missed its count proves nothing.
        seen = world.startswith("tests/") or run.returncode < 0 or any(json.loads(l)["failed"] for l in lines if l.startswith('{"gate"'))
        if run.returncode and seen:
            told = [l for l in lines if not l.startswith(("replay:", "{", " "))]
            return "found", world, time.monotonic() - begun, (told or ["no output"])[-1][:160]
        if run.returncode:
            return "broken", world, time.monotonic() - begun, lines[-1][:160] if lines else "no output"
    return "missed", " ".join(fault.worlds), time.monotonic() - begun, ""


def hunt_all(faults, args):
    folder = os.path.join(os.path.abspath(env("O")), "mutants")
    results = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = {}
        for f in faults:
            own = os.path.join(folder, f.name)
            subprocess.run(["rm", "-rf", own], check=True)
            futures[pool.submit(hunt, f, own, args.seed, args.seconds)] = (f, own)
        for done in concurrent.futures.as_completed(futures):
            f, own = futures[done]
            verdict, world, seconds, text = done.result()
            print(f"{verdict:7} {f.name:36} {world:8} {seconds:6.1f} s  {text}", flush=True)
            if verdict == "found":
                subprocess.run(["rm", "-rf", own], check=True)
            results.append((f, verdict))
    return results


def run_bugs(args):
    paths = sorted(glob.glob(os.path.join(ROOT, "tests/sim/bugs/*.bug")))
    faults = [load_bug(p) for p in paths]
    if args.names:
        unknown = set(args.names) - {f.name for f in faults}
        if unknown:
            sys.exit(f"mutate.py: no such bug: {' '.join(sorted(unknown))}")
        faults = [f for f in faults if f.name in args.names]
    results = hunt_all(faults, args)
    missed = [f for f, verdict in results if verdict != "found"]
    for f in missed:
        print(f"not found: {f.name}: {f.about}\nreplay: make test-bugs BUGS={f.name}")
    required = len(faults) if args.names else args.required
    return gate("seeded bugs found", required, len(results) - len(missed), len(missed), args.seed)


# --- generated faults ---------------------------------------------------------------------------

CORE = """lsm/wal_writer.c lsm/db_wal.c lsm/db_sync.c lsm/db_write.c lsm/dump.c lsm/compact.c lsm/manifest_log.c
lsm/superblock.c lsm/recover.c lsm/recover_log.c lsm/recover_state.c lsm/db_close.c lsm/db_manifest.c
lsm/db_partition.c lsm/gc.c lsm/sst_output.c lsm/sst_builder.c lsm/log_reader.c base/env.c""".split()
UPPER = """flush/flush_write.c flush/flush_commit.c flush/flush_job.c flush/supersede.c flush/orphan.c
catalog/ddl_table.c catalog/ddl_index.c catalog/ddl_alter.c catalog/rows.c catalog/doomed.c""".split()

SYNC = re.compile(r"\b(?:env_file_sync|env_dir_sync|db_sync_to|lam_sync|wal_writer_sync|db_sync_parent)\([^;{}]*?\)"
                  r"(?=\)*[;,)]| ==)")
IGNORED = re.compile(r"^( +)(TRY|TRY_GOTO)\((.*)\);$")
CHECKED = re.compile(r"^( +(?:\} else )?if \()rc == LAM_OK(?: && |(\)))")
CALL = re.compile(r"^ +(?!return|goto|LAM_ASSERT|DEBUG_ASSERT|mutex_|cond_wait|buf_fini|mem_free|break|continue)"
                  r"[a-z_]+(?:\(.*\)|(?:->|\.)[a-z_>.\-\[\]]+ [|+]?= .*);$")


def balanced(text):
    depth = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if depth < 0:
            return False
    return depth == 0


def mutations(path):
    """Yields (line number, what, changed text)."""
    text = read(path)
    lines = text.split("\n")

    def changed(i, new):
        return "\n".join(lines[:i] + new + lines[i + 1:])

    inside = False
    for i, line in enumerate(lines):
        inside = (inside or line.startswith("{") or line.endswith("{")) and not line.startswith("}")
        if not inside or not line.startswith(" "):
            continue
        for m in SYNC.finditer(line):
            call = m.group(0)
            while not balanced(call) and call.endswith(")"):
                call = call[:-1]
            if balanced(call):
                yield i + 1, f"without {call}", changed(i, [line.replace(call, "LAM_OK")])
        m = IGNORED.match(line)
        if m and balanced(m.group(3)):
            yield i + 1, f"ignores {m.group(3)}", changed(i, [f"{m.group(1)}(void)({m.group(3)});"])
        m = CHECKED.match(line)
        if m:
            yield i + 1, f"does not look at rc: {line.strip()}", changed(
                i, [line.replace("rc == LAM_OK", "true", 1)])
        following = lines[i + 1] if i + 1 < len(lines) else ""
        both = [l for l in (line, following) if (IGNORED.match(l) or CALL.match(l)) and balanced(l)]
        indent = len(line) - len(line.lstrip())
        if len(both) == 2 and indent == len(following) - len(following.lstrip()):
            yield i + 1, f"swaps {line.strip()} | {following.strip()}", "\n".join(
                lines[:i] + [following, line] + lines[i + 2:])
        if CALL.match(line) and balanced(line):
            before = lines[i - 1].rstrip()
            new = [";"] if re.search(r"\)$|else$", before) and not before.endswith(";") else []
            yield i + 1, f"without {line.strip()}", changed(i, new)


def run_mutants(args):
    rng = random.Random(args.seed)
    faults = []
    files = args.names or CORE + UPPER
    for path in files:
        worlds = ["sql", "io-sql"]
        if path.startswith(("lsm", "base")):
            worlds = ["engine", "threads", "io-engine", "corrupt"]
        for n, (line, what, text) in enumerate(mutations(path)):
            name = f"{path.replace('/', '_')[:-2]}-{line}-{n}"
            faults.append(Fault(name, f"{path}:{line}: {what}", worlds, {path: text}))
    print(f"{len(faults)} possible faults, {min(args.count, len(faults))} tried")
    results = hunt_all(rng.sample(faults, min(args.count, len(faults))), args)
    survivors = [f for f, verdict in results if verdict == "missed"]
    tried = sum(verdict != "unbuilt" for _, verdict in results)
    for f in sorted(survivors, key=lambda f: f.about):
        print(f"survived: {f.about}")
    print(f"{tried - len(survivors)} of {tried} found")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["bugs", "mutants"])
    parser.add_argument("names", nargs="*", help="bugs by name, or files to mutate")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--required", type=int, default=20)
    parser.add_argument("--seed", default="0x1a")
    parser.add_argument("--seconds", type=int, default=120, help="for one program")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    sys.exit(0 if (run_bugs if args.what == "bugs" else run_mutants)(args) else 1)


if __name__ == "__main__":
    main()
