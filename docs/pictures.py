"""Take the pictures of README and documentation: `make pictures`, or `python docs/pictures.py [LANGUAGE [FOLDER]]`.

A separate ledger runs for three minutes: a customer redeems a code, support finds, corrects and proves it, and an
admin issues codes and hands codes of a campaign out, in Chromium. It needs one of Debian's packages
chromium and chromium-headless-shell.
"""

import mailbox
import re
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, FloatRect, Page, ViewportSize, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness.stack import BenchmarkStack, run_stack, wait_until
from tests.support.optional_packages import find_browser

FOLDER: Final = Path(__file__).parent
WALKTHROUGH: Final = "support/pictures"
"""Folder of the pictures of the walkthrough, below that of the others."""
PUBLIC_SIZE: Final[ViewportSize] = {"width": 1040, "height": 800}
CONSOLE_SIZE: Final[ViewportSize] = {"width": 1200, "height": 760}
REDEMPTIONS, REJECTED, BATCH_CODES = 40, 6, 20_000
"""What the dashboard shows, and the codes of the batch that is shown in progress."""
RECIPIENTS, OPEN_FORMS, USES, IN_PROGRESS, ACCEPTED = 36, 30, 26, 5, 14
"""What the funnel of a campaign shows: of its recipients these get so far, and some redemptions are in progress."""
CAMPAIGN_PARTS: Final = "section[aria-labelledby=chart-title], section[aria-labelledby=funnel]"
SIZE: Final[ViewportSize] = {"width": 1240, "height": 760}
STATEMENT_SIZE: Final[ViewportSize] = {"width": 1240, "height": 1400}
KILOBYTES_MAX: Final = 150
WAIT_MS: Final = 30_000
MARGIN: Final = 16
CHECKPOINT_S_MAX: Final = 150
"""Seconds until the worker has signed a checkpoint over the newest event."""
IS_PART_DONE: Final = "bar => bar.value >= 0.2 * bar.max"
MISTYPED, RIGHT = "mei.chen@exmaple.com", "mei.chen@example.com"
NOTE: Final = {"en": "Spelled on the phone: example, not exmaple.", "zh": "电话中核对了拼写：example，不是 exmaple。"}
WEBP: Final = """async ([png, quality]) => {
  const picture = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture, 0, 0);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/webp", quality })).arrayBuffer());
  return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}"""
"""Encodes a PNG as WebP, which is a third of its size."""

Save = Callable[..., None]
"""Saves a page, or the part of it that a selector names, under a name."""


def main() -> None:
    """Take all pictures in a language."""
    language, folder = [*sys.argv[1:], *("en", str(FOLDER))[len(sys.argv) - 1 :]][:2]
    (Path(folder) / WALKTHROUGH).mkdir(parents=True, exist_ok=True)
    chromium = find_browser()
    with run_stack() as stack, sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        take_pictures(stack, browser, language, Path(folder))
        browser.close()


def take_pictures(stack: BenchmarkStack, browser: Browser, language: str, folder: Path) -> None:
    """Save a picture of each page and of each step of the walkthrough."""
    locale = {"en": "en-US", "zh": "zh-CN"}[language]
    context = browser.new_context(base_url=stack.base, locale=locale, viewport=SIZE, reduced_motion="reduce")
    context.set_default_timeout(WAIT_MS)
    page, encoder = context.new_page(), context.new_page()

    def save(shown: Page, name: str, selector: str = "") -> None:
        shown.evaluate("document.activeElement?.blur()")
        png = shoot(shown, selector)
        encoded = b64decode(encoder.evaluate(WEBP, [b64encode(png).decode(), 0.8]))
        if len(encoded) > KILOBYTES_MAX * 1_000:
            raise ValueError(f"{name} has {len(encoded):,} bytes")
        (folder / f"{name}.webp").write_bytes(encoded)

    walk_through(stack, page, language, lambda shown, name, selector="": save(shown, f"{WALKTHROUGH}/{name}", selector))
    show_pages(stack, page, save)
    show_campaign(stack, page, save)


def show_pages(stack: BenchmarkStack, page: Page, save: Save) -> None:
    """Save the redeem page, a redemption in progress, the dashboard, and a batch of codes in progress."""
    page.set_viewport_size(PUBLIC_SIZE)
    page.goto("/invite")
    save(page, "redeem")
    ((code, _),) = stack.issue_many(1, max_uses=REDEMPTIONS)
    with stack.pause_workers():
        submit(page, code, "li.wei@example.com")
        page.wait_for_selector("#slip")
        save(page, "status")
    for number in range(REDEMPTIONS + REJECTED - 1):
        page.request.post("/api/v1/public/redeem", data={"code": code, "email": f"person.{number}@example.com"})
    stack.wait_until_drained()
    page.set_viewport_size(CONSOLE_SIZE)
    page.goto("/support/dashboard?window=hour")
    save(page, "dashboard")
    page.goto("/admin")
    page.fill("#count", str(BATCH_CODES))
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_url("**/admin/batches/*")
    wait_until(lambda: page.locator("progress").evaluate(IS_PART_DONE), WAIT_MS / 1_000, "a fifth of the codes issued")
    save(page, "admin")


