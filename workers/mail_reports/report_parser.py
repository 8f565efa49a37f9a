"""Read what a message reports: delivery status notifications (RFC 3464), complaints (RFC 5965), and what others write.

A message may come from anybody. What it says counts only with a token of ours, so the parser looks for those where
servers repeat them, and takes nothing else for the identity of an email. It is read as far as the bounds below allow:
its cost grows with none of what a stranger can nest, repeat or fold.
"""

import logging
import re
from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import Message
from email.parser import BytesParser
from itertools import chain
from typing import Final

from flufl.bounce import all_failures

from domain.model.suppression import ReportKind
from domain.report_intake import REPORT_CHARS_MAX, MailReport
from domain.values.mail.bounce_reason import BounceReason, reason_of_status
from domain.values.mail.mail_token import find_tokens

REPORT_BYTES_MAX: Final = 512 * 1024
"""Octets of a message that are read: a report comes before the email that it returns."""
LINES_MAX: Final = 2_000
"""Lines that are read. The fields of a report and the header of the email that it returns are in the first hundreds."""
LINE_BYTES_MAX: Final = 1_000
"""Octets of a line that are read; RFC 5322 allows 998."""
FOLDS_MAX: Final = 20
"""Lines that continue a header and are read; Python's parser takes quadratic time for the parameters of a long one."""
TYPES_MAX: Final = 20
"""Headers `Content-Type` that are read, so how deep parts nest: each line is compared with the boundaries of all."""
DELIMITERS_MAX: Final = 200
"""Lines that may delimit parts and are read."""
PARTS_MAX: Final = 50
"""Parts of a message that are looked at."""
TOKENS_MAX: Final = 20
"""Possible tokens that are tried."""
_ADDRESSED_TO: Final = ("Delivered-To", "X-Original-To", "Envelope-To", "To")
_NAMED_BY: Final = ("Original-Envelope-Id", "Original-Mail-From", "Return-Path")
_STATUS: Final = re.compile(r"(?<![\d.])([245])\.\d{1,3}\.\d{1,3}(?![\d.])")
_REPLY_CODE: Final = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
# It logs a traceback for each message that it can't read.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)
_NO_COMPLAINT: Final = "not-spam"
_TYPE: Final = b"content-type:"


def parse_report(content: bytes) -> MailReport | None:
    """Return what a message reports about an email; None if it reports nothing that is recorded.

    Args:
        content: The message as it came. What lies beyond the bounds of this module is not read.
    """
    content = bound_report(content)
    try:
        message = BytesParser(policy=policy.compat32).parsebytes(content)
        return _read(message, content.decode("utf-8", "replace"))
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError, MessageError):
        return None  # nested a thousand times, in a charset that there is not, or with headers that are none


def bound_report(content: bytes) -> bytes:
    """Return the beginning of a message, as far as it can be parsed at little cost whatever it holds.

    This is one linear scan of lines, before anything is parsed.
    """
    lines: list[bytes] = []
    folds = types = delimiters = 0
    for line in content[:REPORT_BYTES_MAX].split(b"\n", LINES_MAX)[:LINES_MAX]:
        folds = folds + 1 if line.startswith((b" ", b"\t")) else 0
        types += line[: len(_TYPE)].lower() == _TYPE
        delimiters += line.startswith(b"--")
        if types > TYPES_MAX or delimiters > DELIMITERS_MAX:
            break
        if folds <= FOLDS_MAX:
            lines.append(line[:LINE_BYTES_MAX])
    return b"\n".join(lines)


def _read(message: Message, raw: str) -> MailReport | None:
    parts = list(_parts(message))
    tokens = tuple(dict.fromkeys(_tokens(message, parts)))[:TOKENS_MAX]
    feedback = next((part for part in parts if part.get_content_type() == "message/feedback-report"), None)
    if feedback is not None:
        said = _text_of(feedback)
        is_complaint = f"feedback-type: {_NO_COMPLAINT}" not in said.lower()
        return MailReport("complained", tokens, said, raw) if is_complaint else None
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if status is not None:
        return _read_status(status, tokens, raw)
    if str(message.get("Auto-Submitted", "")).lower().startswith("auto-replied"):
        return None  # its recipient is on vacation
    delayed, failed = all_failures(message)
    if not delayed and not failed:
        return None
    kind: ReportKind = "bounced" if failed else "delayed"
    return MailReport(kind, tokens, _words_of(parts), raw, _reason(raw), _reply_code(raw) if failed else None)


def _read_status(status: Message, tokens: tuple[str, ...], raw: str) -> MailReport | None:
    """Read the fields about the first recipient who did not get the email: each email has one."""
    for block in _blocks(status):
        action = str(block.get("Action", "")).strip().lower()
        if action.startswith(("fail", "error")):
            code, said = str(block.get("Status", "")), str(block.get("Diagnostic-Code", ""))
            reason = _reason(code)
            if reason == "other":
                reason = _reason(said)
            return MailReport("bounced", tokens, _text_of(status), raw, reason, _reply_code(said))
        if action.startswith("delayed"):
            return MailReport("delayed", tokens, _text_of(status), raw)
    return None


def _parts(message: Message) -> Iterator[Message]:
    """Yield the parts of a message, but not those of a message that it returns."""
    waiting, count = [message], 0
    while waiting and count < PARTS_MAX:
        part = waiting.pop(0)
        count += 1
        yield part
        if part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), list):
            waiting.extend(each for each in part.get_payload() if isinstance(each, Message))


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _tokens(message: Message, parts: list[Message]) -> Iterator[str]:
    """Yield what may be tokens: first of the address that the report came to, then of what the report names."""
    for name in _ADDRESSED_TO:
        for value in message.get_all(name, []):
            yield from find_tokens(str(value))
    for part in parts:
        if part.get_content_maintype() == "message" or part.get_content_type() == "text/rfc822-headers":
            headers = (each.get_all(name, []) for each in (part, *_blocks(part)) for name in _NAMED_BY)
            for text in (*map(str, chain.from_iterable(headers)), _text_of(part)):
                yield from find_tokens(text)


def _text_of(part: Message) -> str:
    """Return the text of a part that has fields, or of a part that is a text; at most as much as is stored."""
    payload = part.get_payload()
    if isinstance(payload, list):
        blocks = ("\n".join(f"{name}: {value}" for name, value in each.items()) for each in _blocks(part))
        return "\n\n".join(blocks)[:REPORT_CHARS_MAX]
    return str(payload)[:REPORT_CHARS_MAX]


def _words_of(parts: list[Message]) -> str:
    """Return the first text of a message, which in a report without fields is what its server says."""
    text = next((part for part in parts if part.get_content_type() == "text/plain"), None)
    words = None if text is None else text.get_payload(decode=True)
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else ""


def _reason(text: str) -> BounceReason:
    status = _STATUS.search(text)
    return "other" if status is None else reason_of_status(status[0])


def _reply_code(text: str) -> int | None:
    code = _REPLY_CODE.search(text)
    return None if code is None else int(code[1])
