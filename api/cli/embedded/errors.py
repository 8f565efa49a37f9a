"""How starting the stack is refused: always one sentence that names the remedy."""

USAGE = 2
SERVICE = 3


class StackError(Exception):
    """The stack can't do what it was asked to. The message is the sentence for the person.

    Attributes:
        exit_code: What `ledger up` ends with: 3 if something it needs fails, 2 if it should be called differently.
    """

    def __init__(self, sentence: str, exit_code: int = SERVICE) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code
