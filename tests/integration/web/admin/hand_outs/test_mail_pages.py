"""The emails of a hand-out at the admin console: previews in both languages, and a test to the one who asks."""

from uuid import uuid4

import pytest

from domain.ports import CODES_FILE, Accepted, OutboundMessage, Outcome
from tests.integration.web.admin.hand_outs.lists import create_hand_out
from tests.integration.web.admin.test_campaigns import create, faults
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from workers.mail_preview import MailPreviewer


def test_page_previews_the_email_in_both_languages(admin: StaffBrowser) -> None:
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
    path, messages = create_hand_out(admin), list[OutboundMessage]()
    before = app.count("hand_out_recipients"), app.count("code_balances")

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
    assert "sent a hand-out test email" in audited
    assert (app.count("hand_out_recipients"), app.count("code_balances")) == before


def test_form_changes_rate_and_texts_unless_another_change_came_first(app: AppClient, admin: StaffBrowser) -> None:
    path = create_hand_out(admin)
    form, before = f"{path}/change", app.count("hand_outs")
    texts = {"subject_en": "For you", "text_en": "Dear {name}", "subject_zh": "给您", "text_zh": "您好"}
    seen = read_page(admin.get(form).text).find("input", name="seen").attributes["value"]
    invalid = admin.submit(form, form, per_minute="0", seen=seen, **texts)
    saved = admin.submit(form, form, per_minute="60", seen=seen, **texts)
    shown = read_page(admin.get(str(saved.headers["location"])).text)
    filled = read_page(admin.get(form).text)
    outdated = admin.submit(form, form, per_minute="5", seen=seen, **{**texts, "subject_en": "", "text_zh": "你好"})
    again = read_page(outdated.text)
    replaced = again.find("ul", id="replaced")

    assert (invalid.status_code, saved.status_code, outdated.status_code) == (422, 303, 409)
    assert shown.find("p", class_="done").text == "Rate and text were saved."
    assert "For you" in shown.find("section", aria_labelledby="preview").text
    assert filled.find("input", name="per_minute").attributes["value"] == "60"
    assert filled.find("textarea", name="text_zh").text == "您好"
    assert "were changed while this page was open" in again.find("div", id="notice").text
    assert replaced.texts("li") == ["Emails per minute: 60", "Text, 中文 : 您好", "Subject, English : For you"]
    assert again.find("input", name="per_minute").attributes["value"] == "5"
    assert again.find("input", name="seen").attributes["value"] == filled.find("input", name="seen").attributes["value"]
    assert app.count("hand_outs") == before


def test_form_of_an_ended_hand_out_has_no_rate(admin: StaffBrowser) -> None:
    """Its texts can be changed: its codes are still sent again."""
    path = create_hand_out(admin)
    admin.submit(f"{path}/end", path, reason="asked")
    page = read_page(admin.get(f"{path}/change").text)
    seen = page.find("input", name="seen").attributes["value"]
    saved = admin.submit(f"{path}/change", f"{path}/change", seen=seen, subject_en="Again")

    assert len(page.find_all("textarea")) == 2
    assert not page.find_all("input", name="per_minute")
    assert saved.status_code == 303
    assert "Again" in read_page(admin.get(path).text).find("section", aria_labelledby="preview").text


def test_forms_refuse_control_characters_in_texts(app: AppClient, admin: StaffBrowser) -> None:
    """PostgreSQL stores no NUL: the form of a change and that of a new hand-out name the field."""
    path = create_hand_out(admin)
    campaign = app.client.get(f"/api/v1{path.removeprefix('/admin')}", headers=app.key("admin")).json()["campaign"]
    created, before = f"/admin/campaigns/{campaign}/hand-outs", app.count("hand_outs")
    changed = admin.submit(f"{path}/change", f"{path}/change", seen="*", text_en="a\x00b")
    new = admin.submit(created, created, name="Second", nonce=uuid4().hex, text_zh="a\x00b")

    assert [(answer.status_code, [*faults(answer)]) for answer in (changed, new)] == [
        (422, ["text_en"]),
        (422, ["text_zh"]),
    ]
    assert app.count("hand_outs") == before


def test_form_keeps_what_it_does_not_have_and_what_the_api_accepted(app: AppClient, admin: StaffBrowser) -> None:
    """A rate alone wipes no text, and a subject that the API stored is no reason to refuse a new rate."""
    path = create_hand_out(admin)
    resource, key = f"/api/v1{path.removeprefix('/admin')}", app.key("admin")
    text = {"subject": "For a\u200db", "text": "Dear {name}"}
    app.client.patch(resource, json={"texts": {"en": text}}, headers=key)
    rate_only = admin.submit(f"{path}/change", f"{path}/change", seen="*", per_minute="60")
    with_subject = admin.submit(
        f"{path}/change", f"{path}/change", seen="*", per_minute="70", subject_en=text["subject"], text_en=text["text"]
    )
    shown = app.client.get(resource, headers=key).json()

    assert (rate_only.status_code, with_subject.status_code) == (303, 303)
    assert (shown["per_minute"], shown["texts"]) == (70, {"en": text})


@pytest.mark.parametrize("language", ["en", "zh"])
def test_form_says_what_variables_stand_for_in_an_email_with_several_codes(admin: StaffBrowser, language: str) -> None:
    """A text about one code would name the file instead."""
    page = read_page(admin.get(f"{create_hand_out(admin)}/change?lang={language}").text)

    texts = [each.text for each in page.find_all("p", class_="hint") if "{code}" in each.text]

    assert texts
    assert [text for text in texts if "{count}" not in text or CODES_FILE not in text] == []
