"""Chaos on real processes: `python -m tests.faults.chaos [--seed S] [--faults N]`, or `make chaos`."""

import sys

from tests.faults.chaos.runner import main

if __name__ == "__main__":
    sys.exit(main())
