"""The error of a backup or a restore."""

from api.cli.embedded.stack_error import StackError
from projections.terminal.exit_codes import ExitCode


class BackupError(StackError):
    """No backup was taken, or nothing was restored. The message is one sentence that says what to do.

    Attributes:
        exit_code: SERVICE if something failed and may work later, REFUSED if it must not be done.
    """


def refuse(sentence: str) -> BackupError:
    """Return the error of what must not be done, to raise."""
    return BackupError(sentence, ExitCode.REFUSED)
