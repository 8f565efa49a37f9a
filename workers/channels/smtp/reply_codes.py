"""What a mail server's rejection means for a message. Pure; the table of RFC 5321 4.2 and RFC 3463."""

import re

from domain.ports import Rejected
from workers.channels.smtp.connection import Reply

REPLY_TEXT_MAX = 500

POSITIVE, TRANSIENT, PERMANENT = 2, 4, 5
"""First digit of a reply's code (RFC 5321 4.2.1)."""

LOGIN_REQUIRED = {530, 534, 535, 538}
"""RFC 4954 section 6: the server wants a login, another one, or encryption first."""

PROTOCOL_ERRORS = {500, 502, 503, 504}
"""Unknown command, not implemented, wrong order, unknown parameter: the two sides disagree on the protocol."""

ADDRESS_REFUSED = {550, 551, 553}

_STATUS = re.compile(r"([245])\.(\d{1,3})\.\d{1,3}\b")


def is_positive(reply: Reply) -> bool:
    """Return whether the command was carried out."""
    return _digit(reply) == POSITIVE


def is_negative(reply: Reply) -> bool:
    """Return whether the command was rejected, for now or permanently."""
    return _digit(reply) in {TRANSIENT, PERMANENT}


def refused_connection(server: str, reply: Reply) -> Rejected:
    """Return the outcome of a rejected greeting or EHLO.

    It says nothing about the message, so it is never final and spends no attempt.
    """
    reason = "temporary" if _digit(reply) == TRANSIENT else "unreachable"
    return _rejected(server, reply, reason, final=False, about_connection=True)


def refused_encryption(server: str, reply: Reply) -> Rejected:
    """Return the outcome of a rejected STARTTLS; like `refused_connection`, it is about the connection."""
    return _rejected(server, reply, "tls_failed", final=False, about_connection=True)


def refused_login(server: str, reply: Reply) -> Rejected:
    """Return the outcome of a rejected login: staff must correct it, and messages wait until their deadline."""
    reason = "temporary" if _digit(reply) == TRANSIENT else "login_refused"
    return _rejected(server, reply, reason, final=False, about_connection=True)


def refused_message(
    server: str, reply: Reply, *, about_recipient: bool = False, about_connection: bool = False
) -> Rejected:
    """Return the outcome of a rejected MAIL, RCPT, DATA or content.

    Args:
        server: Host and port.
        reply: Code and text; a code that is neither 4xx nor 5xx is a server that broke the protocol.
        about_recipient: The reply answers RCPT.
        about_connection: The server may have said it before it heard of the message.
    """
    code, text = reply[0], _text(reply)
    if code in LOGIN_REQUIRED:
        return _rejected(server, reply, "login_refused", final=False, about_connection=True)
    if _digit(reply) == TRANSIENT:
        return _rejected(server, reply, "temporary", final=False, about_connection=about_connection)
    if code in PROTOCOL_ERRORS or _digit(reply) != PERMANENT:
        return _rejected(server, reply, "protocol_error", final=False)
    status = _STATUS.match(text)
    subject = status[2] if status and status[1] == "5" else ""
    # X.7.X is policy: the server would not take this message from us; the address may be a good one.
    about_address = subject == "1" or (about_recipient and code in ADDRESS_REFUSED and subject != "7")
    reason = "address_refused" if about_address else "message_refused"
    return _rejected(server, reply, reason, final=True, about_address=about_address)


def _digit(reply: Reply) -> int:
    return reply[0] // 100


def _rejected(
    server: str,
    reply: Reply,
    reason: str,
    *,
    final: bool,
    about_address: bool = False,
    about_connection: bool = False,
) -> Rejected:
    return Rejected(
        server=server,
        reason=reason,
        final=final,
        about_address=about_address,
        about_connection=about_connection,
        reply_code=reply[0],
        reply=_text(reply),
    )


def _text(reply: Reply) -> str:
    """Return one printable line of bounded length."""
    lines = reply[1].decode("utf-8", "replace").split()
    text = " ".join("".join(character for character in word if character.isprintable()) for word in lines)
    return text[:REPLY_TEXT_MAX]
