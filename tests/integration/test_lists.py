"""Every list with a pager reaches all of its rows: full pages, each row once, however much else there is."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.message import EmailMessage
from importlib import import_module
from mailbox import Maildir
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import pytest

from api.web.rendering import TEMPLATES
from tests.integration.web.admin.hand_outs.lists import send
from tests.support.clients.admin_client import ask_for, ended, upload
from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.in_process_app import shared_site
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, code_id_of
from tests.support.ledger.code_template import make_template

ROWS: Final = 5
PER_PAGE: Final = 2
CHUNK: Final = 3
"""Rows that one query of a filtered list reads here."""
PERSON: Final = "li.wei@example.com"
ENDING: Final = "LAST"
KEY: Final = r"[0-9a-f]{8}-[0-9a-f-]{27}"
TIMES: Final = r'<td data-label="Time" class="when">()'
"""For rows that link to nothing of their own: they are counted."""
PAGER: Final = re.compile(r"{% if (next\w*|older) %}|table\.pager\(t, by, is_first, (next)\b")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A list of a page.

    Attributes:
        path: Address of the page, with the parts of `World.parts`.
        size: Module and name of the number of its rows.
        row: Pattern with the id of a row.
        parameter: The one of the address that names where a page begins.
        count: Number of rows, if there are more than `ROWS`.
    """

    path: str
    size: str
    row: str
    parameter: str = "cursor"
    count: Callable[[AppClient], int] = lambda _: ROWS


def count_rows(table: str) -> Callable[[AppClient], int]:
    return lambda app: app.count(table)


def at_least(number: int) -> Callable[[AppClient], int]:
    """A number of rows that other parts of the ledger decide; `-number` stands for at least so many."""
    return lambda _: -number


