# SPDX-License-Identifier: Apache-2.0
"""Medians and ratios from the CSV of bench/peers.sh."""
import csv
import statistics
import sys

rows = {}
for row in csv.DictReader(open(sys.argv[1])):
    cell = rows.setdefault(row["workload"], {}).setdefault(row["engine"], {"ops": [], "cpu": []})
    cell["ops"].append(float(row["ops_per_s"]))
    cell["cpu"].append(float(row["cpu_us_per_op"]))

print(f"{'workload':<14} {'engine':<9} {'ops/s':>12} {'CPU us/op':>10} {'x ops':>7} {'x CPU':>7}")
for workload, engines in rows.items():
    ours = engines.get("lamina")
    for engine, cell in engines.items():
        ops, cpu = statistics.median(cell["ops"]), statistics.median(cell["cpu"])
        line = f"{workload:<14} {engine:<9} {ops:>12.0f} {cpu:>10.3f}"
        if ours and engine != "lamina" and ops and cpu:
            our_ops, our_cpu = statistics.median(ours["ops"]), statistics.median(ours["cpu"])
            line += f" {our_ops / ops:>7.2f} {cpu / our_cpu if our_cpu else 0:>7.2f}"
        print(line)
