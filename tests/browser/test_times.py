"""Every time on every page says the truth: in the reader's time zone, or in UTC with a label that says so."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from mailbox import Maildir
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page

from domain.commands.campaign.waiting_list import OfferUses
from domain.commands.context import CommandContext
from domain.ports import OutcomeUnknown
from tests.browser.test_office import fill_campaign
from tests.integration.web.admin.hand_outs.lists import send
from tests.security.matrix import MATRIX, is_api
from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.served_app import ServedApp
from tests.support.clients.staff_browser import code_id_of

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
ZONES: Final = {"UTC": "en", "Asia/Shanghai": "zh", "America/New_York": "en"}
"""Time zones of readers, and a language for each."""
AROUND_NOW: Final = timedelta(hours=1)
"""Between the present time and the value of a field that begins with it; every zone but UTC is further away."""
FORMS: Final = {None: "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "clock": "%H:%M", "day": "%m-%d"}
QUERIES: Final = {
    "/admin/campaigns/{campaign_id}": ("", "?as_of={as_of}"),
    "/admin/campaigns/{campaign_id}/explain": ("", "?as_of={as_of}"),
    "/admin/groups/one": ("?name=blue",),
    "/support/codes/{code_id}": ("", "?as_of={as_of}&since={starts_at}&until={ends_at}"),
    "/support/codes/{code_id}/compare": ("?a=1&b=2",),
    "/support/codes/{code_id}/explain": ("", "?as_of={as_of}"),
    "/support/codes/{code_id}/what-if": ("", "?as_of={as_of}"),
    "/admin/staff/{staff_id}/role": ("?role=viewer",),
    "/support/dashboard": ("", "?window=week"),
    "/support/outage": ("?start={starts_at}&end={ends_at}&include=sent",),
}
"""Queries of pages that need or take one."""
NO_PAGES: Final = {
    "/": "leads to another page",
    "/healthz": "text",
    "/readyz": "JSON",
    "/robots.txt": "text",
    "/llms.txt": "text",
    "/metrics": "text",
    "/static": "files",
    "/docs": "a page of another program",
    "/favicon.ico": "a picture",
    "/support/sign-in/second/{step_id}": "no browser began it",
    "/admin/campaigns/{campaign_id}/waiting-list/{place_id}": "it shows no time",
    "/admin/hand-outs/{hand_out_id}/progress": "parts of a page, whose script shows their times",
    "/support/account/factors/{factor_id}/remove": "needs a second factor; it shows no time",
    "/support/search/{search_id}": "leads to another page without its cookie",
    "/support/set-password/{token}": "needs a link of staff; it shows no time",
    "/support/sign-in/oidc": "leads to the identity provider",
    "/support/sign-in/oidc/callback": "comes from the identity provider",
    "/support/{_path}": "no page has this address",
    "/admin/{_path}": "no page has this address",
    "/mailbox/{key}/html": "an email",
    "/admin/groups/letter": "an email",
    "/admin/hand-outs/{hand_out_id}/mail": "an email",
    "/admin/batches/{batch_id}/rejected": "a file",
    "/admin/campaigns/{campaign_id}/proofs": "JSON",
    "/support/codes/{code_id}/proofs": "JSON",
    "/support/codes/{code_id}/stream": "events",
    "/support/codes/{code_id}/version": "JSON",
    "/support/reservations/{reservation_id}/receipt": "a file",
}
"""GET routes that are no page, and what they are."""
LABEL_BEFORE: Final = re.compile(r"UTC\W*\Z")
LABEL_BEHIND: Final = re.compile(r"\W*UTC")
TIME_IN_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?!\d)(.{0,7})")
SAYS_UTC: Final = re.compile(r"(?:Z|\+00:00| UTC|（UTC|\(UTC)")
READ: Final = """() => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const without = (part) => {
    const copy = part.cloneNode(true);
    copy.querySelectorAll("time, input").forEach((inner) => inner.remove());
    return copy.textContent;
  };
  const column = (cell) => cell.closest("table").querySelectorAll("thead th, thead td")[cell.cellIndex];
  const labelOf = (time) => {
    const cell = time.closest("td, th");
    const value = time.closest("dd");
    if (value) return without(value.parentElement.querySelector("dt"));
    return cell && column(cell) ? without(column(cell)) : "";
  };
  const near = (node) => node?.nodeType === Node.TEXT_NODE ? node.textContent : "";
  const times = [...document.querySelectorAll("time[datetime]")].map((time) => ({
    at: time.dateTime, text: time.textContent, form: time.dataset.form ?? null,
    label: labelOf(time), before: near(time.previousSibling), after: near(time.nextSibling),
  }));
  const fields = [...document.querySelectorAll("input[type=datetime-local], input[type=date], input[type=time]")];
  const copy = document.body.cloneNode(true);
  copy.querySelectorAll("time, script, style").forEach((part) => part.remove());
  return {
    times,
    fields: fields.map((field) => ({ name: field.name, value: field.value, label: field.labels[0].textContent })),
    text: copy.textContent,
    zone: document.getElementById("zone")?.hidden === false ? document.getElementById("zone").textContent : "",
  };
}"""


@pytest.fixture(scope="module")
def app(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppClient]:
    mail, folder = EmailMessage(), tmp_path_factory.mktemp("mail") / "mailbox"
    mail["From"], mail["To"], mail["Subject"] = "ledger@example.com", "li.wei@example.com", "Invitation"
    mail["Date"] = "Wed, 25 Nov 2026 14:02:12 +0000"
    mail.set_content("Welcome.\n")
    Maildir(folder, create=True).add(mail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_MAILBOX", str(folder))
        with shared_site(postgres_url) as app_client:
            yield app_client


@dataclass(frozen=True)
class World:
    """A ledger in which no list is empty.

    Attributes:
        times: Start and end of a campaign and of its code, and the present time, in UTC.
        parts: The variable parts of the addresses of its pages.
    """

    times: dict[str, str]
    parts: dict[str, str]

    def addresses(self) -> Iterator[str]:
        for path in (route[4:] for route in MATRIX if route.startswith("GET ") and not is_api(route[4:])):
            if path not in NO_PAGES:
                own = {name: self.parts[f"{name} of {room}"] for room, name in SPECIAL if f"/{room}/" in path}
                for query in QUERIES.get(path, ("",)):
                    yield path.format(**{**self.parts, **own}) + query.format(**self.times)

    def holds(self, value: str, zone: str) -> bool:
        """Whether a field's value, read in a time zone, is a time of this ledger, or one of the last hour."""
        at = datetime.fromisoformat(value).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if f"{at:%Y-%m-%dT%H:%M}" in {each[:16] for each in self.times.values()}:
            return True
        now = datetime.fromisoformat(self.times["as_of"]).replace(tzinfo=UTC)
        return now - AROUND_NOW < at < now + AROUND_NOW


