"""`python -m tests.fuzz --inputs N --seed S`: many inputs to every parser; a crash is shown and ends it."""

import argparse
import sys
import time

from tests.fuzz.fuzz_runs import INPUTS_IN_TESTS, CrashError, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers of the ledger.")
    parser.add_argument("--inputs", type=int, default=INPUTS_IN_TESTS, help="how many, over all parsers")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs: the same seed gives the same inputs")
    asked = parser.parse_args()
    started = time.monotonic()
    try:
        counts = fuzz(asked.inputs, asked.seed)
    except CrashError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    lines = [f"{name:28}{count:>10}" for name, count in counts.items()]
    lines.append(f"{sum(counts.values())} inputs from seed {asked.seed}, {time.monotonic() - started:.0f} s: no crash")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
