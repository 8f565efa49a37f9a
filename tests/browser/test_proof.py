"""The proof of a line of a history, checked in the browser: online, offline, saved, and altered."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.cli.embedded.bounded_wait import wait_until
from api.web.static_files import STATIC
from projections.transparency_log.checkpoints import derive_signing_key, sign_head
from projections.transparency_log.proof_check import check_proof
from projections.transparency_log.reservation_map import extend_map
from projections.transparency_log.tile_log import append_new_events
from tests.support.clients.served_app import ServedApp
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
RESULT = "#proof-result"
LOADED = "Object.keys(JSON.parse(document.getElementById('proof-data').textContent)).length"
LOADED_PARTS, LOAD_S = 4, 30
"""The proofs of three events, and the receipt."""
NO_ED25519 = """
crypto.subtle.importKey = () => Promise.reject(new DOMException("no such algorithm", "NotSupportedError"));
"""


def sign_checkpoint(served_app: ServedApp, minutes: int) -> None:
    storage = served_app.app.services.storage
    with storage.datastore.get_connection() as conn:
        append_new_events(conn)
        extend_map(conn)
        now = served_app.app.services.now() + timedelta(minutes=minutes)
        sign_head(conn, derive_signing_key(storage.vault.rings["master"]), now)


def open_reservation(served_app: ServedApp, page: Page, minutes: int) -> str:
    """Open the page of a reservation of three events that are under a checkpoint; the id of the reservation."""
    reservation_id = served_app.reserve(served_app.app.issue(), "li.wei@example.com")
    served_app.app.attempt(reservation_id)
    sign_checkpoint(served_app, minutes)
    page.goto(f"/support/reservations/{reservation_id}")
    assert wait_until(lambda: page.evaluate(LOADED) == LOADED_PARTS, LOAD_S)
    return reservation_id


def test_tick_of_a_line_checks_its_proof_by_keyboard_and_the_receipt_downloads(
    served_app: ServedApp, open_tab: Tab
) -> None:
    page = open_tab(staff="viewer")
    reservation_id = open_reservation(served_app, page, 0)
    tick = page.locator("[data-proof]").first

    expect(tick).to_contain_text("Under checkpoint 1")
    tick.focus()
    page.keyboard.press("Enter")
    expect(page.locator(RESULT)).to_contain_text("The proof is valid: event 2 is in the ledger as of checkpoint 1")
    expect(page.locator(RESULT)).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
    expect(page.locator("#proof-state")).to_contain_text(reservation_id)
    expect(page.locator("#proof-meaning")).to_contain_text("This does not prove")
    expect(tick).to_contain_text("Proof checked, checkpoint 1")
    expect(page.locator("#proof-heading")).to_be_focused()
    page.get_by_role("link", name="Check all events").press("Enter")
    expect(page.locator(RESULT)).to_contain_text("all events of this reservation (3) are here, as of checkpoint 1")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download receipt").click()

    key = served_app.app.services.storage.vault.rings["master"]
    public_key = derive_signing_key(key).public_key().public_bytes_raw()
    assert reservation_id in check_proof(Path(download.value.path()).read_text(), public_key)


def test_altered_proof_or_another_key_is_refused(served_app: ServedApp, open_tab: Tab) -> None:
    """The text, the path, the root, the signature and the key are all needed."""
    page = open_tab(staff="viewer")
    open_reservation(served_app, page, 10)
    proofs = page.evaluate("JSON.parse(document.getElementById('proof-data').textContent)")
    outcomes = {}

    def check_second_tick(altered: object) -> str:
        page.evaluate("text => { document.getElementById('proof-data').textContent = text; }", json.dumps(altered))
        page.evaluate("document.getElementById('proof-result').removeAttribute('data-result')")
        page.locator("[data-proof]").nth(1).click()
        expect(page.locator(RESULT)).to_have_attribute("data-result", re.compile("holds|wrong|bad"))
        return page.locator(RESULT).get_attribute("data-result") or ""

    version = page.locator(".line").nth(1).get_attribute("data-version") or ""
    for part, name, value in (
        ("event", "state", proofs["4" if "4" in proofs and version != "4" else "2"]["event"]["state"]),
        ("event", "leaf_index", 0),
        ("event", "path", []),
        ("checkpoint", "map_root", "A" * 43 + "="),
        ("checkpoint", "root", "A" * 43 + "="),
        ("checkpoint", "at", "2026-01-01T00:00:00+00:00"),
        ("checkpoint", "number", 99),
    ):
        altered = json.loads(json.dumps(proofs))
        altered[version][part][name] = value
        outcomes[name] = check_second_tick(altered)
    assert check_second_tick(proofs) == "holds"
    for at in range(3):
        altered = json.loads(json.dumps(proofs))
        del altered["receipt"]["events"][at]
        page.evaluate("text => { document.getElementById('proof-data').textContent = text; }", json.dumps(altered))
        page.locator("#proof-all").click()
        expect(page.locator(RESULT)).to_have_attribute("data-result", "wrongReceipt")
        assert check_second_tick(proofs) == "holds"
    page.fill("#proof-keys", "A" * 43 + "=")
    outcomes["another key"] = check_second_tick(proofs)

    path, signature = "wrongPath", "wrongSignature"
    expected = {
        "map_root": signature,
        "state": path,
        "leaf_index": path,
        "path": path,
        "root": path,
        "at": signature,
        "number": signature,
    }
    assert outcomes == {**expected, "another key": "wrongKey"}
    assert page.locator("#proof-meaning").is_hidden()


def test_proof_is_checked_offline_and_on_a_saved_page(
    served_app: ServedApp, open_tab: Tab, chromium: Browser, tmp_path: Path
) -> None:
    """The proofs are part of the page before they are asked for, and the script of a saved page runs from its file."""
    page = open_tab(staff="viewer")
    open_reservation(served_app, page, 20)
    saved = re.sub(r'src="/static/(\w+)\.js[^"]*"', r'src="\1.js"', page.content())
    page.context.set_offline(True)
    page.locator("[data-proof]").last.click()
    expect(page.locator(RESULT)).to_contain_text("The proof is valid: event 4")
    (tmp_path / "page.html").write_text(saved, "utf-8")
    for name in ("proof.js", "proof_check.js"):
        (tmp_path / name).write_text((STATIC / name).read_text("utf-8"), "utf-8")
    context = chromium.new_context(offline=True, locale="en-US")
    try:
        saved_page = context.new_page()
        saved_page.goto((tmp_path / "page.html").as_uri())
        saved_page.locator("[data-proof]").first.click()
        expect(saved_page.locator(RESULT)).to_contain_text("The proof is valid: event 2")
        saved_page.locator("#proof-all").click()
        expect(saved_page.locator(RESULT)).to_have_attribute("data-result", "holdsAll")
    finally:
        context.close()


def test_browser_without_ed25519_says_that_the_signature_is_not_checked(served_app: ServedApp, open_tab: Tab) -> None:
    page = open_tab("zh", width=360, staff="support")
    page.add_init_script(NO_ED25519)
    open_reservation(served_app, page, 30)

    page.locator("[data-proof]").first.click()

    expect(page.locator(RESULT)).to_contain_text("此浏览器不支持 Ed25519")
    expect(page.locator("[data-proof]").first).to_have_attribute("data-proof", "signed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("language", "scheme", "width"), [("zh", "dark", 1280), ("en", "light", 320)])
def test_new_line_says_that_it_is_not_proved_until_a_checkpoint_covers_it(
    served_app: ServedApp, open_tab: Tab, language: str, scheme: str, width: int
) -> None:
    code = served_app.app.issue(make_template(max_uses=3, bound=False))
    sign_checkpoint(served_app, 40 if width > 500 else 60)
    served_app.reserve(code, "first@example.com")
    page = open_tab(language, width=width, staff="admin", color_scheme=scheme, bypass_csp=True)
    served_app.search(page, code)
    page.wait_for_url("**/support/codes/*")
    tick = page.locator("#v2 [data-proof]")
    expect(page.locator("#v1 [data-proof]")).to_have_attribute("data-proof", "signed")
    expect(tick).to_contain_text("落后 1 个事件" if language == "zh" else "Not yet proven; events behind: 1")

    tick.click()
    expect(page.locator(RESULT)).to_have_attribute("data-result", "pendingStill")
    assert served_app.faults(page) == []
    sign_checkpoint(served_app, 50 if width > 500 else 70)
    tick.click()

    expect(page.locator(RESULT)).to_have_attribute("data-result", "holds")
    expect(tick).to_have_attribute("data-proof", "checked")
    assert served_app.faults(page) == []
