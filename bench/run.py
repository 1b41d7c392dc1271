#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmark program for all engines and rounds, interleaved: each group of workloads is
run by every engine, one process each, before the next group. Writes OUT/results.csv (a row per
engine, workload and round), OUT/timeline.csv, and prints medians and ratios.

    bench/run.py --program PROGRAM --out OUT [--engines a,b] [--keys N] [--rounds R] [--only X,Y]
"""
import argparse
import csv
import os
import platform
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import figures


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--program", required=True, help="lamina-bench or lamina-bench-peers")
    p.add_argument("--out", required=True, help="directory of results, made if missing")
    p.add_argument("--data", help="directory of the databases (default: OUT/data)")
    p.add_argument("--engines", help="names with commas (default: all of the program)")
    p.add_argument("--keys", type=int, default=1000000)
    p.add_argument("--operations", type=int, help="at most so many in a row that no other builds upon")
    p.add_argument("--once", default="", help="engines with commas that run in the first round only")
    p.add_argument("--memory", type=int, default=512, help="MiB for each engine")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", help="groups or rows with commas")
    p.add_argument("--limit", type=int, default=30, help="seconds after which a row is cut short")
    p.add_argument("--group-limit", type=int, default=600, help="seconds after which a process is ended")
    p.add_argument("--minutes", type=float, help="no group is begun after so long")
    p.add_argument("--quiet", action="store_true", help="print progress, not rows")
    return p.parse_args()


def capabilities(program):
    engines, groups = [], []
    for line in subprocess.check_output([program, "-L"], text=True).splitlines():
        words = line.split()
        (engines if words[0] == "engine" else groups).append((words[1], words[2:]))
    return [name for name, _ in engines], groups


def file_system(path):
    best = ("", "unknown")
    real = os.path.realpath(path)
    for line in open("/proc/mounts"):
        mount, kind = line.split()[1:3]
        if (real == mount or real.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def machine(data):
    """What kind of machine this is, without its name."""
    memory = int(next(l for l in open("/proc/meminfo") if l.startswith("MemTotal")).split()[1])
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")),
                 platform.machine())
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{os.cpu_count()} cores ({model}); {round(memory / 2**20)} GiB; Linux {kernel}; {file_system(data)}"


def commit():
    try:
        name = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True,
                                       stderr=subprocess.DEVNULL).strip()
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "base", "lsm", "include", "bench"],
                               check=False).returncode
        return name + ("+changes" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def run_process(command, limit, quiet):
    """Standard output goes through unless quiet; returns an error text or None."""
    try:
        done = subprocess.run(command, timeout=limit, check=False, text=True, stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL if quiet else None)
    except subprocess.TimeoutExpired:
        return f"ended after {limit} s"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return None


def finish(raw, out, columns):
    """The program's rows with what is the same for all."""
    if not os.path.exists(raw):
        return
    with open(raw, newline="") as source, open(out, "w", newline="") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, reader.fieldnames + list(columns), lineterminator="\n")
        writer.writeheader()
        for row in reader:
            writer.writerow({**row, **columns})


def main():
    a = arguments()
    names, groups = capabilities(a.program)
    engines = a.engines.split(",") if a.engines else names
    unknown = set(engines) - set(names)
    if unknown:
        sys.exit(f"this program has no engine {', '.join(sorted(unknown))}")
    wanted = set(a.only.split(",")) if a.only else None
    known = {name for name, _ in groups} | {row for _, rows in groups for row in rows}
    if wanted and wanted - known:
        sys.exit(f"no group or row {', '.join(sorted(wanted - known))}; {a.program} -L lists them")
    data = a.data or os.path.join(a.out, "data")
    os.makedirs(data, exist_ok=True)
    raw, timeline = os.path.join(a.out, "raw.csv"), os.path.join(a.out, "timeline.csv")
    for old in (raw, timeline):
        if os.path.exists(old):
            os.remove(old)
    begun, failures, stopped = time.time(), [], False
    results = os.path.join(a.out, "results.csv")
    columns = {"machine": machine(data), "commit": commit(), "flags": os.environ.get("BENCH_FLAGS", "")}
    for round_number in range(1, a.rounds + 1):
        for number, (group, rows) in enumerate(groups):
            if wanted is not None and group not in wanted and not wanted & set(rows):
                continue
            if a.minutes and time.time() - begun > 60 * a.minutes:
                stopped = True
                break
            # Each round begins with another engine, so that none always runs first.
            turn = (round_number + number) % len(engines)
            for engine in engines[turn:] + engines[:turn]:
                if group == "sql" and engine != "lamina":
                    continue
                if round_number > 1 and engine in a.once.split(","):
                    continue
                print(f"[{time.time() - begun:5.0f} s] round {round_number}: {group}: {engine}",
                      file=sys.stderr, flush=True)
                only = group if wanted is None or group in wanted else ",".join(sorted(wanted & set(rows)))
                error = run_process([a.program, "-e", engine, "-n", str(a.keys), "-m", str(a.memory),
                                     "-d", data, "-w", only, "-l", str(a.limit), "-r", str(round_number),
                                     "-o", raw, "-T", timeline]
                                    + (["-k", str(a.operations)] if a.operations else []),
                                    a.group_limit, a.quiet)
                if error:
                    failures.append(f"round {round_number}: {group}: {engine}: {error}")
                    print(failures[-1], file=sys.stderr)
                finish(raw, results, columns)
    if stopped:
        print(f"stopped after {a.minutes} minutes, in round {round_number}", file=sys.stderr)
    if os.path.exists(results):
        print(figures.text_table(figures.read_results(results)))
    if failures:
        print("\n".join(["", "Failed:"] + failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
