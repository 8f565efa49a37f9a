"""Entry point of the command `ledger`. Loading the command line takes a second, in which Ctrl-C may be pressed too."""

import sys

from projections.terminal.exit_codes import ExitCode


def main() -> None:
    """Load the command line and run it."""
    try:
        from api.cli.app import main as run_command  # noqa: PLC0415 - Ctrl-C may interrupt this import
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(ExitCode.INTERRUPTED)
    run_command()
