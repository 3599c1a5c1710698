"""Run seeds in two processes: `python -m tests.nodes.simulation [COUNT] [FIRST]`; or tell the story of one."""

from __future__ import annotations

import sys

from tests.nodes.simulation.seeds import failing, told

if __name__ == "__main__":
    count, first = (int(each) for each in (sys.argv[1:] + ["1000", "0"][len(sys.argv) - 1 :]))
    found = failing(range(first, first + count))
    for seed, wrong in found[:10]:
        print(seed, wrong)
    if found:
        print(told(found[0][0]))
    print(f"{count} seeds, {len(found)} with a violation")
    sys.exit(bool(found))
