import base64
import re
from dataclasses import replace
from email.message import EmailMessage
from mailbox import Maildir
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.mail_sink.maildir import PAGE_MAX
from api.web.public.mailbox import link_urls
from domain.values.email_branding import EmailBranding, parse_logo
from tests.support.channel_builders import MESSAGE
from tests.support.clients.page_reader import read_page
from tests.support.images import make_png
from tests.support.stub_use_cases import StubUseCases, client_of
from workers.channels.mail_message import message_bytes

LINK = "http://127.0.0.1:8000/a/token"


def mail(subject: str = "Invitation", html: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "ledger@example.com"
    message["To"] = "li.wei@example.com"
    message["Subject"] = subject
    message["Date"] = "Wed, 25 Nov 2026 14:02:12 +0000"
    message.set_content(f"Open {LINK}.\n")
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mailbox"


@pytest.fixture
def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    return client_of(StubUseCases(), monkeypatch, folder)


def keep(folder: Path, message: EmailMessage | bytes) -> str:
    return Maildir(folder, create=True).add(message)


def test_email_is_shown_with_its_logo(reader: TestClient, folder: Path) -> None:
    """A browser cannot ask for a part of an email, so its HTML gets the image itself; the page may show such images."""
    data = make_png(240, 64)
    branded = replace(MESSAGE, branding=EmailBranding(parse_logo(data)))
    key = keep(folder, message_bytes(branded, "ledger@example.com"))
    response = reader.get(f"/mailbox/{key}/html")

    assert f'src="data:image/png;base64,{base64.b64encode(data).decode()}"' in response.text
    assert "cid:" not in response.text
    assert "img-src data:" in response.headers["content-security-policy"]


def test_without_a_sink_there_is_no_mailbox(client: TestClient) -> None:
    assert client.get("/mailbox").status_code == 404


def test_before_the_first_mail_it_is_empty(reader: TestClient) -> None:
    response = reader.get("/mailbox?lang=en")

    assert response.status_code == 200
    assert "There are no emails yet" in response.text


@pytest.mark.usual_world("a page of the mailbox")
def test_emails_are_listed_newest_first_and_bounded(reader: TestClient, folder: Path) -> None:
    for number in range(PAGE_MAX + 5):
        keep(folder, mail(f"mail-{number:03d}"))
    first = reader.get("/mailbox?lang=en").text
    older = first.partition("/mailbox?before=")[2].partition('"')[0]

    second = reader.get(f"/mailbox?lang=en&before={older}").text

    expected = [f"mail-{number:03d}" for number in reversed(range(PAGE_MAX + 5))]
    assert expected == re.findall(r"mail-\d{3}", first + second)
    assert "before=" not in second.partition('class="pager"')[2]


def test_mail_shows_its_text_with_links(reader: TestClient, folder: Path) -> None:
    key = keep(folder, mail("邀请您"))

    text = reader.get(f"/mailbox/{key}").text

    assert "邀请您" in text
    assert "li.wei@example.com" in text
    assert read_page(text).find("a", href=LINK).attributes["target"] == "_blank"


def test_html_is_shown_in_a_frame_that_runs_nothing(reader: TestClient, folder: Path) -> None:
    """Its links open in a tab, since our pages cannot be framed."""
    key = keep(folder, mail(html='<html><head><title>x</title></head><body><a href="/a/t">go</a></body></html>'))

    page = reader.get(f"/mailbox/{key}").text
    html = reader.get(f"/mailbox/{key}/html")

    assert read_page(page).find_all(src=f"/mailbox/{key}/html")
    assert read_page(page).find_all(sandbox="allow-popups allow-popups-to-escape-sandbox")
    assert '<head><base target="_blank">' in html.text
    policy = html.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize("key", ["%2e%2e%2fsecret", "..%2f..%2fsecret", "%00", "nothing", "a" * 5000])
def test_no_name_leads_out_of_the_folder(reader: TestClient, folder: Path, key: str) -> None:
    keep(folder, mail())
    (folder.parent / "secret").write_text("hidden words")

    for path in (f"/mailbox/{key}", f"/mailbox/{key}/html"):
        response = reader.get(path)
        assert response.status_code == 404
        assert "hidden words" not in response.text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00\x01",
        b"Subject: =?nonsense?q?=ff?=\nDate: yesterday\nFrom: <<>>\nTo: @\n\n\xff\xff",
        b"Content-Type: text/html; charset=no-such\n\n<p>\xe4</p>",
        b"Content-Type: multipart/alternative; boundary=x\n\n--x\n--x--",
        b"Subject: <script>alert(1)</script>\n\n<script>alert(2)</script>",
    ],
    ids=["empty", "binary", "headers", "charset", "multipart", "script"],
)
def test_broken_mail_is_still_a_page(reader: TestClient, folder: Path, raw: bytes) -> None:
    """Anyone may send to the sink."""
    key = keep(folder, raw)

    assert reader.get("/mailbox").status_code == 200
    page = reader.get(f"/mailbox/{key}")
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_huge_mail_is_cut(reader: TestClient, folder: Path) -> None:
    message = mail()
    message.set_content("x" * 60 + "\n" + ("y" * 70 + "\n") * 20_000)
    key = keep(folder, message)

    response = reader.get(f"/mailbox/{key}?lang=en")

    assert "Only its beginning is shown" in response.text
    assert len(response.content) < 1_200_000


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("no address", []),
        ("see https://example.com/a?b=1&c=2.", ["https://example.com/a?b=1&amp;c=2"]),
        ("请打开 http://example.com/a/x，谢谢", ["http://example.com/a/x"]),
        ("javascript:alert(1) <b>", []),
    ],
)
def test_only_web_addresses_become_links(text: str, links: list[str]) -> None:
    shown = str(link_urls(text))

    assert links == [part.partition('"')[0] for part in shown.split('href="')[1:]]
    assert "<b>" not in shown
