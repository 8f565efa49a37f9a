"""What admins set for a group: words, place, preview and test."""

import base64

import pytest

from api.schemas.groups import is_redirect_target
from domain.values.email_branding import EmailBranding, parse_logo
from projections.repositories.groups import GroupRepository
from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser
from tests.support.images import make_png

NAME = "Blue & <co>/1"
UNTOUCHED = "/admin/groups/one?name=untouched"
PATH = "/admin/groups/one?name=Blue%20%26%20%3Cco%3E%2F1"


def test_words_are_kept_and_shown_as_they_will_arrive(app: AppClient, admin: StaffBrowser) -> None:
    saved = admin.submit(
        PATH,
        subject_en="Come to {group}",
        text_en="<script>x</script>\r\n\r\nBye",
        accept_target="https://x.example/in",
    )
    page, preview = admin.get(PATH), admin.get(PATH.replace("/one", "/letter") + "&language=en")
    group = GroupRepository(app.services.storage).find(NAME)

    assert saved.status_code == 303
    assert group is not None
    assert group.en == ("Come to {group}", "<script>x</script>\n\nBye")
    assert group.accept_target == "https://x.example/in"
    assert "Come to Blue &amp; &lt;co&gt;/1" in page.text
    assert "&lt;script&gt;x" in preview.text
    assert "sandbox" in preview.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in preview.headers["content-security-policy"]
    assert "changed the emails of a group" in admin.get("/support/audit").text


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"subject_en": "Hi\r\nBcc: a@example.com"}, "cannot be shown"),
        ({"subject_zh": "x" * 201}, "This is too long"),
        ({"accept_target": "javascript:alert(1)"}, "begins with https"),
        ({"subject_en": "Hi {first} {group}"}, "Invitations have no value for {first}."),
    ],
)
def test_contradicting_settings_are_not_saved(
    app: AppClient, admin: StaffBrowser, fields: dict[str, str], fault: str
) -> None:
    answer = admin.submit(UNTOUCHED, **fields)

    assert answer.status_code == 422
    assert fault in answer.text
    assert GroupRepository(app.services.storage).find("untouched") is None


def test_test_message_that_fails_says_why(admin: StaffBrowser) -> None:
    failed = admin.submit("/admin/groups/test?name=blue", "/admin", language="en", to="me@example.com")
    mistyped = admin.submit("/admin/groups/test?name=blue", "/admin", language="en", to="me@@example")

    assert "The test was not sent" in failed.text
    assert (mistyped.status_code, bool(read_page(mistyped.text).find_all(value="me@@example"))) == (422, True)
    assert "sent a test email" in admin.get("/support/audit").text


def test_system_of_ones_own_gets_a_secret_that_is_shown_once(app: AppClient, admin: StaffBrowser) -> None:
    url = "https://team.example.com/in?key=1"
    channel = PATH.replace("/one", "/channel")
    channel_page = admin.submit(channel, PATH, channel="webhook", channel_url=url)
    admin.submit(PATH, subject_en="Come")
    page, groups = admin.get(PATH).text, GroupRepository(app.services.storage)
    renewed = admin.submit(PATH.replace("/one", "/secret"), PATH)
    group = groups.find(NAME)

    assert group is not None
    assert (group.channel, group.channel_settings, group.en.subject) == ("webhook", {"url": url}, "Come")
    assert f"/api/v1/channels/{group.channel_id}/callbacks" in page
    assert secret_of(channel_page.text).startswith("whsec_")
    assert secret_of(channel_page.text) not in page
    assert secret_of(renewed.text) != secret_of(channel_page.text)
    assert page.count("whsec_") == 0
    assert admin.submit(channel, PATH, channel="smtp").status_code == 303
    assert "changed a group&#39;s channel" in admin.get("/support/audit").text
    mailed = groups.find(NAME)
    assert mailed is not None
    assert (mailed.channel, mailed.channel_id) == ("smtp", group.channel_id)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "Fill in this field"),
        ("http://team.example.com", "must begin with https"),
        ("https://10.0.0.1/", "LEDGER_WEBHOOK_ALLOW_PRIVATE"),
        ("https://a@b.example/", "Remove user and password"),
    ],
)
def test_target_that_may_not_be_sent_to_is_not_saved(app: AppClient, admin: StaffBrowser, url: str, fault: str) -> None:
    answer = admin.submit(UNTOUCHED.replace("/one", "/channel"), UNTOUCHED, channel="webhook", channel_url=url)

    assert answer.status_code == 422
    assert fault in answer.text
    assert read_page(answer.text).find_all(value=f"{url}")
    assert GroupRepository(app.services.storage).find("untouched") is None