SPECIAL: Final = (
    ("codes", "act"),
    ("reservations", "act"),
    ("hand-outs", "code_id"),
    ("opt-out", "token"),
    ("waiting", "token"),
)
"""Parts of addresses that have another value below another address."""


@pytest.fixture
def world(served_app: ServedApp, open_tab: Tab) -> World:
    app = served_app.app
    key, now = app.key("admin"), app.services.now()

    def post(path: str, **body: Any) -> Any:  # noqa: ANN401 - whatever the document holds
        answer = app.client.post(f"/api/v1/{path}", json=body, headers=key)
        assert answer.is_success, answer.text
        return answer.json()

    starts_at, ends_at = (f"{at:%Y-%m-%dT%H:%M:00Z}" for at in (now - timedelta(days=40), now + timedelta(days=50)))
    terms = {"starts_at": starts_at, "max_uses": 5}
    campaign = post("campaigns", name="Autumn", max_per_day=5, ends_at=ends_at, **terms)["id"]
    code = post("codes", campaign=campaign, open=True, expires_at=ends_at, **terms)[0]["code"]
    sent, lost = served_app.reserve(code, "li.wei@example.com"), served_app.reserve(code, "wang@example.com")
    app.attempt(sent)
    app.attempt(lost, OutcomeUnknown(server="mx:25", cause="connection_lost"))
    for _ in range(2):
        assert app.redeem(code, "zhou@example.com", again=sent).status_code == 400
    hand_out = post("hand-outs", campaign=campaign, name="Newsletter")["id"]
    post(f"hand-outs/recipients?hand_out={hand_out}", recipients=[{"email": "li.wei@example.com"}])
    webhook = post("webhooks", url="https://hooks.example.com/ledger")
    page = open_tab(staff="admin")
    page.goto("/admin")
    page.fill("#expires_at", ends_at[:16])
    page.click("main form button[type=submit]")
    page.wait_for_url("**/admin/batches/*")
    batch = page.url.rpartition("/")[2]
    page.goto("/mailbox")
    mail = page.locator("a[href*='/mailbox/']").first.get_attribute("href") or ""
    digest = app.services.storage.vault.compute_digests("recipient", "zhou@example.com")[0]
    with app.services.storage.datastore.get_connection() as conn:
        (ids,) = conn.execute("SELECT k.key_id::text, s.staff_id::text FROM api_keys k, staff s LIMIT 1").fetchall()
    parts = {
        **ids,
        "campaign_id": campaign,
        "code_id": str(code_id_of(app, code)),
        "reservation_id": sent,
        "recipient_id": str(served_app.opt_out(sent)),
        "hand_out_id": hand_out,
        "endpoint_id": webhook["id"],
        "approval_id": str(propose_export(app, "li.wei@example.com")),
        "batch_id": batch,
        "key": mail.rpartition("/")[2],
        "digest": digest.hex(),
        "token": served_app.link(sent).rpartition("/")[2],
        "version": "1",
        "action": "pause",
        "change": "extend",
        "subject": "codes",
        "subject_id": str(code_id_of(app, code)),
        "act of codes": "terms",
        "act of reservations": "refund",
        "code_id of hand-outs": str(send(app, UUID(hand_out), 1)[0]),
        "token of waiting": join_waiting_list(served_app),
        "token of opt-out": served_app.opt_out_link(sent).rpartition("/")[2],
    }
    post(f"reservations/{sent}/bounce", delivery=1, reason="mailbox_unknown")  # last: no email goes there after it
    times = {"starts_at": starts_at, "ends_at": ends_at, "as_of": f"{app.services.now():%Y-%m-%dT%H:%M:%SZ}"}
    return World(times, parts)


