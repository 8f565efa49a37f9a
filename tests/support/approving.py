"""Whether this run of the tests writes what they approve."""

import os
from typing import Final

IS_APPROVING: Final = "APPROVE_RESULTS" in os.environ
"""`make approve` sets it: approved files are written instead of compared."""
