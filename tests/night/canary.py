"""`python -m tests.night.canary SEED`: plants a bug that the seed chooses. A night that does not find it is blind."""

import random
import sys

from tests.simulation.bugs.failing_seeds import find_failing_seed, read_failing_seeds
from tests.simulation.bugs.planted_bugs import PLANTED_BUGS


def main(seed: int) -> int:
    """Look for one planted bug: 0 if a schedule finds it."""
    name = random.Random(seed).choice(sorted(PLANTED_BUGS))
    schedule = find_failing_seed(name, read_failing_seeds()[name])
    outcome = "NOT FOUND" if schedule is None else f"found by schedule {schedule}"
    sys.stdout.write(f"planted: {name}; {outcome}\n")
    return int(schedule is None)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
