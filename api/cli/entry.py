"""Entry point of the command `ledger`. Ctrl-C may be pressed while the command line is loaded."""

import gc
import os
import sys

from projections.terminal.exit_codes import ExitCode


def main() -> None:
    """Load the command line and run it."""
    # What modules allocate stays: collecting among it takes a fifth of their time. A command's start enables it again.
    gc.disable()
    # Pydantic reads the metadata of every installed package to find plugins, and the ledger uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")
    try:
        from api.cli.app import main as run_command  # noqa: PLC0415 - Ctrl-C may interrupt this import
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(ExitCode.INTERRUPTED)
    run_command()
