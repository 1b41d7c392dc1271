# SPDX-License-Identifier: Apache-2.0
"""What the programs that build and run copies of the product share: the tree, what `make` sets in the
environment, and how a gate is told."""
import json
import os
import shlex
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def env(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {name} is not set; run it by `make` (docs/TESTING.md)")
    return value


def words(name):
    return shlex.split(env(name))


def read(path):
    with open(os.path.join(ROOT, path)) as f:
        return f.read()


def gate(name, required, reached, failed, seed):
    """Prints a line that run.py puts into its table; whether the gate holds."""
    ok = failed == 0 and reached >= required
    print(json.dumps({"gate": name, "required": required, "reached": reached, "failed": failed,
                      "seed": str(seed), "ok": ok}), flush=True)
    return ok