LISTINGS: Final[dict[tuple[str, str], Listing]] = {
    ("mailbox.html", "older"): Listing(
        path="/mailbox", size="api.mail_sink.maildir.PAGE_MAX", row=r'<a href="/mailbox/([^"?]+)"', parameter="before"
    ),
    ("admin/api_keys.html", "next"): Listing(
        path="/admin/keys",
        size="api.web.admin.api_keys.key_list.PER_PAGE",
        row=rf'href="/admin/keys/({KEY})"',
        count=count_rows("api_keys"),
    ),
    ("admin/batch.html", "next"): Listing(
        path="/admin/batches/{imported}",
        size="api.web.admin.batches.PER_PAGE",
        row=rf'class="card-code" href="/support/codes/({KEY})"',
        parameter="after",
    ),
    ("admin/batch.html", "next_line"): Listing(
        path="/admin/batches/{imported}",
        size="api.web.admin.batches.PER_PAGE",
        row=r'<th scope="row" data-label="\w+" class="number">(\d+)</th>',
        parameter="line",
    ),
    ("admin/batches.html", "next"): Listing(
        path="/admin/batches",
        size="api.web.admin.batches.PER_PAGE",
        row=rf'"/admin/batches/({KEY})"',
        count=count_rows("batches"),
    ),
    ("admin/campaign.html", "next"): Listing(
        path="/admin/campaigns/{campaign}",
        size="api.web.admin.campaigns.CODES_PER_PAGE",
        row=rf'class="card-code" href="/support/codes/({KEY})"',
        count=at_least(ROWS),
    ),
    ("admin/campaign.html", "next_event"): Listing(
        path="/admin/campaigns/{campaign}",
        size="api.web.admin.campaign_events.EVENTS_PER_PAGE",
        row=r'data-version="(\d+)"',
        parameter="until",
        count=at_least(ROWS),
    ),
    ("admin/campaigns.html", "next"): Listing(
        path="/admin/campaigns", size="api.web.admin.campaigns.PER_PAGE", row=rf'"/admin/campaigns/({KEY})"'
    ),
    ("admin/codes.html", "next"): Listing(
        path="/admin/codes?kind=open",
        size="api.web.admin.codes.PER_PAGE",
        row=rf'class="card-code" href="/support/codes/({KEY})"',
    ),
    ("admin/groups.html", "next"): Listing(
        path="/admin/groups", size="api.web.admin.groups.PER_PAGE", row=r"/one\?name=(\w+)", parameter="after"
    ),
    ("admin/hand_out_people.html", "next"): Listing(
        path="/admin/hand-outs/{hand_out}",
        size="api.web.admin.hand_outs.hand_out_pages.PEOPLE_PER_PAGE",
        row=rf"/recipients/({KEY})/resend\?",
        parameter="after",
    ),
    ("admin/hand_outs.html", "next"): Listing(
        path="/admin/campaigns/{campaign}/hand-outs",
        size="api.web.admin.hand_outs.hand_out_pages.PER_PAGE",
        row=rf'"/admin/hand-outs/({KEY})"',
    ),
    ("admin/staff.html", "next"): Listing(
        path="/admin/staff",
        size="api.web.admin.staff.PER_PAGE",
        row=rf"/admin/staff/({KEY})/role",
        count=count_rows("staff"),
    ),
    ("admin/webhook.html", "next"): Listing(
        path="/admin/webhooks/{endpoint}", size="api.web.admin.webhooks.PER_PAGE", row=TIMES
    ),
    ("admin/webhooks.html", "next"): Listing(
        path="/admin/webhooks", size="api.web.admin.webhooks.PER_PAGE", row=rf'"/admin/webhooks/({KEY})"'
    ),
    ("support/approvals.html", "next"): Listing(
        path="/support/approvals",
        size="api.web.support.approvals_page.PER_PAGE",
        row=rf'"/support/approvals/({KEY})"',
    ),
    ("support/audit.html", "next"): Listing(
        path="/support/audit",
        size="api.web.support.audit_page.PER_PAGE",
        row=r'<tr id="a(\d+)"',
        parameter="place",
        count=count_rows("audit"),
    ),
    ("support/code.html", "next"): Listing(
        path="/support/codes/{code}?level=all",
        size="api.web.support.code_page.LINES_PER_PAGE",
        row=r'data-version="(\d+)"',
        parameter="place",
        count=at_least(4),
    ),
    ("support/code.html", "next_refused"): Listing(
        path="/support/codes/{refused}",
        size="api.web.support.rejected_requests.SHOWN_MAX",
        row=TIMES,
        parameter="refused_until",
        count=at_least(3),
    ),
    ("support/codes.html", "next"): Listing(
        path="/support/codes?ends=" + ENDING,
        size="api.web.support.search_page.PER_PAGE",
        row=rf'<a class="card-code" href="/support/codes/({KEY})">',
        parameter="after",
    ),
    ("support/home.html", "next"): Listing(
        path="/support", size="api.web.support.search_page.PER_PAGE", row=rf'"/support/reservations/({KEY})"'
    ),
    ("support/person.html", "next"): Listing(
        path="/support/people/{person}",
        size="api.web.support.history.person_page.RESERVATIONS_PER_PAGE",
        row=rf'<th scope="row"><a href="/support/reservations/({KEY})"',
    ),
    ("support/person.html", "next_hand_outs"): Listing(
        path="/support/people/{person}",
        size="api.web.support.history.person_page.HAND_OUTS_PER_PAGE",
        row=rf'<a href="/admin/hand-outs/({KEY})"',
        parameter="before",
    ),
    ("support/person.html", "next_place"): Listing(
        path="/support/people/{person}?level=all",
        size="api.web.support.history.person_page.LINES_PER_PAGE",
        row=r'data-position="(\d+)"',
        parameter="place",
        count=at_least(3 * ROWS),
    ),
    ("support/person.html", "next_refused"): Listing(
        path="/support/people/{person}",
        size="api.web.support.rejected_requests.SHOWN_MAX",
        row=rf'data-label="Limit">[^<]*</td>\s*<td data-label="Code"><a [^>]*href="/support/codes/({KEY})"',
        parameter="refused_until",
    ),
    ("support/rejected_requests.html", "next"): Listing(
        path="/support/refusals",
        size="api.web.support.rejected_requests.PER_PAGE",
        row=TIMES,
        parameter="place",
        count=count_rows("refusals"),
    ),
    ("support/worklist.html", "next"): Listing(
        path="/support/work",
        size="api.web.support.worklist.PER_PAGE",
        row=rf'"/support/reservations/({KEY})#acts"',
    ),
}
AS_OF: Final[dict[tuple[str, str], Listing]] = {
    ("admin/campaign.html", "next_event as of a time"): replace(
        LISTINGS["admin/campaign.html", "next_event"], path="/admin/campaigns/{campaign}?as_of={now}"
    ),
}
"""Lists of a template whose pager keeps more than the place."""
"""By template and variable of its pager."""


