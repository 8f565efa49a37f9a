"""A ledger for the tests that read one."""

from tests.projections.conftest import bench

__all__ = ["bench"]
