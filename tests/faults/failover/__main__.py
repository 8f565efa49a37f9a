"""Failover on real processes: `python -m tests.faults.failover [--seed S] [--rounds N]`, or `make failover`."""

import sys

from tests.faults.failover.runner import main

if __name__ == "__main__":
    sys.exit(main())