@pytest.fixture(scope="module")
def app(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppClient]:
    folder = tmp_path_factory.mktemp("mail") / "mailbox"
    for number in range(ROWS):
        mail = EmailMessage()
        mail["To"], mail["Subject"] = PERSON, f"Invitation {number}"
        mail.set_content("Welcome.\n")
        Maildir(folder, create=True).add(mail)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEDGER_MAILBOX", str(folder))
        with shared_site(postgres_url) as app_client:
            yield app_client


@pytest.fixture(scope="module")
def admin(app: AppClient) -> StaffBrowser:
    for number in range(ROWS):
        add_staff(app, f"{number}@staff.example.com", "admin", PASSWORD)
    browser = StaffBrowser(app)
    assert browser.sign_in("0@staff.example.com", PASSWORD).status_code == 303
    return browser


@pytest.fixture(scope="module")
def parts(app: AppClient, admin: StaffBrowser) -> dict[str, str]:
    """A ledger with `ROWS` of everything, and many codes issued after them; parts of addresses."""
    key, _, _ = (app.key(role) for role in ("admin", "support", "viewer"))

    def post(path: str, **body: Any) -> Any:  # noqa: ANN401 - whatever the document holds
        answer = app.client.post(f"/api/v1/{path}", json=body, headers=key)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    campaigns = [post("campaigns", name=f"Campaign {number}", max_uses=99)["id"] for number in range(ROWS)]
    codes = [code["code"] for code in post("codes", count=ROWS, campaign=campaigns[0], max_uses=1, open=True)]
    reservations = [str(app.redeem(code, PERSON).json()["reservation_id"]) for code in codes]
    for reservation_id in reservations:
        app.attempt(reservation_id)
        post(f"reservations/{reservation_id}/bounce", reason="other")
    for number, code in enumerate(codes):
        assert app.redeem(code, f"{number}@example.com").status_code == 400
    revoked = post("codes", count=ROWS)
    for code in revoked:
        post(f"codes/{code['id']}/revoke")
    requests = [(code["code"], PERSON) for code in revoked]
    requests += [(revoked[0]["code"], f"{number}@example.com") for number in range(1, ROWS)]
    for code, email in requests:
        assert app.redeem(code, email).status_code == 400
    with app.services.storage.datastore.get_connection() as conn:  # as requests that are decided together
        conn.execute("UPDATE refusals SET at = (SELECT max(at) FROM refusals)")
    hand_outs = [post("hand-outs", campaign=campaigns[0], name=f"List {number}")["id"] for number in range(ROWS)]
    others = [f"{number}@example.com" for number in range(1, ROWS)]
    # A person is in one hand-out of a campaign.
    for campaign in campaigns:
        hand_out = hand_outs[0] if campaign == campaigns[0] else post("hand-outs", campaign=campaign, name="List")["id"]
        recipients = [PERSON, *(others if hand_out == hand_outs[0] else [])]
        post(f"hand-outs/recipients?hand_out={hand_out}", recipients=[{"email": email} for email in recipients])
        send(app, UUID(hand_out), len(recipients))
    endpoints = [post("webhooks", url=f"https://hooks.example.com/{number}")["id"] for number in range(ROWS)]
    for number in range(ROWS):
        post(f"webhooks/{endpoints[0]}/test")
        propose_export(app, f"{number}@example.com")
        ask_for(admin, group=f"group{number}")
        channel = {"group": f"group{number}", "url": f"https://teams.example.com/{number}"}
        assert app.client.put("/api/v1/channels", json=channel, headers=key).is_success
    lines = "".join(f"WRONG{number},many\n" for number in range(ROWS))
    lines += "".join(f"SHOP{number}{ENDING},1\n" for number in range(ROWS))
    imported = upload(admin, f"code,max_uses\n{lines}".encode())
    assert ended(app, imported).refused == ROWS
    for _ in range(3 * CHUNK):
        app.issue(make_template(max_uses=1))
    reservation = app.services.reader.find_reservation(UUID(reservations[0]))
    assert reservation is not None
    return {
        "campaign": campaigns[0],
        "code": str(code_id_of(app, codes[0])),
        "endpoint": endpoints[0],
        "hand_out": hand_outs[0],
        "imported": str(imported),
        "now": quote(f"{app.services.now().isoformat()}"),
        "person": str(reservation.recipient_id),
        "refused": revoked[0]["id"],
    }


