"""What the hooks of all mail providers have in common: the request, the reports, and how their JSON is read.

The members of an event are read leniently: a report without one of them still says that an email bounced, and a request
that is refused comes again and again.
"""

import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from api.errors import ApplicationError, malformed
from api.schemas.json_members import IS_REPEATED, RepeatedMemberError, read_members
from domain.model.suppression import ReportKind
from domain.report_intake import MailReport
from domain.values.mail.bounce_reason import BounceReason, reason_of_status
from domain.values.mail.mail_token import find_tokens
from domain.webhooks.signatures import TOLERANCE_S

ITEMS_MAX: Final = 1_000
"""Events of one request; providers post fewer."""
BODY_BYTES_MAX: Final = 2**20
"""Longest body. SendGrid posts batches of at most 768 KB, SNS 256 KB."""
NAMES_MAX: Final = 16
"""Possible tokens of one report that are checked."""
_STATUS: Final = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
_REPLY_CODE: Final = re.compile(r"(?<![\d.])[45]\d\d(?=[ -])")
_SECONDS: Final = re.compile(r"[0-9]{1,11}")


class HookRequest(NamedTuple):
    """One request of a provider.

    Attributes:
        headers: By their names in lower case.
        body: As it was sent.
        now: When it came.
    """

    headers: Mapping[str, str]
    body: bytes
    now: datetime


class MailHook(Protocol):
    """Verifies and reads the requests of one provider. Thread-safe."""

    def read(self, request: HookRequest) -> Sequence[MailReport | None]:
        """Return what each event of a request reports; None where it reports no bounce, delay or complaint.

        Raises:
            ApplicationError: SIGNATURE_INVALID; CALLBACK_STALE; MALFORMED; UNAVAILABLE, what the check of the signature
                needs cannot be fetched.
        """


class Failure(NamedTuple):
    """What an event says about the email, apart from its token.

    Attributes:
        texts: Enhanced status codes and replies, the most reliable first.
        otherwise: Why it bounced, if no code in the texts says so.
    """

    kind: ReportKind
    texts: Sequence[str]
    otherwise: BounceReason = "other"


def make_report(failure: Failure, named_by: Iterable[str], details: Iterable[str], event: object) -> MailReport:
    """Return a report.

    Args:
        failure: What the event says.
        named_by: Texts that may hold the token, the most reliable first.
        details: What staff read first, in this order.
        event: The event itself.
    """
    tokens = dict.fromkeys(token for text in named_by for token in find_tokens(text))
    codes = (code[0] for text in failure.texts for code in _REPLY_CODE.finditer(text))
    return MailReport(
        kind=failure.kind,
        tokens=tuple(tokens)[:NAMES_MAX],
        said=_one_line(" ".join(dict.fromkeys(filter(None, details)))),
        raw=_write_json(event),
        reason=_reason(failure) if failure.kind == "bounced" else "other",
        reply_code=next(map(int, codes), None),
    )


def read_json(text: str | bytes) -> object:
    """Return a JSON document.

    Raises:
        ApplicationError: MALFORMED.
    """
    try:
        return json.loads(text, object_pairs_hook=read_members)
    except RepeatedMemberError as error:
        raise malformed(f"body.{error.name}", IS_REPEATED) from error
    except (ValueError, RecursionError) as error:
        raise malformed("body", "is not valid JSON") from error


def member(document: object, *names: str) -> object:
    """Return what an object names, through objects within it; None if one of them does not."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def text_at(document: object, *names: str) -> str:
    """Return a text that an object names; empty if it names none. A number is its digits."""
    value = member(document, *names)
    return str(value) if isinstance(value, str | int) else ""


def entries_at(document: object, *names: str) -> Iterator[object]:
    """Yield the entries of a list that an object names."""
    value = member(document, *names)
    yield from value if isinstance(value, list) else ()


def check_equal(own: str | bytes, presented: str | bytes) -> None:
    """Compare two secrets in constant time.

    Raises:
        ApplicationError: SIGNATURE_INVALID, they differ.
    """
    if not hmac.compare_digest(_octets(own), _octets(presented)):
        raise ApplicationError("SIGNATURE_INVALID")


def check_age(signed_at: float, now: datetime, *, age_s_max: int = TOLERANCE_S) -> None:
    """Check that a request was signed recently.

    Raises:
        ApplicationError: CALLBACK_STALE.
    """
    if not -TOLERANCE_S <= now.timestamp() - signed_at <= age_s_max:
        raise ApplicationError("CALLBACK_STALE")


def read_seconds(text: str) -> int:
    """Read a signed Unix timestamp.

    Raises:
        ApplicationError: SIGNATURE_INVALID, no provider signs such a text.
    """
    if not _SECONDS.fullmatch(text):
        raise ApplicationError("SIGNATURE_INVALID")
    return int(text)


def _write_json(event: object) -> str:
    try:
        return json.dumps(event, ensure_ascii=False)
    except RecursionError:  # it was nested so deeply that it could just be read
        return ""


def _reason(failure: Failure) -> BounceReason:
    codes = (code[0] for text in failure.texts for code in _STATUS.finditer(text))
    return next((reason for code in codes if (reason := reason_of_status(code)) != "other"), failure.otherwise)


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="replace")