def join_waiting_list(served_app: ServedApp) -> str:
    """The token of a place with an offer on a waiting list."""
    app, key = served_app.app, served_app.app.key("admin")
    campaign = app.client.post(
        "/api/v1/campaigns", json={"name": "Full", "max_uses": 1, "waiting_hours": 24}, headers=key
    )
    campaign_id = campaign.json()["id"]
    order = {"campaign": campaign_id, "max_uses": 9, "open": True}
    code = app.client.post("/api/v1/codes", json=order, headers=key).json()[0]["code"]
    served_app.reserve(code, "first@example.com")
    place = app.client.post("/api/v1/public/waiting-list", json={"email": "second@example.com", "code": code})
    app.client.patch(f"/api/v1/campaigns/{campaign_id}", json={"max_uses": 2}, headers=key)
    context = CommandContext(now=app.services.now(), actor="sweep")
    app.services.storage.ledger.execute_one(OfferUses(context=context, campaign_id=UUID(campaign_id)))
    return str(place.json()["status_url"]).rpartition("/")[2]


def shown_in(zone: str, at: str, form: str | None) -> str:
    return f"{datetime.fromisoformat(at).astimezone(ZoneInfo(zone)):{FORMS[form]}}"


def find_lies(seen: dict[str, Any], zone: str, world: World) -> Iterator[str]:
    """What the times and fields of a page say that is not so."""
    for time in seen["times"]:
        if time["text"] != (expected := shown_in(zone, time["at"], time["form"])):
            yield f"{time['at']} is shown as {time['text']}, not {expected}"
        says_utc = "UTC" in time["label"] or LABEL_BEFORE.search(time["before"]) or LABEL_BEHIND.match(time["after"])
        if says_utc and zone != "UTC":
            yield f"{time['text']} is local, but labeled {time['label'] or time['before'] + time['after']}"
    if seen["times"] and zone not in seen["zone"]:
        yield f"the time zone of its times is not named: {seen['zone']!r}"
    for match in TIME_IN_TEXT.finditer(seen["text"]):
        if not SAYS_UTC.match(match[1]):
            yield f"{match[0]} names no time zone"
    for field in seen["fields"]:
        if zone not in field["label"]:
            yield f"the field {field['name']} names no time zone: {field['label']}"
        if field["value"] and not world.holds(field["value"], zone):
            yield f"the field {field['name']} holds {field['value']}"


@pytest.mark.timeout(240)  # all pages, three times
def test_every_time_on_every_page_agrees_with_its_label(world: World, open_tab: Tab) -> None:
    lies, numbers = {}, {"times": 0, "fields": 0}
    addresses = list(world.addresses())
    for zone, language in ZONES.items():
        page = open_tab(language, staff="admin", timezone_id=zone)
        for address in list(addresses):
            answer = page.goto(address)
            assert answer is not None
            assert answer.status == 200, address
            seen = page.evaluate(READ)
            if not seen["times"] and not seen["fields"]:
                addresses.remove(address)
            numbers = {name: number + len(seen[name]) for name, number in numbers.items()}
            if on_page := list(find_lies(seen, zone, world)):
                lies[zone, address] = on_page

    assert lies == {}
    assert min(numbers.values()) > 20, numbers


TYPED: Final = {
    "UTC": "2031-01-31T22:30:00Z",
    "Asia/Shanghai": "2031-01-31T14:30:00Z",
    "America/New_York": "2031-02-01T03:30:00Z",
    "Asia/Kabul": "2031-01-31T18:00:00Z",
}
"""The time that readers of each zone mean by 22:30 on 2031-01-31."""