def walk(browser: StaffBrowser, path: str, listing: Listing) -> list[list[str]]:
    """The rows of each page, from the first one to the last."""
    link = re.compile(rf'href="([^"]*[?;]{listing.parameter}=[^"#]*)[^"]*"(?! lang=)')
    first, pages = path.partition("?")[0], []
    while True:
        text = browser.get(path).text
        pages.append([match[1] for match in re.finditer(listing.row, text)])
        pager = [match[1] for match in link.finditer(text) if "lang=" not in match[1]]
        if not pager:
            return pages
        assert len(pages) < 100, "pages without end"
        path = pager[-1].replace("&amp;", "&")
        path = first + path if path.startswith("?") else path


def test_every_list_with_a_pager_is_walked() -> None:
    """Add a new list to LISTINGS."""
    pagers = {
        (str(path.relative_to(TEMPLATES)), variable)
        for path in TEMPLATES.rglob("*.html")
        if path.name != "table.html"
        for variable in map("".join, PAGER.findall(path.read_text("utf-8")))
    }

    assert pagers == {*LISTINGS}


@pytest.mark.parametrize("listed", [*LISTINGS, *AS_OF], ids=" ".join)
def test_list_reaches_every_row_in_full_pages(
    app: AppClient,
    admin: StaffBrowser,
    parts: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    listed: tuple[str, str],
) -> None:
    """By the last link of its pager; only the last page is shorter."""
    listing = (LISTINGS | AS_OF)[listed]
    module, _, name = listing.size.rpartition(".")
    monkeypatch.setattr(import_module(module), name, PER_PAGE)
    monkeypatch.setattr("api.http.pagination.CHUNK", CHUNK)
    monkeypatch.setattr("api.web.support.history.folding.RUN_MAX", 0)

    expected = listing.count(app)
    pages = walk(admin, listing.path.format(**parts), listing)
    rows = [row for page in pages for row in page]

    assert [len(page) for page in pages[:-1]] == [PER_PAGE] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= PER_PAGE
    assert len(rows) == expected if expected > 0 else len(rows) >= -expected, pages
    assert listing.row == TIMES or len({*rows}) == len(rows)


API_LISTS: Final[dict[str, tuple[str, str]]] = {
    "/api/v1/codes": ("codes", "open=true"),
    "/api/v1/reservations": ("reservations", "status=sent"),
    "/api/v1/cases": ("cases", ""),
    "/api/v1/approvals": ("approvals", ""),
    "/api/v1/campaigns": ("campaigns", ""),
    "/api/v1/hand-outs": ("hand_outs", "campaign={campaign}"),
    "/api/v1/hand-outs/{hand_out_id}/recipients": ("recipients", "state=sent"),
    "/api/v1/channels": ("channels", ""),
    "/api/v1/webhooks": ("webhooks", ""),
    "/api/v1/webhooks/{endpoint_id}/deliveries": ("deliveries", ""),
}
"""By path: the name of the rows, and a filter that others do not match."""
FEED: Final = "/api/v1/events"
"""Its rows are the log itself, and `next` is a position of it."""


