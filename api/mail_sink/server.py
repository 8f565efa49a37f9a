"""A mail catcher: an SMTP server that accepts every email and stores it in a Maildir, and never forwards it.

Run as `python -m api.mail_sink.server --port PORT --maildir DIR`; listens on 127.0.0.1, or where --host says.
"""

import argparse
import asyncio
import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

MAIL_BYTES_MAX = 1_048_576
PARTS = ("tmp", "new", "cur")
DAYS, DAY_S, PRUNE_EVERY_S = 30, 86_400, 3_600
"""Days for which emails are kept unless LEDGER_MAIL_DAYS is set, and the interval of the cleanup."""


class MaildirHandler:
    """Writes each email to `tmp` and moves it to `new`, so that a reader never sees part of one."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir
        maildir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in PARTS:
            (maildir / part).mkdir(mode=0o700, exist_ok=True)

    async def handle_EHLO(  # noqa: N802 - aiosmtpd finds it by this name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer pipelining, as most mail servers do; commands are read one by one anyway."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Store one email; answer with a temporary error if it can't be written."""
        content = envelope.content or b""
        text = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        try:
            self.deliver(text, [address for address in envelope.rcpt_tos if address])
        except OSError:
            return "452 4.3.1 Insufficient system storage"
        return "250 2.0.0 OK"

    def deliver(self, text: bytes, recipients: list[str]) -> None:
        """Store an email in the Maildir, with a Delivered-To header for each recipient.

        Raises:
            OSError: It can't be written.
        """
        name = f"{time.time():.6f}.{os.getpid()}_{secrets.token_hex(4)}.localhost"
        header = "".join(f"Delivered-To: {recipient}\n" for recipient in recipients).encode()
        temporary = self.maildir / "tmp" / name
        temporary.touch(mode=0o600)
        temporary.write_bytes(header + text.replace(b"\r\n", b"\n"))
        temporary.rename(self.maildir / "new" / name)


def delete_old_mails(maildir: Path, before: float) -> int:
    """Delete emails that are older than a time (Unix seconds) and return how many."""
    dropped = 0
    for part in PARTS:
        for mail in (maildir / part).glob("*"):
            with suppress(FileNotFoundError):
                if mail.stat().st_mtime < before:
                    mail.unlink()
                    dropped += 1
    return dropped


async def prune_hourly(maildir: Path, days: int) -> None:
    """Delete old emails once an hour until cancelled."""
    while True:
        delete_old_mails(maildir, time.time() - days * DAY_S)
        await asyncio.sleep(PRUNE_EVERY_S)


async def serve(host: str, port: int, maildir: Path, days: int) -> None:
    """Accept emails until SIGTERM or SIGINT; keep each for `days`."""
    handler = MaildirHandler(maildir)
    pruning = asyncio.create_task(prune_hourly(maildir, days))
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)

    def create_session() -> SMTP:
        return SMTP(handler, data_size_limit=MAIL_BYTES_MAX, enable_SMTPUTF8=True, hostname="localhost", ident="sink")

    server = await loop.create_server(create_session, host, port)
    await stop_requested.wait()
    pruning.cancel()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m api.mail_sink.server", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="IP address to listen on; others than the default are not protected"
    )
    parser.add_argument("--port", type=int, required=True, help="its port")
    parser.add_argument("--maildir", type=Path, required=True, help="directory for emails; created if it is missing")
    days_text = os.environ.get("LEDGER_MAIL_DAYS", "")
    days = int(days_text) if days_text.isdecimal() else DAYS
    parser.add_argument(
        "--days", type=int, default=days, help="days for which emails are kept; default: LEDGER_MAIL_DAYS"
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.host, arguments.port, arguments.maildir, arguments.days))


if __name__ == "__main__":
    main()
