#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A tier of the fault tests: runs its programs, as many at a time as there are processors, and ends in
one table: gate, required, reached, failed, seed. `make test-faults` and `make test-faults-long` set O,
the build directory of the mode, and what mutate.py wants.

    tests/fault/run.py fast|long [--seed HEX] [--only NAME ...]

The fast tier has a fixed seed: it passes always or never. The long tier takes the commit's, so that each
commit sees other trials, and always the same.
"""
import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
import time

# Seconds after which a job counts as hung: many times what the longest takes, so that only a defect gets there.
HUNG_AFTER = {"fast": 2400, "long": 14400}
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIERS = os.path.join(ROOT, "tests/fault/tiers.txt")


def commit_seed():
    run = subprocess.run(["git", "rev-parse", "--short=8", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return int(run.stdout.strip(), 16) if run.returncode == 0 else 0x1A


def jobs_of(tier, seed):
    """Lines of tiers.txt: tier, name, command; {O}, {seed} and {seed+N} are filled in."""
    jobs = []
    with open(TIERS) as f:
        for line in f:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            where, name, command = line.split(None, 2)
            if where not in (tier, "both"):
                continue
            for n in range(10):
                command = command.replace("{seed+%d}" % n, hex((seed + n * 0x9E3779B1) & 0xFFFFFFFF))
            command = command.replace("{seed}", hex(seed)).replace("{O}", os.environ["O"])
            command = command.replace("{B}", os.environ["B"])
            jobs.append((name, command))
    return jobs


RUNNING = set()  # process groups


def end_all(number, frame):
    """An interrupted run leaves nothing behind."""
    for group in RUNNING:
        os.killpg(group, signal.SIGKILL)
    os._exit(128 + number)


def run_job(name, command, logs, limit):
    """Exit status, seconds by the wall, seconds of processor."""
    begun = time.monotonic()
    with open(os.path.join(logs, name + ".log"), "w") as log:
        job = subprocess.Popen(command, shell=True, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
                               start_new_session=True)
        RUNNING.add(job.pid)
        hung = threading.Timer(limit, os.killpg, (job.pid, signal.SIGKILL))
        hung.start()
        _, status, usage = os.wait4(job.pid, 0)
        hung.cancel()
        RUNNING.discard(job.pid)
        seconds = time.monotonic() - begun
        if seconds >= limit:
            log.write(f"\nhung: ended after {limit} s\n")
    return os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime


def gates_of(path):
    gates = []
    with open(path, errors="replace") as f:
        for line in f:
            if line.startswith('{"gate"'):
                gates.append(json.loads(line))
    return gates


def print_failure(name, command, path):
    print(f"--- {name} FAILED: {command}")
    with open(path, errors="replace") as f:
        lines = f.read().splitlines()
    for line in [l for l in lines if l.startswith("replay:")][:5] or ["(no replay line)"]:
        print(f"    {line}")
    for line in lines[-30:]:
        print(f"    {line}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tier", choices=["fast", "long"])
    parser.add_argument("--seed", type=lambda s: int(s, 16), default=None)
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    seed = args.seed
    if seed is None:
        seed = commit_seed() if args.tier == "long" else 0x1A
    jobs = jobs_of(args.tier, seed)
    unknown = set(args.only or ()) - {name for name, _ in jobs}
    if unknown:
        sys.exit(f"run.py: no such job in the {args.tier} tier: {' '.join(sorted(unknown))}; it has: "
                 f"{' '.join(name for name, _ in jobs)}")
    jobs = [j for j in jobs if not args.only or j[0] in args.only]
    logs = os.path.join(os.environ["O"], "fault-logs")
    os.makedirs(logs, exist_ok=True)
    signal.signal(signal.SIGINT, end_all)
    signal.signal(signal.SIGTERM, end_all)
    begun = time.monotonic()
    print(f"{len(jobs)} jobs, seed {hex(seed)}, logs in {logs}", flush=True)
    table, failed = {}, []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {pool.submit(run_job, name, command, logs, HUNG_AFTER[args.tier]): (name, command) for name, command in jobs}
        for done in concurrent.futures.as_completed(futures):
            name, command = futures[done]
            code, seconds, cpu = done.result()
            path = os.path.join(logs, name + ".log")
            gates = gates_of(path)
            ok = code == 0 and gates and all(g["ok"] for g in gates)
            print(f"{name:24} {'ok' if ok else 'FAILED':6} {seconds:7.1f} s, {cpu:6.1f} s of processor", flush=True)
            if not ok:
                failed.append((name, command, path))
            for g in gates:
                row = table.setdefault(g["gate"], {"required": 0, "reached": 0, "failed": 0, "seeds": [], "ok": True})
                for key in ("required", "reached", "failed"):
                    row[key] += g[key]
                row["ok"] = row["ok"] and g["ok"]
                if g["seed"] not in ("0x0", "0") and g["seed"] not in row["seeds"]:
                    row["seeds"].append(g["seed"])
    print(f"\n{'gate':48} {'required':>12} {'reached':>12} {'failed':>7}  {'':6} seed")
    for gate, row in sorted(table.items()):
        print(f"{gate:48} {row['required']:>12,} {row['reached']:>12,} {row['failed']:>7,}  "
              f"{'ok' if row['ok'] else 'FAILED':6} {' '.join(row['seeds'])}")
    print(f"{args.tier} tier: {time.monotonic() - begun:.0f} s")
    for name, command, path in failed:
        print_failure(name, command, path)
    sys.exit(1 if failed or not table else 0)


if __name__ == "__main__":
    main()
