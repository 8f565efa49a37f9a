"""The page that asks which uses the limits of a campaign count, before they are changed."""

from tests.integration.web.admin.test_campaigns import create, faults, figures, issue, seen_by
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, heading


def test_limit_of_an_uncounted_campaign_asks_which_uses_it_counts(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, name="Free")
    for number, code in enumerate(issue(app, admin, path, 3)):
        app.redeem(code, f"person{number}@example.com")
    form = {"name": "Free", "max_uses": "2", "notify_at": "100%", "seen": seen_by(admin, path)}

    asked = admin.submit(path, path, **form)
    page = read_page(asked.text)
    hidden = {
        str(field.attributes["name"]): str(field.attributes["value"]) for field in page.find_all("input", type="hidden")
    }
    before = app.count("ledger_events")
    without_reason = admin.submit(path, path, **{**hidden, "counting": "all"})
    assert app.count("ledger_events") == before
    saved = admin.submit(path, path, **{**hidden, "counting": "all", "reason": "Budget"})
    shown = read_page(admin.get(path).text)

    assert (asked.status_code, heading(asked)) == (200, "Which uses do the limits count?")
    of_all, from_now = page.find("fieldset", id="choice-all"), page.find("fieldset", id="choice-from_now")
    assert "Uses that would be counted: 3. Left over all codes: -1." in of_all.text
    assert "Uses over the limits: 1. They stay." in of_all.text
    assert len(of_all.find_all("li")) == 1
    assert "Reports a threshold: 100% of the uses are taken." in of_all.text
    assert "Reports a threshold" not in from_now.text
    assert "Uses that would be counted: 0. Left over all codes: 2." in from_now.text
    assert (hidden["max_uses"], hidden["seen"]) == ("2", form["seen"])
    assert (without_reason.status_code, saved.status_code) == (422, 303)
    assert figures(admin, path)[2:] == ["-1", "2"]
    assert "Uses over the limit over all codes: 1. They stay" in shown.find("p", id="over").text
    history = admin.get(f"{path}/explain").text
    assert "count all uses" in history


def test_limit_from_now_on_is_shown_with_its_time(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, name="Free")
    for number, code in enumerate(issue(app, admin, path, 2)):
        app.redeem(code, f"person{number}@example.com")
    form = {"name": "Free", "max_per_day": "5", "max_uses": "5", "seen": seen_by(admin, path)}

    saved = admin.submit(path, path, **form, counting="from_now", reason="Budget")

    assert saved.status_code == 303
    assert figures(admin, path)[2:] == ["5", "5"]
    assert "reserved since" in admin.get(path).text


def test_counting_campaign_asks_if_the_form_wants_the_choice(app: AppClient, admin: StaffBrowser) -> None:
    path = create(admin, max_uses="3")
    app.redeem(issue(app, admin, path, 1)[0], "li@example.com")
    seen = seen_by(admin, path)

    asked = admin.submit(path, path, name="Autumn", max_uses="3", choose_counting="yes", seen=seen)
    unlimited = admin.submit(path, path, name="Autumn", choose_counting="yes", seen=seen)
    fresh = admin.submit(path, path, name="Autumn", max_uses="3", counting="from_now", reason="New", seen=seen)
    renamed = admin.submit(path, path, name="Winter", max_uses="3", seen=seen)
    stale = admin.submit(path, path, name="Spring", max_uses="1", counting="all", reason="Less", seen=seen)

    assert heading(asked) == "Which uses do the limits count?"
    assert faults(unlimited)["max_uses"].startswith("Enter a limit of uses")
    assert [fresh.status_code, renamed.status_code, stale.status_code] == [303, 303, 409]
    assert figures(admin, path)[2:] == ["3", "3"]
