"""What calls raise."""

import httpx2
import msgspec

from redemption_ledger_client.models import Problem

EXCERPT_MAX = 200
PAGES = ("text/html", "text/plain")
"""Types of answers that an error may quote. JSON and CSV of the API may hold codes and secrets."""


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
        excerpt: The beginning of the page of a proxy, without your key.
    """

    def __init__(self, response: httpx2.Response, retry_after_s: float | None) -> None:
        self.status, self.retry_after_s = response.status_code, retry_after_s
        self.problem = _read_problem(response.content)
        self.code: str = self.problem.code if self.problem else ""
        self.detail = (
            self.problem.detail if self.problem else f"The server answered {self.status} without a problem document."
        )
        self.excerpt = "" if self.problem else _read_excerpt(response)
        super().__init__(f"{self.code or self.status}: {self.detail} {self.excerpt}".rstrip())


class UnreadableError(LedgerError):
    """An answer says success, but is not one of the API: such as a page of a proxy. The request may have taken effect.

    Attributes:
        status: HTTP status.
        excerpt: The beginning of a page of a proxy, without your key.
    """

    def __init__(self, response: httpx2.Response, reason: str) -> None:
        self.status, self.excerpt = response.status_code, _read_excerpt(response)
        super().__init__(f"The answer {self.status} cannot be read: {reason}. {self.excerpt}".rstrip())


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
    """A webhook message is not signed by any of the secrets, was signed too long ago, or has another form."""


def _read_problem(body: bytes) -> Problem | None:
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _read_excerpt(response: httpx2.Response) -> str:
    """Return one line of a page, which may repeat the headers of the request."""
    if not response.headers.get("content-type", "").startswith(PAGES):
        return ""
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    text = response.text.replace(key, "***") if key else response.text
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:EXCERPT_MAX]
