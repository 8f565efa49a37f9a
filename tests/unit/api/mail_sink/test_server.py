"""What the embedded stack keeps of emails, and for how long."""

import os
from pathlib import Path

from api.mail_sink.server import DAY_S, MaildirHandler, delete_old_mails


def test_old_emails_are_deleted_and_new_ones_stay(tmp_path: Path) -> None:
    """By the time at which they came; one that is not whole yet goes too once it is old."""
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
