"""The error of the embedded stack."""

from projections.terminal.exit_codes import ExitCode


class StackError(Exception):
    """The stack cannot do what was requested. The message is one sentence for the operator and names the remedy.

    Attributes:
        exit_code: SERVICE if something that `ledger up` needs fails, USAGE if it should be called differently.
    """

    def __init__(self, sentence: str, exit_code: ExitCode = ExitCode.SERVICE) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code