def test_every_list_of_the_api_is_walked(app: AppClient) -> None:
    """Add a new list to API_LISTS."""
    document = app.client.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    answers = {
        path: methods["get"]["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
        for path, methods in document["paths"].items()
        if "get" in methods and "content" in methods["get"]["responses"].get("200", {})
    }
    names = {path: answer.get("$ref", "").rpartition("/")[2] for path, answer in answers.items()}

    paged = {path for path, name in names.items() if "next" in schemas.get(name, {}).get("properties", {})}
    assert paged == {*API_LISTS, FEED}


@pytest.mark.parametrize("path", API_LISTS)
def test_list_of_the_api_reaches_every_row_in_full_pages(
    app: AppClient, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """By `next`; only the last page is shorter, also of a filtered list."""
    for module in ("group_channels", "endpoints"):
        monkeypatch.setattr(f"api.v1.webhooks.{module}.PER_PAGE", PER_PAGE)
    monkeypatch.setattr("api.http.pagination.CHUNK", CHUNK)
    name, query = API_LISTS[path]
    operation = app.client.get("/api/v1/openapi.json").json()["paths"][path]["get"]
    parameters = {parameter["name"] for parameter in operation["parameters"]}
    url = path.format(hand_out_id=parts["hand_out"], endpoint_id=parts["endpoint"]) + "?" + query.format(**parts)
    url += f"&limit={PER_PAGE}" if "limit" in parameters else ""
    pages: list[list[str]] = []
    place, key = "", app.key("admin")
    while len(pages) <= ROWS:
        page = app.client.get(url + place, headers=key).json()
        pages.append([str(row) for row in page[name]])
        if page["next"] is None:
            break
        place = f"&{'cursor' if 'cursor' in parameters else 'after'}={page['next']}"
    rows = [row for listed in pages for row in listed]

    assert [len(listed) for listed in pages] == [PER_PAGE, PER_PAGE, 1]
    assert len({*rows}) == ROWS


COUNTED: Final = {
    "/admin/batches": "batches",
    "/admin/campaigns": "campaigns",
    "/admin/codes": "code_balances",
    "/admin/keys": "api_keys",
    "/admin/staff": "staff",
    "/admin/webhooks": "webhook_endpoints",
    "/support": "reservations",
    "/support/audit": "audit",
}
"""The lists that name their total, and the tables of their rows."""


@pytest.mark.parametrize("path", COUNTED)
def test_list_names_its_total_up_to_a_bound(
    app: AppClient, admin: StaffBrowser, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """If it has more rows than are counted, the total says so; also if all of them are on the page."""
    assert parts
    total = count_rows(COUNTED[path])(app)
    captions = []
    for most in (total, total - 1):
        monkeypatch.setattr("api.http.pagination.COUNTED_MAX", most)
        captions.append(read_page(admin.get(path, lang="en").text).find("caption").text)

    assert captions == [f"Total: {total:,}", f"Total: {total - 1:,}+"]


@pytest.mark.usual_world("a page of five codes")
def test_filtered_lists_longer_than_a_page_name_no_total(
    admin: StaffBrowser, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count of what a filter leaves would read the whole table."""
    assert parts
    assert "<caption>" in admin.get("/admin/codes?kind=open").text
    monkeypatch.setattr("api.web.admin.codes.PER_PAGE", PER_PAGE)
    assert "<caption>" not in admin.get("/admin/codes?kind=open").text
    assert "<caption>" not in admin.get("/support/audit?action=sign_in").text


SORTED: Final = [
    listed
    for listed in LISTINGS
    if f"table.pager(t, by, is_first, {listed[1]}" in (TEMPLATES / listed[0]).read_text("utf-8")
]
"""Lists whose heading leads to the other order."""


@pytest.mark.parametrize("listed", SORTED, ids=" ".join)
def test_list_is_sorted_from_either_end(
    admin: StaffBrowser, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch, listed: tuple[str, str]
) -> None:
    """The link is in the heading of the column of times; pages keep their order and their filters."""
    listing = LISTINGS[listed]
    module, _, name = listing.size.rpartition(".")
    monkeypatch.setattr(import_module(module), name, PER_PAGE)
    monkeypatch.setattr("api.http.pagination.CHUNK", CHUNK)
    path = listing.path.format(**parts)

    heading = find_sorted_heading(admin, path)
    other_path = path.partition("?")[0] + heading.link_targets[0]
    other_heading = find_sorted_heading(admin, other_path)
    usual, other = ([row for page in walk(admin, start, listing) for row in page] for start in (path, other_path))

    assert {each.attributes["aria-sort"] for each in (heading, other_heading)} == {"ascending", "descending"}
    assert len(other) == len(usual) > PER_PAGE
    assert listing.row == TIMES or other == usual[::-1]
    assert "order=" not in other_heading.link_targets[0]


def find_sorted_heading(browser: StaffBrowser, path: str) -> Element:
    """The heading of the column by which a list is sorted; pages of lists have one."""
    (heading,) = [each for each in read_page(browser.get(path).text).find_all("th") if "aria-sort" in each.attributes]
    return heading
