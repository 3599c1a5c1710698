"""Run seeds on all processors: `python -m tests.nodes.simulation [COUNT] [FIRST]`; tells the story of the first that
fails."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.nodes.simulation.seeds import failing, told

AT_ONCE = 50


def main() -> int:
    """Returns 1 if something is wrong in a seed."""
    count, first = (int(each) for each in (sys.argv[1:] + ["1000", "0"][len(sys.argv) - 1 :]))
    began, end = time.monotonic(), first + count
    with ProcessPoolExecutor() as workers:
        groups = [range(start, min(start + AT_ONCE, end)) for start in range(first, end, AT_ONCE)]
        found = [each for some in workers.map(failing, groups) for each in some]
    for seed, wrong in found[:10]:
        print(seed, wrong)
    if found:
        print(told(found[0][0]))
    print(f"{count} seeds in {time.monotonic() - began:.0f} s, {len(found)} with a violation")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
