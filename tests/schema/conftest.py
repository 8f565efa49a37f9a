"""A ledger for the tests that read one."""

from tests.integration.conftest import bench

__all__ = ["bench"]
