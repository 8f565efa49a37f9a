"""The staff pages on a phone, by finger and by keyboard: what axe does not look at."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Page

from api.auth.scopes import SCOPES
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key
from api.use_cases.services import Caller
from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.served_app import ServedApp
from tests.support.clients.staff_browser import code_id_of
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

PHONE = {"width": 360, "has_touch": True, "is_mobile": True}
TABS_MAX = 90
FAULTS = """() => {
  const isShown = (part) => part.checkVisibility({ visibilityProperty: true }) && !part.closest(".skip, .unseen");
  const shown = (selector) => [...document.querySelectorAll(selector)].filter(isShown);
  const size = (part) => part.getBoundingClientRect();
  const name = (part) => `${part.localName} ${(part.id || part.textContent || part.name).trim().slice(0, 30)}`;
  const isSmall = (part) => Math.round(Math.min(size(part).width, size(part).height)) < 24 && size(part).width > 0;
  const isInText = (part) => part.closest("p, label, tr:not(:has(th)), time") !== null;
  const controls = shown("a, button, input, select, summary, textarea");
  const targets = controls.filter((part) => !isInText(part) && isSmall(part));
  const isTyped = (part) => part.matches("input, select, textarea") && !part.matches("[type=range], [readonly]");
  const small = controls.filter(isTyped).filter((part) => Number.parseFloat(getComputedStyle(part).fontSize) < 16);
  const canvas = document.createElement("canvas").getContext("2d");
  const isCut = (part) => {
    const style = getComputedStyle(part);
    const room = part.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
    canvas.font = style.font;
    return [...part.options].some((option) => canvas.measureText(option.text).width > room);
  };
  const headings = shown("h1, h2, h3, h4");
  const jumps = headings.filter((part, at) => part.localName[1] - (headings[at - 1]?.localName[1] ?? 0) > 1);
  const navigation = shown(".staff-nav a");
  const rows = new Set(navigation.map((part) => size(part).top)).size;
  return [
    ...targets.map((part) => `target below 24 px: ${name(part)}`),
    ...small.map((part) => `field that phones enlarge: ${name(part)}`),
    ...shown("select").filter(isCut).map((part) => `option that is cut: ${name(part)}`),
    ...jumps.map((part) => `heading below a missing one: ${name(part)}`),
    ...(headings.filter((part) => part.localName === "h1").length === 1 ? [] : ["not one h1"]),
    ...(rows > 1 ? ["navigation in several lines"] : []),
    ...(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ["scrolls sideways"] : []),
  ];
}"""
BROKEN = """() => {
  const room = (part) => {
    const style = getComputedStyle(part);
    return part.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
  };
  const lists = [...document.querySelectorAll("table.list")];
  const wide = lists.filter((list) => list.getBoundingClientRect().width > room(list.parentElement) + 1);
  const isBroken = (text, word) => {
    const range = document.createRange();
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    return new Set([...range.getClientRects()].map((box) => box.top)).size > 1;
  };
  const broken = [];
  for (const cell of document.querySelectorAll("table.list :is(th, td)")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      if (text.data.includes("@")) continue; // an email address may be longer than any column
      for (const word of text.data.matchAll(/[A-Za-z]+/g)) if (isBroken(text, word)) broken.push(`broken: ${word[0]}`);
    }
  }
  return [...wide.map((list) => `wider than its sheet: ${list.innerText.slice(0, 30)}`), ...broken];
}"""
FOCUSED = """() => {
  const part = document.activeElement;
  const style = getComputedStyle(part);
  const box = part.getBoundingClientRect();
  const isFrame = part.localName === "iframe"; // the links of the email in it show the focus themselves
  return {
    name: `${part.localName} ${(part.id || part.textContent).trim().slice(0, 30)}`,
    isSkip: part.className === "skip",
    isBody: part === document.body,
    hasRing: isFrame || (style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2),
    isShown: box.width > 1 && box.left >= 0 && box.right <= innerWidth + 1,
  };
}"""

Tab = Callable[..., Page]


def make_key(app: AppClient) -> UUID:
    """Create an API key with every scope and several networks; return its id."""
    key_id, networks = uuid4(), ["203.0.113.0/24", "2001:db8:1234::/48"]
    request = ApiKeyRequest("web shop, production", None, SCOPES, None, networks)
    create_api_key(app.services.open_audit_log(Caller(actor="operator")), request, key_id)
    return key_id


@pytest.fixture(scope="module")
def paths(served_app: ServedApp) -> list[str]:
    """The pages of support and of admins, with a code, its reservation and its past times."""
    app = served_app.app
    code = app.issue(make_template(max_uses=3, bound=False))
    reservation_id = served_app.reserve(code, "li.wei@example.com")
    app.attempt(reservation_id)
    bounced = served_app.reserve(code, "li.wei@averylongsubdomainof.somecompany.example.com")
    app.attempt(bounced)
    body = {"delivery": 1, "reason": "mailbox_unknown"}
    app.client.post(f"/api/v1/reservations/{bounced}/bounce", json=body, headers=app.key("support"))
    resolved = {"as": "refunded", "note": "it bounced"}
    app.client.post(f"/api/v1/reservations/{bounced}/resolve", json=resolved, headers=app.key("support"))
    for number in range(3):  # the last one is rejected
        app.redeem(code, f"person{number}@example.com")
    statement, one = f"/support/codes/{code_id_of(app, code)}", f"/support/reservations/{reservation_id}"
    key_id = make_key(app)
    proposal = f"/approvals/{propose_export(app, 'li.wei@example.com')}"
    support = ["", "/work", "/dashboard", "/audit", "/account", "/approvals", proposal, f"{proposal}/reject"]
    admin = [
        "",
        "/batches",
        "/campaigns",
        "/codes",
        "/codes/change/extend",
        "/import",
        "/groups",
        "/webhooks",
        "/keys",
        *(f"/keys/{key_id}{page}" for page in ("", "/replace", "/networks")),
        "/staff",
    ]
    views = ["", "/compare?a=1&b=2", "/balance", "/what-if", "/explain", "/events/2", "/acts/terms"]
    return [
        *(f"/support{path}" for path in support),
        *(f"/admin{path}" for path in admin),
        *(f"{statement}{path}" for path in views),
        one,
        f"{one}/acts/refund",
    ]


@pytest.fixture(scope="module")
def campaign_paths(served_app: ServedApp) -> list[str]:
    """The pages of a campaign and of a hand-out with a recipient, which support reads too."""
    client, key = served_app.app.client, served_app.app.key("admin")
    campaign = client.post("/api/v1/campaigns", json={"name": "Autumn", "max_uses": 9}, headers=key).json()["id"]
    order = {"campaign": campaign, "name": "Newsletter"}
    hand_out = client.post("/api/v1/hand-outs", json=order, headers=key).json()["id"]
    recipients = {"recipients": [{"email": "li.wei@example.com"}]}
    client.post(f"/api/v1/hand-outs/recipients?hand_out={hand_out}", json=recipients, headers=key)
    path = f"/admin/campaigns/{campaign}"
    return ["/admin/campaigns", path, f"{path}/hand-outs", f"{path}/explain", f"/admin/hand-outs/{hand_out}"]


@pytest.mark.parametrize("role", ["admin", "support"])
def test_every_staff_page_fits_a_phone(open_tab: Tab, paths: list[str], campaign_paths: list[str], role: str) -> None:
    """Targets for fingers, fields not enlarged, whole options, one line of the longer English navigation, headings."""
    open_tab(staff=role).close()
    page = open_tab(staff=role, **PHONE)
    walked = [*paths, *campaign_paths] if role == "admin" else campaign_paths
    faults: dict[str, list[str]] = {}
    for path in walked:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        page.evaluate("document.querySelectorAll('main details').forEach((part) => { part.open = true; })")
        faults[path] = page.evaluate(FAULTS)

    assert {path: names for path, names in faults.items() if names} == {}
    assert len(faults) == len({*walked})


def test_lists_fit_between_phone_and_desktop(open_tab: Tab, campaign_paths: list[str]) -> None:
    """No list is wider than the sheet that it is on, also next to a form, and no word is broken for a column."""
    open_tab(staff="admin").close()
    page = open_tab(staff="admin")
    lists = ["/support/audit", "/support/codes", "/admin/keys", "/admin/staff", *campaign_paths[:2], campaign_paths[-1]]
    faults: dict[str, list[str]] = {}
    for width in (700, 760, 820, 880, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        for path in lists:
            page.goto(path)
            faults[f"{path} at {width}"] = page.evaluate(BROKEN)

    assert {path: names for path, names in faults.items() if names} == {}


TO_TOP: Final = "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
"""Takes the focus from the field that has it when its page opens, as if the page had none."""


def walk(page: Page) -> list[dict[str, Any]]:
    """Press Tab from the top of the page until the focus leaves it; where it was."""
    steps: list[dict[str, Any]] = []
    while len(steps) < TABS_MAX:
        page.keyboard.press("Tab")
        step = page.evaluate(FOCUSED)
        if step["isBody"] or (steps and step["isSkip"]):
            break
        steps.append(step)
    return steps


@pytest.mark.parametrize("role", ["admin", "support"])
def test_keyboard_walks_down_every_staff_page_with_a_visible_focus(
    open_tab: Tab, paths: list[str], campaign_paths: list[str], role: str
) -> None:
    open_tab(staff=role).close()
    page = open_tab("zh", staff=role, width=390)
    faults: dict[str, list[str]] = {}
    for path in [*paths, campaign_paths[-1]] if role == "admin" else campaign_paths:
        page.goto(path)
        page.evaluate(TO_TOP)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content", path
        page.goto(path)
        page.evaluate(TO_TOP)
        steps = walk(page)
        assert len(steps) > 3, path
        faults[path] = [step["name"] for step in steps if not (step["hasRing"] and step["isShown"])]

    assert {path: names for path, names in faults.items() if names} == {}
