"""The emails of a hand-out at the admin console: previews in both languages, and a test to the one who asks."""

from uuid import uuid4

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome
from tests.integration.web.admin.hand_outs.lists import create_hand_out
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from workers.mail_preview import MailPreviewer


def test_page_previews_the_email_in_both_languages(admin: StaffBrowser) -> None:
    """With its own subject and text; a variable shows its name."""
    path = f"{create(admin)}/hand-outs"
    texts = {"subject_en": "For you, {name}", "text_en": "Dear {name}, enjoy."}
    answer = admin.submit(path, path, name="Readers", nonce=uuid4().hex, max_uses="1", expires_at="2099-01-31", **texts)
    page = str(answer.headers["location"])

    preview = read_page(admin.get(page).text).find("section", aria_labelledby="preview")
    frames = [admin.get(frame.attributes["src"]) for frame in preview.find_all("iframe")]

    assert "For you, [name]" in preview.text
    assert [read_page(frame.text).find("html").attributes["lang"][:2] for frame in frames] == ["zh", "en"]
    assert "Dear [name], enjoy." in frames[1].text
    assert "until 2099-01-31" in frames[1].text
    assert all("sandbox" in frame.headers["content-security-policy"] for frame in frames)


def test_test_email_goes_to_the_one_who_asks_and_is_recorded(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No recipient is added, and no code is issued; a failure says why. A reload sends no other email."""
    path, messages = create_hand_out(admin), list[OutboundMessage]()

    def accept(_: MailPreviewer, message: OutboundMessage) -> Outcome:
        messages.append(message)
        return Accepted(server="mx:25")

    failure = admin.submit(f"{path}/test", path, language="zh")
    monkeypatch.setattr(MailPreviewer, "send", accept)
    success = admin.submit(f"{path}/test", path, language="en")
    pages = [str(answer.headers["location"]) for answer in (failure, success)]
    failed = read_page(admin.get(pages[0]).text).find("div", id="notice")
    sent, reloaded = (read_page(admin.get(pages[1]).text) for _ in range(2))
    audited = admin.get("/support/audit").text

    assert (failure.status_code, success.status_code) == (303, 303)
    assert "The test was not sent" in failed.text
    assert "unreachable" in failed.text
    assert reloaded.find("p", class_="done").text == sent.find("p", class_="done").text
    assert "accepted the test to" in sent.find("p", class_="done").text
    assert [(message.language, message.is_test) for message in messages] == [("en", True)]
    assert messages[0].recipient.typed in sent.find("p", class_="done").text
    assert "sent a test email of a hand-out" in audited
    assert (app.count("hand_out_recipients"), app.count("code_balances")) == (0, 0)
