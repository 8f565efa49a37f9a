"""The served application, and short ways through its pages."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from domain.events.reservation import UseReserved
from domain.values.link_token import DeliveryRef, OptOutRef, link_token, opt_out_token
from tests.support.clients.app_client import AppClient
from tests.support.clients.staff_browser import code_id_of

PASSWORD: Final = "correct horse battery staple"
WAIT_MS: Final = 15_000
RULES: Final = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations", "incomplete"],
}
"""What axe looks for. It describes no more: an account of everything that passed takes most of its time."""
UNMEASURED: Final = frozenset(
    {"shortTextContent", "nonBmp", "bgOverlap", "elmPartiallyObscured", "elmPartiallyObscuring"}
)
"""Why axe may leave a contrast open: a single sign, a text on a drawing, one at the edge of what scrolls."""
PLAIN: Final = """() => {
  const plain = new CSSStyleSheet();
  plain.replaceSync(`
    *::before, *::after { content: none !important; background: none !important; }
    main * { max-height: none !important; overflow: visible !important; }
    .slip { background: color-mix(in srgb, var(--paper), var(--accent) 11%) !important; }`);
  document.adoptedStyleSheets = [plain];
}"""
"""Gives a sheet of paper the color that its ornament has at most, and shows what is scrolled out of sight.

Axe measures no contrast next to an ornament, or of what no one sees.
"""
CUT_OFF: Final = """() => {
  const ends = (part) => Math.floor(part.getBoundingClientRect().right);
  const scrolls = (part) => part && getComputedStyle(part).overflowX !== "visible";
  const isCut = (part, slip) => {
    let around = part.parentElement;
    while (around !== slip && !scrolls(around)) around = around.parentElement;
    return around === slip && part.checkVisibility() && ends(part) > ends(slip);
  };
  const isWide = (part) => part.clientWidth > 0 && !scrolls(part) && part.scrollWidth > part.clientWidth + 1;
  const cut = (slip) => [...slip.querySelectorAll("*")].filter((part) => isCut(part, slip));
  const texts = [...document.querySelectorAll("h1, h2, h3, main p, main li, main dd, main th, main td")];
  const parts = [...[...document.querySelectorAll(".slip")].flatMap(cut), ...texts.filter(isWide)];
  return parts.map((part) => "cut off: " + (part.id || part.tagName));
}"""
"""Parts that a sheet of paper hides at its right edge, where the page does not scroll, and too wide texts."""


@dataclass(frozen=True, slots=True)
class ServedApp:
    url: str
    app: AppClient

    def sign_in(self, page: Page, role: str) -> None:
        page.goto("/support")
        page.fill("#email", f"{role}@staff.example.com")
        page.fill("#password", PASSWORD)
        page.click("main button[type=submit]")
        page.wait_for_url("**/support")

    def faults(self, page: Page) -> list[str]:
        """What is wrong with the page as it is seen: WCAG 2.2 AA, open contrasts, sideways scrolling, parts cut off."""
        page.evaluate(PLAIN)
        report = Axe().run(page, options=RULES).response
        page.evaluate("document.adoptedStyleSheets = []")
        broken = [violation["id"] for violation in report["violations"]]
        texts = [node for rule in report["incomplete"] if rule["id"] == "color-contrast" for node in rule["nodes"]]
        contrasts = [(node["any"][0]["data"]["messageKey"], node["html"]) for node in texts]
        open_contrasts = [f"{why}: {text}" for why, text in contrasts if why not in UNMEASURED]
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return [*broken, *open_contrasts, *(["scrolls sideways"] if wide else []), *page.evaluate(CUT_OFF)]

    def redeem(self, page: Page, code: str, email: str) -> str:
        """Fill in the form and press the button; the id of the reservation that the next page is about."""
        page.goto("/invite")
        page.fill("#email", email)
        page.fill("#code", code)
        page.click("form button[type=submit]")
        page.wait_for_url("**/r/*")
        return page.url.rpartition("/")[2].partition("?")[0]

    def reserve(self, code: str, email: str) -> str:
        """Redeem without a browser, as a set-up; the id of the reservation."""
        return str(self.app.redeem(code, email).json()["reservation_id"])

    def search(self, page: Page, typed: str) -> None:
        """Type into the search field of the support console and press Enter."""
        page.goto("/support")
        page.fill("#q", typed)
        page.press("#q", "Enter")

    def uses(self, code: str) -> tuple[int, int]:
        reader = self.app.services.reader
        code_id = reader.find_code(code)
        row = reader.find_balance(code_id) if code_id else None
        assert row is not None
        return row["used"], row["reserved"]

    def link(self, reservation_id: str) -> str:
        """Where the email of a reservation leads."""
        secret = self.app.services.settings.secret_key.get_secret_value().encode()
        return f"/a/{link_token(secret, DeliveryRef(UUID(reservation_id), 1))}"

    def opt_out(self, reservation_id: str) -> UUID:
        """Opt the recipient of a reservation out; their id."""
        reservation = self.app.services.reader.find_reservation(UUID(reservation_id))
        assert reservation is not None
        assert self.app.client.post(self.opt_out_link(reservation_id)).status_code == 200
        return reservation.recipient_id

    def opt_out_link(self, reservation_id: str) -> str:
        """Where a reminder of a reservation leads its recipient to opt out."""
        reservation = self.app.services.reader.find_reservation(UUID(reservation_id))
        assert reservation is not None
        secret = self.app.services.settings.secret_key.get_secret_value().encode()
        return f"/opt-out/{opt_out_token(secret, OptOutRef(reservation.recipient_id, reservation.group))}"

    def reservations_of(self, code: str) -> int:
        """How many reservations a code ever had; the database is shared by the tests of a module."""
        lines = self.app.services.reader.read_history(code_id_of(self.app, code))
        return sum(isinstance(line.event, UseReserved) for line in lines)
