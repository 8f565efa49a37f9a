"""A mail server for trying things out: takes every mail and delivers it to a Maildir, never to a person.

Run as `python -m api.cli.stack.sink --port PORT --maildir DIR`; listens on 127.0.0.1, or where --host says.
"""

import argparse
import asyncio
import os
import secrets
import signal
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from api.cli.stack.ports import HOST

MAIL_BYTES_MAX = 1_048_576
PARTS = ("tmp", "new", "cur")


class MaildirHandler:
    """Writes each mail to `tmp` and moves it to `new`, so that a reader never sees part of one."""

    def __init__(self, maildir: Path) -> None:
        self.maildir = maildir
        maildir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in PARTS:
            (maildir / part).mkdir(mode=0o700, exist_ok=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take one mail; a full disk is told as a trouble that passes."""
        content = envelope.content or b""
        text = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        try:
            self.deliver(text, [address for address in envelope.rcpt_tos if address])
        except OSError:
            return "452 4.3.1 Insufficient system storage"
        return "250 2.0.0 OK"

    def deliver(self, text: bytes, recipients: list[str]) -> None:
        """Put a mail into the Maildir, with the addresses it was sent to as a delivering server notes them.

        Raises:
            OSError: It can't be written.
        """
        name = f"{time.time():.6f}.{os.getpid()}_{secrets.token_hex(4)}.localhost"
        noted = "".join(f"Delivered-To: {recipient}\n" for recipient in recipients).encode()
        temporary = self.maildir / "tmp" / name
        temporary.touch(mode=0o600)
        temporary.write_bytes(noted + text.replace(b"\r\n", b"\n"))
        temporary.rename(self.maildir / "new" / name)


async def serve(host: str, port: int, maildir: Path) -> None:
    """Take mails until SIGTERM or SIGINT."""
    handler = MaildirHandler(maildir)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def connected() -> SMTP:
        return SMTP(handler, data_size_limit=MAIL_BYTES_MAX, enable_SMTPUTF8=True, hostname="localhost", ident="sink")

    server = await loop.create_server(connected, host, port)
    await ended.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m api.cli.stack.sink", description=__doc__)
    parser.add_argument("--host", default=HOST, help="address to listen on; another than the default has no protection")
    parser.add_argument("--port", type=int, required=True, help="its port")
    parser.add_argument("--maildir", type=Path, required=True, help="where mails go; made if it isn't there")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.host, arguments.port, arguments.maildir))


if __name__ == "__main__":
    main()
