import asyncio
import os
import smtplib
import socket
from contextlib import closing
from pathlib import Path

from aiosmtpd.smtp import SMTP

from api.mail_sink.server import DAY_S, MaildirHandler, delete_old_mails
from tests.support.waiting import WAIT_S_MAX, in_event_loop


def test_old_emails_are_deleted_and_new_ones_stay(tmp_path: Path) -> None:
    handler, now = MaildirHandler(tmp_path / "mail"), 100 * DAY_S
    for name, days in (("old", 31), ("young", 29)):
        handler.deliver(name.encode(), [])
        mail = next(path for path in (tmp_path / "mail" / "new").iterdir() if path.read_text() == name)
        os.utime(mail, (now - days * DAY_S,) * 2)
    (half := tmp_path / "mail" / "tmp" / "half").touch()
    os.utime(half, (0, 0))

    assert delete_old_mails(tmp_path / "mail", now - 30 * DAY_S) == 2
    assert [path.read_text() for path in (tmp_path / "mail" / "new").iterdir()] == ["young"]
    assert delete_old_mails(tmp_path / "nothing there", now) == 0


@in_event_loop
async def test_envelope_that_is_sent_together_is_accepted(tmp_path: Path) -> None:
    def send(port: int) -> tuple[bool, list[int]]:
        with smtplib.SMTP("127.0.0.1", port, timeout=WAIT_S_MAX) as client:
            client.ehlo()
            client.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
            codes = [client.getreply()[0] for _ in range(3)]
            client.send(b"Subject: one\r\n\r\ntext\r\n.\r\n")
            return client.has_extn("pipelining"), [*codes, client.getreply()[0]]

    handler = MaildirHandler(tmp_path / "mail")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        await asyncio.get_running_loop().create_server(lambda: SMTP(handler, hostname="localhost"), sock=listener)
        sent = await asyncio.to_thread(send, listener.getsockname()[1])

    assert sent == (True, [250, 250, 354, 250])
    assert len(list((tmp_path / "mail" / "new").iterdir())) == 1
