"""What the numbers of a campaign follow from, at the admin console: uses one by one, and events with their proofs."""

import json
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import pytest

from api.web.admin import campaign_events
from projections.transparency_log.checkpoints import derive_signing_key, sign_head
from projections.transparency_log.tile_log import append_new_events
from tests.integration.web.admin.test_campaign_balance import cancel
from tests.integration.web.admin.test_campaigns import LIST, create, issue
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, heading


def show(browser: StaffBrowser, path: str) -> Element:
    return read_page(browser.get(path).text).find("main")


def read_stored(browser: StaffBrowser, path: str) -> dict[str, str]:
    """The stored form of an event, by the page of the event."""
    stored: dict[str, str] = json.loads(show(browser, path).find("article", id="event").find("pre").text)
    return stored


def test_campaign_page_explains_its_number_by_the_uses_that_make_it(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = create(admin, max_uses="3")
    texts = issue(app, admin, path, 3)
    reservations = [
        app.redeem(code, f"person{number}@example.com").json()["reservation_id"] for number, code in enumerate(texts)
    ]
    cancel(admin, reservations[0])
    code_ids = [app.services.reader.find_code(code) for code in texts]

    def list_uses(query: str = "") -> list[tuple[str, list[str]]]:
        lines = show(admin, f"{path}/explain{query}").find("table", id="use-list").rows
        return [(line.find("a", class_="card-code").text, line.link_targets) for line in lines]

    page = show(admin, path)
    uses = list_uses()
    before = read_stored(admin, f"{path}/events/4")["at"]
    past = list_uses(f"?as_of={quote(str(before))}")
    past_link = show(admin, f"{path}?as_of={quote(str(before))}").find("a", class_="why").attributes["href"]
    monkeypatch.setattr(campaign_events, "EXPLAINED_MAX", 1)
    bounded = show(admin, f"{path}/explain").text
    numbers = show(admin, f"{path}/explain").find("div", id="numbers").texts("p")
    past_numbers = show(admin, f"{path}/explain?as_of={quote(str(before))}").find("div", id="numbers").texts("p")

    assert page.find("dl", class_="figures").link_targets == [f"{path}/explain"] * 3
    assert uses == [
        (
            f"Code …{texts[number][-4:]}",
            [
                f"/support/codes/{code_ids[number]}",
                f"/support/reservations/{reservations[number]}",
                f"{path}/events/{number + 2}",
            ],
        )
        for number in (2, 1)
    ]
    assert len(past) == 3
    assert numbers[2] == "Available: 1. This is the limit of 3 over all codes, less 0 used and 2 reserved."
    assert past_numbers[1] == "Reserved: 3. These reservations are pending."
    assert str(past_link).startswith(f"{path}/explain?as_of=")
    assert "Older uses that are not listed here: 1." in bounded


def test_campaign_history_names_code_and_reservation_and_leads_to_the_stored_event(
    app: AppClient, admin: StaffBrowser
) -> None:
    path = create(admin, max_uses="3")
    (code,) = issue(app, admin, path, 1)
    reservation_id = app.redeem(code, "li@example.com").json()["reservation_id"]
    code_id = app.services.reader.find_code(code)

    line, *_ = show(admin, path).find("ol", id="lines").find_all("li")
    pending = line.find("a", href="#proof").attributes["data-proof"]
    ring = app.services.storage.vault.rings["master"]
    with app.services.storage.datastore.get_connection() as conn:
        append_new_events(conn)
        sign_head(conn, derive_signing_key(ring), app.services.now() + timedelta(minutes=1))
    page = show(admin, path)
    event = show(admin, f"{path}/events/2")
    stored = read_stored(admin, f"{path}/events/2")
    proofs = admin.get(f"{page.find('section', id='proof').attributes['data-source']}?versions=1,2").json()

    assert f"Code …{code[-4:]}" in line.text
    assert {f"/support/codes/{code_id}", f"/support/reservations/{reservation_id}"} <= {*line.link_targets}
    assert f"{path}/events/2" in line.link_targets
    assert (pending, [tick.attributes["data-proof"] for tick in page.find_all("a", href="#proof")]) == (
        "pending",
        ["signed"] * 2,
    )
    assert (stored["type"], stored["code_id"], stored["reservation_id"]) == (
        "CampaignUseTaken",
        str(code_id),
        reservation_id,
    )
    assert "1 / 3" in event.text
    assert f"{path}/events/1" in event.link_targets
    assert heading(admin.get(f"{path}/events/1")).startswith("campaign created")
    assert (proofs["stream"], [version for version, *_ in proofs["events"]]) == (str(UUID(path[-36:])), [1, 2])


def test_evidence_of_unknown_campaigns_and_events_is_not_found(admin: StaffBrowser) -> None:
    path, unknown = create(admin, name="Free"), f"{LIST}/{'0' * 8}-0000-4000-8000-{'0' * 12}"

    missing = [f"{path}/events/2", f"{unknown}/events/1", f"{unknown}/explain", f"{path}/explain?as_of=2020-01-01"]

    assert [admin.get(each).status_code for each in missing] == [404] * 4
    assert admin.get(f"{path}/events/1").status_code == 200
    assert "No use counts or is reserved." in show(admin, f"{path}/explain").text
    assert admin.get(f"{path}/proofs?versions=x").status_code == 422


@pytest.mark.usual_world("a page of more events than are folded")
def test_equal_events_of_a_campaign_are_one_row(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="40")
    for number, code in enumerate(issue(app, admin, path, 5)):
        app.redeem(code, f"fold{number}@example.com")

    def read_runs(query: str = "") -> list[str]:
        runs = show(admin, f"{path}{query}").find("ol", id="lines").find_all("li", class_="fold")
        return [" ".join(run.find_all("summary")[0].text.split()) for run in runs]

    (run,) = read_runs()
    (run_below,) = read_runs("?until=5")

    assert "5 × campaign use taken #2 – #6" in run
    assert "uses 0 → 5" in run
    assert "3 more × campaign use taken #2 – #4" in run_below  # the event that the address names stays visible