BRANDING = PATH.replace("/one", "/branding")
PREVIEW = PATH.replace("/one", "/letter") + "&language=en"


def test_logo_and_color_are_kept_and_shown(app: AppClient, admin: StaffBrowser) -> None:
    groups, data = GroupRepository(app.services.storage), make_png(240, 64)
    saved = admin.post_file(BRANDING, "logo.png", data, {"accent": "#1F5FBF"}, PATH)
    page, preview = admin.get(PATH).text, admin.get(PREVIEW).text
    admin.post_file(BRANDING, "", b"", {"accent": ""}, PATH)
    unchanged = groups.find_branding(NAME)
    admin.post_file(BRANDING, "", b"", {"accent": "", "remove_logo": "yes"}, PATH)

    assert saved.status_code == 303
    assert "image/png, 240 × 64 pixels" in page
    assert read_page(page).find_all(id="accent", value="#1f5fbf")
    assert f"data:image/png;base64,{base64.b64encode(data).decode()}" in preview
    assert "background-color:#1f5fbf" in preview
    assert unchanged == EmailBranding(parse_logo(data), None)
    assert groups.find_branding(NAME) == EmailBranding()
    audit = admin.get("/support/audit").text
    assert "color: none → #1f5fbf" in audit
    assert "logo: none → PNG, 240 × 64, " in audit


@pytest.mark.parametrize(
    ("data", "accent", "faults"),
    [
        (b"<svg/>", "", ["Choose a complete PNG, JPEG or GIF image."]),
        (make_png(601, 64), "", ["This image has 601 × 64 pixels. At most 600 × 200 are possible."]),
        (b"x" * 65_537, "", ["This file has 65,537 bytes. At most 65,536 are possible."]),
        (b"", "blue", ["Enter a color as # and six hexadecimal digits"]),
        (b"<svg/>", "#808080", ["Choose a complete", "White or dark text has a contrast of 4.11 on this color"]),
    ],
)
def test_logo_and_color_that_break_a_rule_are_not_saved(
    app: AppClient, admin: StaffBrowser, data: bytes, accent: str, faults: list[str]
) -> None:
    form = UNTOUCHED.replace("/one", "/branding")
    answer = admin.post_file(form, "logo.png" if data else "", data, {"accent": accent}, UNTOUCHED)

    assert answer.status_code == 422
    assert [fault in answer.text for fault in faults] == [True] * len(faults)
    assert read_page(answer.text).find_all(id="accent", value=accent)
    assert GroupRepository(app.services.storage).find("untouched") is None


def test_stored_logo_that_was_altered_is_left_out(app: AppClient, admin: StaffBrowser) -> None:
    path = "/admin/groups/one?name=altered"
    admin.post_file(path.replace("/one", "/branding"), "logo.png", make_png(240, 64), {"accent": "#1f5fbf"}, path)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE invite_groups SET logo = 'x' WHERE name = 'altered'")

    assert GroupRepository(app.services.storage).find_branding("altered") == EmailBranding(accent="#1f5fbf")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://team.example.com/join?x=1#y", True),
        ("http://localhost:3000/in", True),
        ("http://127.0.0.1:8000", True),
        ("http://team.example.com", False),
        ("//team.example.com", False),
        ("https:team.example.com", False),
        ("https://", False),
        ("https://user@evil.example", False),
        ("https://a.example\\@evil.example", False),
        ("https://a.example/\nSet-Cookie: x", False),
        ("https://a.example/ x", False),
        ("https://[::1", False),
        ("https://a.example:port", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
    ],
)
def test_accepted_invitation_leads_to_https_only(text: str, is_one: bool) -> None:
    assert is_one == is_redirect_target(text)
