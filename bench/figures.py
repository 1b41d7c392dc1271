#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables (Markdown) and plots (SVG) of what bench/run.py measured. No packages are needed.

    bench/figures.py OUT [TARGET]     reads OUT/results.csv and OUT/timeline.csv, writes
                                      TARGET/*.svg and TARGET/tables.md (TARGET: OUT)
"""
import csv
import math
import os
import statistics
import sys
from html import escape

OURS = "lamina"
ORDER = ["lamina", "rocksdb", "leveldb", "lmdb", "wiredtiger", "sqlite"]
COLOURS = {"lamina": "#c0392b", "rocksdb": "#2c6fbb", "leveldb": "#2e8b57", "lmdb": "#8e44ad",
           "wiredtiger": "#d68910", "sqlite": "#5d6d7e"}


def read_results(path):
    """{workload: {engine: {column: median over rounds}}}, workloads in the order that ours ran them;
    `cut` counts."""
    rows = list(csv.DictReader(open(path, newline="")))
    rows.sort(key=lambda r: r["engine"] != OURS)
    cells = {}
    for row in rows:
        cells.setdefault(row["workload"], {}).setdefault(row["engine"], []).append(row)
    return {workload: {engine: median_row(rows) for engine, rows in engines.items()}
            for workload, engines in cells.items()}


def median_row(rows):
    out = {"rounds": len(rows)}
    for name, value in rows[0].items():
        try:
            out[name] = statistics.median(float(r[name]) for r in rows)
        except ValueError:
            out[name] = value
    out["cut"] = sum(r["cut"] == "1" for r in rows)
    cpus = [float(r["cpu_us_per_op"]) for r in rows]
    out["spread"] = (max(cpus) - min(cpus)) / out["cpu_us_per_op"] if out["cpu_us_per_op"] else 0
    return out


def engines_of(results):
    seen = {engine for engines in results.values() for engine in engines}
    return [e for e in ORDER if e in seen] + sorted(seen - set(ORDER))


def ratio(engines, peer, column):
    """How many times better ours is; None if one of them is missing."""
    if OURS not in engines or peer not in engines:
        return None
    ours, theirs = engines[OURS][column], engines[peer][column]
    if not ours or not theirs:
        return None
    return ours / theirs if column == "ops_per_s" else theirs / ours


def short(x):
    """Three significant digits."""
    if x is None:
        return ""
    if x == 0:
        return "0"
    if abs(x) >= 1e6:
        return f"{x / 1e6:.3g}M"
    if abs(x) >= 1e4:
        return f"{x / 1e3:.3g}k"
    digits = max(0, 2 - int(math.floor(math.log10(abs(x)))))
    return f"{x:.{digits}f}"


def text_table(results):
    lines = [f"{'workload':<22} {'engine':<10} {'ops/s':>11} {'CPU us/op':>10} {'p99 us':>9} "
             f"{'x ops':>7} {'x CPU':>7}"]
    for workload, engines in results.items():
        for engine in [e for e in ORDER if e in engines]:
            cell = engines[engine]
            line = (f"{workload:<22} {engine:<10} {cell['ops_per_s']:>11.0f} {cell['cpu_us_per_op']:>10.3f} "
                    f"{cell['p99_us']:>9.1f}")
            if engine != OURS and OURS in engines:
                line += (f" {ratio(engines, engine, 'ops_per_s') or 0:>7.2f}"
                         f" {ratio(engines, engine, 'cpu_us_per_op') or 0:>7.2f}")
            lines.append(line + ("  cut short" if cell["cut"] else ""))
    return "\n".join(lines)


# --- Markdown ---

def markdown(header, rows):
    out = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(out + ["| " + " | ".join(r) + " |" for r in rows])


def table(results, column, mark_cut=True):
    names = engines_of(results)
    rows = []
    for workload, engines in results.items():
        cells = [short(engines[e][column]) + ("*" if mark_cut and engines[e]["cut"] else "")
                 if e in engines else "" for e in names]
        rows.append([workload] + cells)
    return markdown(["workload"] + names, rows)


def ratio_table(results, column):
    names = [e for e in engines_of(results) if e != OURS]
    rows = []
    for workload, engines in results.items():
        if OURS not in engines or len(engines) < 2:
            continue
        cells = []
        for e in names:
            x = ratio(engines, e, column)
            cells.append("" if x is None else f"**{short(x)}**" if x < 1 else short(x))
        rows.append([workload] + cells)
    return markdown(["workload"] + names, rows)


def tables(results):
    timed = {w: e for w, e in results.items() if any(c["max_us"] for c in e.values())}
    space = {w: e for w, e in results.items() if any(c["user_mib"] for c in e.values())}
    parts = ["Ratio of CPU time per operation, all threads (above 1: Lamina needs less)",
             ratio_table(results, "cpu_us_per_op"),
             "Ratio of operations per second", ratio_table(results, "ops_per_s"),
             "CPU microseconds per operation, all threads", table(results, "cpu_us_per_op"),
             "Operations per second", table(results, "ops_per_s"),
             "p99, microseconds", table(timed, "p99_us"),
             "p99.9, microseconds", table(timed, "p999_us"),
             "Peak resident MiB", table(results, "peak_mib"),
             "MiB written", table(space, "written_mib"), "MiB on disk at the end of the row",
             table(space, "disk_mib"), "MiB of keys and values that the user wrote",
             table(space, "user_mib")]
    return "\n\n".join(parts) + "\n"


# --- SVG ---

class Plot:
    """A sheet with text, lines and rectangles."""

    def __init__(self, width, height, title):
        self.width, self.height = width, height
        self.parts = [f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
        self.text(16, 24, title, size=15, weight="bold")

    def text(self, x, y, words, size=11, anchor="start", colour="#222222", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                          f'fill="{colour}" font-weight="{weight}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour="#dddddd", width=1.0):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{colour}" stroke-width="{width}"/>')

    def path(self, points, colour):
        self.parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.4" points="'
                          + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>')

    def rectangle(self, x, y, width, height, colour, opacity=1.0):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                          f'fill="{colour}" fill-opacity="{opacity}"/>')

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" fill-opacity="0.85"/>')

    def legend(self, x, y, names):
        for name in names:
            self.rectangle(x, y - 9, 10, 10, COLOURS.get(name, "#888888"))
            self.text(x + 14, y, name)
            x += 34 + 7 * len(name)

    def save(self, path):
        with open(path, "w") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
                    f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif">\n'
                    + "\n".join(self.parts) + "\n</svg>\n")


def ticks_log(low, high):
    return [10.0 ** k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def plot_ratios(results, path):
    """One line a workload, one dot a peer, by CPU time, on a logarithmic scale."""
    rows = [(w, e) for w, e in results.items() if OURS in e and len(e) > 1]
    peers = [e for e in engines_of(results) if e != OURS]
    values = [ratio(e, p, "cpu_us_per_op") for _, e in rows for p in peers]
    values = [v for v in values if v]
    if not values:
        return
    ticks = ticks_log(min(values + [0.5]), max(values + [2]))
    left, right, top, step = 170, 20, 60, 17
    plot = Plot(900, top + step * len(rows) + 40, "CPU time per operation: peer / Lamina (right of 1: Lamina needs less)")
    span = math.log10(ticks[-1] / ticks[0])

    def at(v):
        return left + (plot.width - left - right) * math.log10(v / ticks[0]) / span

    plot.legend(left, 44, peers)
    bottom = top + step * len(rows)
    for t in ticks:
        plot.line(at(t), top - 6, at(t), bottom, "#777777" if t == 1 else "#dddddd", 1.4 if t == 1 else 1)
        plot.text(at(t), bottom + 16, f"{t:g}", anchor="middle")
    for i, (workload, engines) in enumerate(rows):
        y = top + step * i + 8
        plot.text(left - 10, y + 4, workload, anchor="end")
        plot.line(left, y, plot.width - right, y, "#f0f0f0")
        for p in peers:
            x = ratio(engines, p, "cpu_us_per_op")
            if x:
                plot.dot(at(x), y, COLOURS.get(p, "#888888"))
    plot.save(path)


def plot_latencies(results, path):
    """p50, p99 and p99.9 as nested bars, on a logarithmic scale."""
    shown = [w for w in ("fillrandom", "overwrite", "fillsync", "readrandom", "readmissing", "seek10", "rww_read",
                         "rww_write", "ycsbA", "ycsbE", "cold_read") if w in results]
    names = engines_of(results)
    values = [results[w][e][q] for w in shown for e in results[w] for q in ("p50_us", "p999_us")
              if results[w][e][q] > 0]
    if not values:
        return
    ticks = ticks_log(min(values), max(values))
    left, right, top, step = 110, 20, 60, 11
    height = sum(step * len(results[w]) + 10 for w in shown)
    plot = Plot(900, top + height + 40, "Latency of one call, microseconds: p50 (dark), p99, p99.9 (light)")
    span = math.log10(ticks[-1] / ticks[0])

    def at(v):
        return left + (plot.width - left - right) * math.log10(max(v, ticks[0]) / ticks[0]) / span

    plot.legend(left, 44, names)
    for t in ticks:
        plot.line(at(t), top - 6, at(t), top + height)
        plot.text(at(t), top + height + 16, f"{t:g}", anchor="middle")
    y = top
    for w in shown:
        engines = [e for e in names if e in results[w]]
        plot.text(left - 10, y + step * len(engines) / 2 + 4, w, anchor="end")
        for e in engines:
            cell, colour = results[w][e], COLOURS.get(e, "#888888")
            for column, opacity in (("p999_us", 0.2), ("p99_us", 0.4), ("p50_us", 1.0)):
                plot.rectangle(left, y, max(1.0, at(cell[column]) - left), step - 2, colour, opacity)
            y += step
        y += 10
    plot.save(path)


def read_timeline(path):
    """{engine: [(second, operations in it, p99.9 us, largest us)]} of the first round stored."""
    rounds, out = {}, {}
    for row in csv.DictReader(open(path, newline="")):
        if rounds.setdefault(row["engine"], row["round"]) != row["round"]:
            continue
        seconds = out.setdefault(row["engine"], {})
        second = int(row["tenth"]) // 10
        operations = seconds.get(second, (0, 0, 0))[0] + int(row["operations"])
        seconds[second] = (operations, float(row["second_p999_us"]), float(row["second_max_us"]))
    return {e: [(s, *v) for s, v in sorted(seconds.items())] for e, seconds in out.items()}


def plot_timeline(timeline, column, title, unit, path):
    names = [e for e in ORDER if e in timeline]
    values = [row[column] for e in names for row in timeline[e] if row[column] > 0]
    if not values:
        return
    ticks = ticks_log(min(values), max(values))
    seconds = max(len(timeline[e]) for e in names)
    plot = Plot(900, 420, title)
    left, right, top, bottom = 80, 20, 60, 370
    span = math.log10(ticks[-1] / ticks[0])

    def at(second, v):
        x = left + (plot.width - left - right) * second / max(1, seconds - 1)
        return x, bottom - (bottom - top) * math.log10(max(v, ticks[0]) / ticks[0]) / span

    plot.legend(left, 44, names)
    for t in ticks:
        plot.line(left, at(0, t)[1], plot.width - right, at(0, t)[1])
        plot.text(left - 8, at(0, t)[1] + 4, f"{short(t)} {unit}", anchor="end")
    for s in range(0, seconds, max(1, seconds // 10)):
        plot.text(at(s, ticks[0])[0], bottom + 18, f"{s} s", anchor="middle")
    for e in names:
        points = [at(row[0], row[column]) for row in timeline[e]]
        plot.path(points, COLOURS.get(e, "#888888"))
        for x, y in points if len(points) < 3 else []:
            plot.dot(x, y, COLOURS.get(e, "#888888"))
    plot.save(path)


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    source, target = sys.argv[1], sys.argv[-1]
    os.makedirs(target, exist_ok=True)
    results = read_results(os.path.join(source, "results.csv"))
    with open(os.path.join(target, "tables.md"), "w") as f:
        f.write(tables(results))
    plot_ratios(results, os.path.join(target, "ratios.svg"))
    plot_latencies(results, os.path.join(target, "latency.svg"))
    path = os.path.join(source, "timeline.csv")
    if os.path.exists(path):
        timeline = read_timeline(path)
        plot_timeline(timeline, 1, "Sustained random puts: operations in each second", "/s",
                      os.path.join(target, "throughput.svg"))
        plot_timeline(timeline, 2, "Sustained random puts: p99.9 of a put in each second, microseconds", "us",
                      os.path.join(target, "stalls.svg"))


if __name__ == "__main__":
    main()
