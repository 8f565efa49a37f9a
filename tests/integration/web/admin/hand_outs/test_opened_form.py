"""The request by which the form says that a browser opened it with the code of a link, and the step of the funnel."""

from random import Random
from threading import BoundedSemaphore
from uuid import UUID

import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.use_cases.hand_outs import opened_forms
from api.use_cases.privacy.export_person import export_person
from api.use_cases.services import Caller
from domain.values.identifiers import EmailAddress, generate_code
from tests.integration.web.admin.hand_outs.lists import create_hand_out, send, upload
from tests.integration.web.admin.test_campaign_balance import funnel
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

PEOPLE = ("a@example.com", "b@example.com", "c@example.com")
ROUTE = "/invite/opened"


def hand_out(app: AppClient, admin: StaffBrowser) -> tuple[str, list[str]]:
    """Hand three codes out; the path of the campaign, and the codes."""
    path = create_hand_out(admin)
    upload(admin, path, "\n".join(("email", *PEOPLE)).encode())
    ids = send(app, UUID(path.rpartition("/")[2]), len(PEOPLE))
    codes = [text for code_id in ids if (text := app.services.reader.find_code_text(code_id))]
    campaign = next(link for link in read_page(admin.get(path).text).link_targets if link.endswith("/hand-outs"))
    return campaign.removesuffix("/hand-outs"), codes


def report(app: AppClient, code: str) -> tuple[int, bytes]:
    """Send what the script of the form sends; the status and the body of the answer."""
    answer = app.client.post(ROUTE, data={"code": code})
    return answer.status_code, answer.content


def test_opened_form_is_counted_once_for_each_code_that_was_handed_out(
    app: AppClient, admin: StaffBrowser, capfd: pytest.CaptureFixture[str]
) -> None:
    """Typed in any way, repeated, or only fetched as by a mail gateway: two of three codes were opened."""
    campaign, codes = hand_out(app, admin)
    before, lines = funnel(admin, campaign), [""]

    def is_logged(requests: int) -> bool:
        lines[0] += capfd.readouterr().err
        return lines[0].count(f'"route":"{ROUTE}"') == requests

    app.client.get("/invite", params={"code": codes[2]})
    answers = {report(app, code) for code in (codes[0], codes[0], codes[1].lower())}
    assert wait_until(lambda: is_logged(3), 30)
    after, text = funnel(admin, campaign), read_page(admin.get(campaign).text).text

    assert answers == {(204, b"")}
    assert (before["Opened form"], after["Opened form"]) == (["0", "–"], ["2", "–"])
    assert list(after)[:4] == ["Issued", "Handed out to a list", "Opened form", "Redeemed"]
    assert "a browser that runs scripts opened the link of the email. Each code counts once." in text
    assert not [code for code in codes if code.casefold() in lines[0].casefold()]


@pytest.mark.usefixtures("own_app")
def test_answer_is_the_same_for_every_text_and_only_handed_out_codes_are_stored(
    app: AppClient, admin: StaffBrowser
) -> None:
    _, codes = hand_out(app, admin)
    texts = [codes[0], app.issue(), generate_code(Random(1)), "PROMO2024", "", "\x00", "x" * 5_000]

    answers = {report(app, text) for text in texts}
    without_field = app.client.post(ROUTE)
    too_large = app.client.post(ROUTE, data={"code": "x" * 1_000_000})

    assert answers == {(204, b"")}
    assert (without_field.status_code, too_large.status_code) == (204, 413)
    assert app.count("opened_codes") == 1


def test_unknown_codes_of_openings_are_not_counted_as_guesses(app: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only texts that cannot be guessed are looked up, so redeem requests from the same IP address are not limited."""
    lookups: list[object] = []
    monkeypatch.setattr(opened_forms, "insert_opened_code", lambda _, digests: lookups.append(digests))

    answers = {report(app, f"PROMO{number}") for number in range(30)} | {report(app, generate_code(Random(1)))}
    redeemed = app.redeem("PROMO2024").json()

    assert answers == {(204, b"")}
    assert len(lookups) == 1
    assert redeemed["code"] == "CODE_INVALID"


@pytest.mark.usefixtures("own_app")
def test_opening_is_not_recorded_while_too_many_others_are(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codes = hand_out(app, admin)
    slots = BoundedSemaphore(1)
    monkeypatch.setattr(opened_forms, "_slots", slots)

    with slots:
        during = report(app, codes[0]), app.count("opened_codes")
    afterwards = report(app, codes[0]), app.count("opened_codes")

    assert (during, afterwards) == (((204, b""), 0), ((204, b""), 1))


@pytest.mark.usefixtures("own_app")
def test_opening_is_exported_and_erased_with_its_recipient(app: AppClient, admin: StaffBrowser) -> None:
    _, codes = hand_out(app, admin)
    report(app, codes[0])
    report(app, codes[1])
    operator, address = Caller(actor="operator"), EmailAddress.parse(PEOPLE[0])
    (person,) = export_person(app.services, operator, address, "en", "asked for it")["people"]

    body = {"email": PEOPLE[0], "reason": "asked for it"}
    answer = app.client.post("/api/v1/recipients/forget", json=body, headers=app.key("admin"))

    assert answer.status_code == 200, answer.text
    assert [row["form_opened"] for row in person["hand_outs"]] == [True]
    assert app.count("opened_codes") == 1