@pytest.mark.parametrize("zone", TYPED)
def test_time_is_typed_in_the_zone_that_its_label_names(open_tab: Tab, zone: str) -> None:
    page = open_tab(staff="admin", timezone_id=zone)

    fill_campaign(page, f"In {zone}", ends_at="2031-01-31T22:30")

    row = page.locator(".row", has_text="End of redemption")
    assert row.locator("time").get_attribute("datetime") == TYPED[zone]
    assert row.inner_text().split("\n")[-1] == "2031-01-31 22:30:00"
    page.locator("details", has=page.locator("#ends_at")).evaluate("part => { part.open = true; }")
    assert page.locator("#ends_at").input_value() == "2031-01-31T22:30"
    assert zone in page.locator("label[for=ends_at]").inner_text()


def test_time_is_typed_in_utc_without_javascript(open_tab: Tab) -> None:
    page = open_tab(staff="admin", timezone_id="Asia/Shanghai", java_script_enabled=False)

    fill_campaign(page, "Plain", ends_at="2031-01-31T22:30")

    assert page.locator(".row time").last.get_attribute("datetime") == "2031-01-31T22:30:00Z"
    page.goto("/admin/campaigns")
    assert "UTC" in page.locator("label[for=ends_at]").inner_text()


def test_time_that_does_not_exist_is_refused_before_it_is_sent(open_tab: Tab) -> None:
    """New York goes forward on 2031-03-09 at 02:00; the message names the next time that there is."""
    page = open_tab(staff="admin", timezone_id="America/New_York")
    page.goto("/admin/campaigns")
    page.fill("#name", "Spring")
    page.fill("#ends_at", "2031-03-09T02:30")
    page.click("#create button[type=submit]")

    assert page.url.endswith("/admin/campaigns")
    assert "2031-03-09 03:30" in page.locator("#ends_at-clock").inner_text()

    page.fill("#ends_at", "2031-03-09T03:30")
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/campaigns/*")
    assert page.locator(".row time").last.get_attribute("datetime") == "2031-03-09T07:30:00Z"


@pytest.mark.parametrize(("choice", "expected"), [("UTC−04:00", "05:30"), ("UTC−05:00", "06:30")])
def test_time_that_comes_twice_is_chosen_by_its_offset(open_tab: Tab, choice: str, expected: str) -> None:
    """New York goes back on 2031-11-02 at 02:00."""
    page = open_tab(staff="admin", timezone_id="America/New_York")
    page.goto("/admin/campaigns")
    page.fill("#name", f"Autumn {choice}")
    page.fill("#ends_at", "2031-11-02T01:30")
    page.select_option("#ends_at-clock select", choice)
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/campaigns/*")

    assert page.locator(".row time").last.get_attribute("datetime") == f"2031-11-02T{expected}:00Z"


@pytest.mark.parametrize("stored", ["2031-11-02T05:30:00Z", "2031-11-02T06:30:00Z"])
def test_time_that_comes_twice_stays_when_another_field_is_changed(
    served_app: ServedApp, open_tab: Tab, stored: str
) -> None:
    """Both are 01:30 in New York. Typed again, the choice begins with the stored one."""
    app = served_app.app
    body = {"name": f"Autumn {stored}", "ends_at": stored}
    campaign = app.client.post("/api/v1/campaigns", json=body, headers=app.key("admin")).json()["id"]
    page = open_tab(staff="admin", timezone_id="America/New_York")

    for typed in ("Renamed", "Renamed again"):
        page.goto(f"/admin/campaigns/{campaign}")
        page.locator("details", has=page.locator("#ends_at")).evaluate("part => { part.open = true; }")
        page.fill("#name", f"{typed} {stored}")
        if typed == "Renamed again":
            page.fill("#ends_at", "2031-11-03T01:30")
            page.fill("#ends_at", "2031-11-02T01:30")
        page.locator("form", has=page.locator("#ends_at")).locator("button[type=submit]").click()
        page.wait_for_url("**saved=yes")

        assert page.locator("h1").inner_text() == f"{typed} {stored}"
        assert page.locator(".row time").last.get_attribute("datetime") == stored


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_days_of_a_filter_are_days_of_the_reader(open_tab: Tab, zone: str) -> None:
    page = open_tab(staff="admin", timezone_id=zone)
    page.goto("/admin/codes")
    page.fill("#since", "2026-03-08")
    page.fill("#until", "2026-03-08")
    page.click("form.filter button[type=submit]")
    page.wait_for_url("**since=**")

    bounds = parse_qs(urlsplit(page.url).query)
    ends = {"Asia/Shanghai": ("2026-03-07T16", "2026-03-08T16"), "America/New_York": ("2026-03-08T05", "2026-03-09T04")}
    assert (bounds["since"][0][:13], bounds["until"][0][:13]) == ends[zone]
    assert [page.locator(f"#{name}").input_value() for name in ("since", "until")] == ["2026-03-08"] * 2
