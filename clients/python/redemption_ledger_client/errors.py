"""What calls raise."""

import msgspec

from redemption_ledger_client.models import Problem


class LedgerError(Exception):
    """Base of everything that this client raises."""


class UnreachableError(LedgerError):
    """No answer came, also not to repeated requests. The request may have taken effect."""


class ProblemError(LedgerError):
    """The API refused a request.

    Attributes:
        status: HTTP status.
        code: Stable code of the problem, by which programs decide; empty if the answer came from a proxy.
        detail: What happened and the next step, in the language of the client.
        retry_after_s: Seconds after which a repeat may succeed, if the API names them.
        problem: The whole problem document; None if the answer came from a proxy.
    """

    def __init__(self, status: int, body: bytes, retry_after_s: float | None) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        self.problem = _read_problem(body)
        self.code: str = self.problem.code if self.problem else ""
        self.detail = (
            self.problem.detail if self.problem else f"The server answered {status} without a problem document."
        )
        super().__init__(f"{self.code or status}: {self.detail}")


class LogRestoredError(LedgerError):
    """The log ends before a position that was read: the ledger was restored from an older backup.

    Attributes:
        position: The position from which events were asked for.
        newest: The end of the log. Continue from a position that you trust.
    """

    def __init__(self, position: int, newest: int) -> None:
        self.position, self.newest = position, newest
        super().__init__(f"The log ends at {newest}, before position {position}: it was restored from an older backup.")


class SignatureError(LedgerError):
    """A webhook message is not signed by any of the secrets, or was signed too long ago."""


def _read_problem(body: bytes) -> Problem | None:
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
