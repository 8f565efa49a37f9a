import pytest

from workers.mail_reports.report_mailbox_url import MailboxUrl


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("imaps://b:pass@mx.example/Reports", MailboxUrl("imaps", "mx.example", 993, "b", "pass", "Reports")),
        ("imap+starttls://b:p%40s@mx.example:1143", MailboxUrl("imap+starttls", "mx.example", 1143, "b", "p@s")),
        ("pop3s://b:pass@mx.example", MailboxUrl("pop3s", "mx.example", 995, "b", "pass")),
        ("imap://b:pass@127.0.0.1:1143/A%20B", MailboxUrl("imap", "127.0.0.1", 1143, "b", "pass", "A B")),
        ("pop3://b:pass@localhost", MailboxUrl("pop3", "localhost", 110, "b", "pass")),
    ],
)
def test_url_names_a_mailbox(url: str, parsed: MailboxUrl) -> None:
    assert MailboxUrl.parse(url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "",
        "smtp://b:geheim@mx.example",
        "imaps://mx.example",
        "imaps://b@mx.example",
        "imaps://b:geheim@",
        "imaps://b:geheim@mx.example:99999",
        "imap://b:geheim@mx.example",
        "pop3://b:geheim@mx.example",
        "pop3s://b:geheim@mx.example/Folder",
    ],
)
def test_unusable_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="LEDGER_BOUNCE_MAILBOX_URL") as refused:
        MailboxUrl.parse(url)

    assert "geheim" not in str(refused.value)
    assert "geheim" not in repr(refused.value)


def test_password_is_in_no_representation() -> None:
    """Logs and tracebacks print it."""
    assert "geheim" not in repr(MailboxUrl.parse("imaps://b:geheim@mx.example"))
