"""Kills around a relay: `python -m tests.faults.relay [--seed S] [--kills N]`, or `make relay-kills`."""

import sys

from tests.faults.relay.runner import main

if __name__ == "__main__":
    sys.exit(main())