def show_campaign(stack: BenchmarkStack, page: Page, save: Save) -> None:
    """Hand codes of a campaign out, redeem some of them, and save its balance over time and how far its codes got."""
    key = {"Authorization": f"Bearer {stack.info['admin_key']}"}

    def post(path: str, **fields: object) -> dict[str, Any]:
        response = page.request.post(f"/api/v1/{path}", data=fields, headers=key)
        if not response.ok:
            raise ValueError(f"{path}: {response.text()}")
        document: dict[str, Any] = response.json()
        return document

    campaign = post("campaigns", name="Autumn fair", max_uses=40)["id"]
    hand_out = post("hand-outs", campaign=campaign, name="Newsletter")["id"]
    people = [{"email": f"reader.{number}@example.com"} for number in range(RECIPIENTS)]
    post(f"hand-outs/recipients?hand_out={hand_out}", recipients=people)
    readers = re.compile(r"reader\.\d+@example\.com")
    wait_until(
        lambda: len(read_links(stack, readers, "/invite")) == RECIPIENTS, WAIT_MS / 1_000, "each recipient's email"
    )
    links = sorted(read_links(stack, readers, "/invite").items())
    for _, link in links[:OPEN_FORMS]:
        with page.expect_response("**/invite/opened"):
            page.goto(link)

    def redeem_codes(chosen: Sequence[tuple[str, str]]) -> None:
        for address, link in chosen:
            post("public/redeem", email=address, code=link.partition("code=")[2])

    redeem_codes(links[: USES // 2])
    for action in ("pause", "resume"):
        post(f"campaigns/{campaign}/{action}")
    redeem_codes(links[USES // 2 : USES - IN_PROGRESS])
    stack.wait_until_drained()
    for link in [*read_links(stack, readers, "/a/").values()][:ACCEPTED]:
        page.request.post(link)
    with stack.pause_workers():
        redeem_codes(links[USES - IN_PROGRESS : USES])
        page.goto(f"/admin/campaigns/{campaign}")
        save(page, "campaign", CAMPAIGN_PARTS)


def read_links(stack: BenchmarkStack, readers: re.Pattern[str], path: str) -> dict[str, str]:
    """Return by recipient the link below a path in the emails that they got."""
    links = {}
    for message in mailbox.Maildir(stack.info["mailbox"], create=False):
        text = next(part for part in message.walk() if part.get_content_type() == "text/plain")
        link = re.search(rf"https?://\S+?({re.escape(path)}\S+)", str(text.get_payload(decode=True), "utf-8"))
        if link and readers.fullmatch(message["To"]):
            links[message["To"]] = link[1]
    return links


def walk_through(stack: BenchmarkStack, page: Page, language: str, save: Save) -> None:
    """Act as the customer and as support, and save a picture of each step."""
    ((code, code_id),) = stack.issue_many(1, max_uses=3)
    redeem(page, code, "li.wei@example.com")
    redeem(page, code, MISTYPED)
    save(page, "1-customer")
    sign_in(page, stack)
    page.goto(f"/support/codes/{code_id}")
    save(page, "2-history", "section:has(> #history)")
    page.locator("#flat .line-who a").first.click()
    page.wait_for_url("**/support/reservations/*")
    save(page, "3-reservation")
    save(page, "4-waterfall", "#waterfall")
    page.locator("a[href$='/acts/correct']").click()
    page.fill("#email", RIGHT)
    page.keyboard.press("Enter")
    page.fill("#note", NOTE[language])
    save(page, "5-preview", "main")
    page.locator("main form button[type=submit]").last.click()
    page.wait_for_url("**done=correct")
    page.goto(f"/support/codes/{code_id}")
    stack.wait_until_drained()
    expect(page.locator("#figures dd").first).to_contain_text("2")
    save(page, "6-corrected", "section:has(> #history)")
    wait_until(lambda: is_newest_signed(page), CHECKPOINT_S_MAX, "a checkpoint over the newest event", poll_s=2)
    page.locator("[data-proof]").first.click()
    expect(page.locator("#proof-result[data-result=holds]")).to_be_visible()
    save(page, "7-proof", "#proof")
    page.set_viewport_size(STATEMENT_SIZE)
    page.goto(f"/support/codes/{code_id}")
    save(page, "statement")


def shoot(page: Page, selector: str) -> bytes:
    """Return a picture of what the window shows, or of the parts of a selector with a margin."""
    if not selector:
        return page.screenshot()
    boxes = [box for part in page.locator(selector).all() if (box := part.bounding_box()) is not None]
    if not boxes:
        raise ValueError(f"the page has no {selector}")
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right, bottom = max(box["x"] + box["width"] for box in boxes), max(box["y"] + box["height"] for box in boxes)
    clip: FloatRect = {
        "x": max(left - MARGIN, 0),
        "y": max(top + page.evaluate("scrollY") - MARGIN, 0),
        "width": min(right - left + 2 * MARGIN, SIZE["width"]),
        "height": bottom - top + 2 * MARGIN,
    }
    return page.screenshot(full_page=True, clip=clip)


def is_newest_signed(page: Page) -> bool:
    """Open the page again and return whether its first line is under a signed checkpoint."""
    page.reload()
    return page.locator("[data-proof]").first.get_attribute("data-proof") == "signed"


def submit(page: Page, code: str, address: str) -> None:
    """Redeem as a customer."""
    page.goto("/invite")
    page.fill("#email", address)
    page.fill("#code", code)
    page.locator("#redeem button[type=submit]").click()
    page.wait_for_url(re.compile("/r/"))


def redeem(page: Page, code: str, address: str) -> None:
    """Redeem as a customer, until the invitation is sent."""
    submit(page, code, address)
    page.wait_for_selector("#slip[data-state=sent]")


def sign_in(page: Page, stack: BenchmarkStack) -> None:
    """Sign in as staff."""
    page.goto("/support")
    page.fill("#email", stack.info["staff_email"])
    page.fill("#password", stack.info["staff_password"])
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/support")


if __name__ == "__main__":
    main()
