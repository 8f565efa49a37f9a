"""Tests that need more than Python packages run where it is installed, and always in CI."""

import os
from importlib.util import find_spec

from tests.faults.failover.enclosure import find_missing_packages

IS_READY_FOR_CLUSTERS = os.geteuid() == 0 and not find_missing_packages()
collect_ignore = [] if IS_READY_FOR_CLUSTERS or os.environ.get("CI") else ["test_failover.py", "test_lock_move.py"]
if find_spec("confluent_kafka") is None:  # it has no wheels for some macOS: requirements/kafka.in
    collect_ignore += ["test_relay.py", "test_relay_sign_in.py"]
