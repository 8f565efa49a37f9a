"""Commands over a real ledger, as the tests of the command line have them."""

from tests.cli.conftest import bench, terminal

__all__ = ["bench", "terminal"]
