"""An admin's day: many codes while the tab is closed, a key that is shown once, and the dashboard."""

from collections.abc import Callable
from uuid import UUID

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.integration.web.admin.hand_outs.lists import send
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.served_app import ServedApp
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.night(of="browser")

Tab = Callable[..., Page]
LIST = b"email,language,name\nli@example.com,zh,Li\nann@example.com,en,Ann\n"


def fill_campaign(page: Page, name: str, **fields: str) -> str:
    """Create a campaign with the form; its id."""
    page.goto("/admin/campaigns")
    page.fill("#name", name)
    for field, value in fields.items():
        page.fill(f"#{field}", value)
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/campaigns/*")
    return page.url.rpartition("/")[2]


def test_many_codes_are_issued_while_the_tab_is_closed(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    page.goto("/admin")
    page.fill("#count", "1200")
    page.fill("#prefix", "fair")
    page.dblclick("main form button[type=submit]")
    page.wait_for_url("**/admin/batches/*")
    address = page.url
    is_whole = page.locator(".progress").evaluate("part => part.scrollHeight <= part.clientHeight")
    page.close()

    other = open_tab(staff="admin")
    other.goto(address)

    assert is_whole, "the number below the bar is covered by what follows"
    expect(other.locator("#batch")).to_have_attribute("data-state", "done", timeout=40_000)
    assert other.locator("progress").get_attribute("value") == "1200"
    assert other.locator("table.list tbody tr").first.inner_text().startswith("FAIR-")
    other.goto("/admin")
    assert other.locator(".recent li").count() == 1


def test_key_is_created_without_javascript(open_tab: Tab) -> None:
    page = open_tab("zh", width=360, staff="admin", java_script_enabled=False)
    page.goto("/admin/keys")
    page.fill("#name", "shop")
    page.check("input[name=ends][value='90']")
    page.click("#create button[type=submit]")
    secret = page.locator("#secret").inner_text()
    page.goto("/admin/keys")

    page.click(".list-cards tbody th a")
    page.click(".slip a.danger")
    page.fill("#reason", "leaked")
    page.click("button[type=submit].press-danger")

    assert secret.startswith("rl_")
    expect(page.locator(".mark-revoked")).to_have_count(1)
    assert secret not in page.content()


def test_campaign_is_created_issued_and_ended(served_app: ServedApp, open_tab: Tab) -> None:
    page = open_tab(staff="admin", width=375)
    page.goto("/admin/campaigns")
    page.fill("#name", "Fair")
    page.fill("#max_uses", "2")
    page.fill("#max_per_person", "3")
    page.click("#create button[type=submit]")
    fault = page.locator("#max_per_person-fault").inner_text()
    page.fill("#max_per_person", "1")
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/campaigns/*")
    address = page.url
    page.click("a.press[href*='campaign=']")
    page.fill("#count", "3")
    page.click("main form button[type=submit]")
    page.wait_for_url("**/admin/batches/*")
    expect(page.locator("#batch")).to_have_attribute("data-state", "done", timeout=40_000)
    assert served_app.app.redeem(page.locator(".card-code").first.inner_text(), "fair@example.com").status_code == 202
    page.goto(address)
    swatch = page.locator(".legend-limit").evaluate("part => getComputedStyle(part, '::before').borderTopStyle")
    codes = page.locator("table.list tbody tr")
    expect(codes).to_have_count(3)
    page.click("a.act[href$='/end']")
    page.fill("#reason", "the fair is over")
    page.click("main form button[type=submit]")
    page.wait_for_url(address)
    page.locator("#chart-over").click(position={"x": 2, "y": 40})
    page.wait_for_url("**?until=1#events")
    first_event = page.locator("#lines li").first.inner_text()

    assert swatch == "dashed", "the legend shows the limit as the chart draws it"
    assert "uses over all codes" in fault
    assert page.locator("#campaign .mark").inner_text() == "Ended"
    assert "Campaign created" in first_event
    assert page.locator("a.act[href$='/pause']").count() == 0
    assert page.locator("#change").count() == 0


def choose_list(page: Page, data: bytes) -> None:
    page.set_input_files("#file", [FilePayload(name="list.csv", mimeType="text/csv", buffer=data)])


def create_hand_out(page: Page, campaign: str) -> str:
    """Create a hand-out with two recipients with the forms; its path below /admin."""
    page.goto(f"/admin/campaigns/{UUID(campaign)}/hand-outs")
    page.fill("#name", "Newsletter")
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/hand-outs/*")
    address = page.url.partition("/admin")[2]
    choose_list(page, LIST)
    page.click("button[value=add]")
    expect(page.locator(".done")).to_be_visible()
    return address


def test_list_is_checked_corrected_and_added_without_script(open_tab: Tab) -> None:
    page = open_tab(staff="admin", width=390, java_script_enabled=False)
    campaign = fill_campaign(page, "Books", max_uses="9")
    page.goto(f"/admin/campaigns/{UUID(campaign)}/hand-outs")
    page.fill("#name", "Readers")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/hand-outs/*")
    address = page.url
    wrong = LIST + b"nobody,en,\n"
    choose_list(page, wrong)
    page.focus("button[value=check]")
    page.keyboard.press("Enter")
    fault = page.locator("[aria-labelledby=faults] tbody th").inner_text()
    choose_list(page, LIST)
    page.focus("button[value=add]")
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_be_visible()
    page.goto(address)
    page.select_option("#state", "queued")
    page.focus("[aria-labelledby=people] form[method=get] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**state=queued**")

    assert fault == "4"
    assert page.locator("[aria-labelledby=people] tbody tr").count() == 2


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_hand_out_of_existing_codes_is_created_by_keyboard(
    served_app: ServedApp, open_tab: Tab, width: int, language: str
) -> None:
    page = open_tab(language, width=width, staff="admin")
    campaign = fill_campaign(page, f"Vouchers {width} {language}", max_uses="9")
    page.goto(f"/admin/campaigns/{UUID(campaign)}/hand-outs")
    page.fill("#name", "Vouchers")
    page.fill("#per_minute", "60")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    chosen = page.locator("input[name=existing_codes]:checked").get_attribute("value")
    explained = page.locator("#existing_codes-hint").inner_text()
    faults = served_app.faults(page)
    page.click("#create button[type=submit]")
    page.wait_for_url("**/admin/hand-outs/*")
    faults += served_app.faults(page)
    choose_list(page, b"email,code\nli@example.com,NONE-2027-AAAA\n")
    page.click("button[value=add]")
    reason = page.locator("[aria-labelledby=faults] tbody td").inner_text()
    faults += served_app.faults(page)

    assert (chosen, faults) == ("yes", [])
    assert ("code" in explained, "NONE" in page.content()) == (True, False)
    assert reason.startswith("there is no such code" if language == "en" else "没有这个兑换码")


def test_running_hand_out_does_not_look_like_something_broken(open_tab: Tab) -> None:
    """Its mark has another color than that of a failure, in light and in dark."""
    for scheme in ("light", "dark"):
        page = open_tab(staff="admin", color_scheme=scheme)
        path = "/admin" + create_hand_out(page, fill_campaign(page, f"Running {scheme}", max_uses="9"))
        page.goto(f"{path}/resume")
        page.fill("#reason", "asked")
        page.click("main form button[type=submit]")
        mark = page.locator("#hand-out .mark")
        expect(mark).to_have_text("Running")
        running = mark.evaluate("mark => getComputedStyle(mark).color")
        broken = mark.evaluate("mark => { mark.className = 'mark mark-broken'; return getComputedStyle(mark).color; }")

        assert running != broken


def test_list_that_was_checked_is_added_without_choosing_it_again(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    create_hand_out(page, fill_campaign(page, "Checked", max_uses="9"))
    choose_list(page, LIST.replace(b"@", b".more@") + b"nobody,en,\n")
    page.click("button[value=check]")
    expect(page.locator("[aria-labelledby=faults] tbody th")).to_have_text("4")
    choose_list(page, LIST.replace(b"@", b".more@"))
    page.click("button[value=check]")
    expect(page.locator("#checked .done")).to_contain_text("Recipients to add: 2")
    focused, address = page.evaluate("document.activeElement.id"), page.url

    page.click("button[value=add]")

    expect(page.locator("#checked .done")).to_contain_text("Recipients added: 2")
    assert (focused, "report=" in address) == ("checked", True)


def test_codes_that_were_checked_are_imported_without_choosing_the_file_again(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    page.goto("/admin/import")
    codes = b"code,group\nKEPT-2027-A,Newcomers\nKEPT-2027-B,Newcomers\n"
    page.set_input_files("#file", [FilePayload(name="codes.csv", mimeType="text/csv", buffer=codes)])
    page.click("button[value=check]")
    page.check("input[name=new_groups]")

    page.click("button[value=import]")

    page.wait_for_url("**/admin/batches/*")
    expect(page.locator("#batch")).to_have_attribute("data-state", "done", timeout=40_000)
    assert "2" in page.locator(".progress-number").inner_text()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [320, 1280])
def test_sessions_are_listed_whole(served_app: ServedApp, open_tab: Tab, language: str, width: int) -> None:
    served_app.sign_in(open_tab(language), "admin")
    page = open_tab(language, width=width, staff="admin")
    page.goto("/support/account")

    assert served_app.faults(page) == []
    assert page.locator(".list-cards form button").count() >= 1


def test_page_of_a_hand_out_follows_its_emails_and_is_reloaded_without_sending_the_list(
    open_tab: Tab, served_app: ServedApp
) -> None:
    page = open_tab(staff="admin")
    campaign = fill_campaign(page, "Followed", max_uses="9")
    hand_out = create_hand_out(page, campaign)
    report = page.url
    page.click("text=Start hand-out")
    expect(page.locator(".rows")).to_contain_text("Emails to send")
    page.fill("#reason", "the list is checked")
    page.click("main form button[type=submit]")
    page.goto(report)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.reload()
    expect(page.locator(".done")).to_be_visible()
    choose_list(page, LIST)
    before = page.locator("#progress").inner_text()
    rows = page.locator("#recipients tbody tr")
    queued = [row.split()[1] for row in rows.all_inner_texts()]
    rows.first.locator("th a").focus()

    send(served_app.app, UUID(hand_out.rpartition("/")[2]), 2)

    expect(page.locator("#progress")).to_contain_text("2 of 2", timeout=40_000)
    expect(page.locator("#news")).to_contain_text("2 of 2")
    assert "0 of 2" in before
    assert queued == ["Queued"] * 2
    assert [row.split()[1] for row in rows.all_inner_texts()] == ["Sent"] * 2
    assert rows.first.locator("th a").evaluate("link => link === document.activeElement")
    assert page.locator("#states tbody tr").nth(1).inner_text().split() == ["Sent", "2"]
    assert page.locator("#file").evaluate("field => field.files.length") == 1
    assert page.locator("[data-follow]").count() == 0
    assert {*sent} == {"GET"}


def test_recipients_are_exported_again_on_the_same_page(open_tab: Tab) -> None:
    page = open_tab(staff="admin")
    page.goto(f"/admin{create_hand_out(page, fill_campaign(page, 'Exported', max_uses='9'))}/export")
    page.fill("#reason", "asked by a partner")
    names = []
    for _ in range(2):
        with page.expect_download() as download:
            page.click("main form button[type=submit]")
        names.append(download.value.suggested_filename)

    assert names[0].startswith("hand-out-")
    assert names[1] == names[0]


def test_support_finds_a_recipient_by_keyboard(open_tab: Tab) -> None:
    admin, page = open_tab(staff="admin"), open_tab(staff="support", width=390)
    hand_out = create_hand_out(admin, fill_campaign(admin, "Searched", max_uses="9"))
    page.goto(f"/admin{hand_out}")
    page.fill("#email", "lii@example.com")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_be_focused()
    typed = page.locator("#email").input_value()
    page.fill("#email", "li@example.com")
    page.keyboard.press("Enter")
    page.wait_for_url("**code=*")

    assert typed == "lii@example.com"
    assert "li@" not in page.url
    expect(page.locator("#people")).to_be_focused()
    expect(page.locator("#people")).to_be_in_viewport()
    assert page.locator("[aria-labelledby=people] tbody tr").inner_text().startswith("l***@example.com")


def test_link_with_a_code_counts_as_opened_form_only_in_a_browser_with_script(
    served_app: ServedApp, open_tab: Tab
) -> None:
    """The page reports its view once, and the form without a code in its URL reports nothing."""
    admin, plain, visitor = open_tab(staff="admin"), open_tab(java_script_enabled=False), open_tab()
    campaign = fill_campaign(admin, "Opened", max_uses="9")
    hand_out = create_hand_out(admin, campaign)
    ids = send(served_app.app, UUID(hand_out.rpartition("/")[2]), 2)
    links = [f"/invite?code={served_app.app.services.reader.find_code_text(code_id)}" for code_id in ids]
    reports: list[str | None] = []
    visitor.on("request", lambda request: reports.append(request.post_data) if request.method == "POST" else None)

    for link in links:
        plain.goto(link)
    visitor.goto("/invite")
    with visitor.expect_response("**/invite/opened") as opening:
        visitor.goto(links[0])
    admin.goto(f"/admin/campaigns/{UUID(campaign)}")
    row = admin.locator("[aria-labelledby=funnel] tr", has_text="Opened form")

    assert opening.value.status == 204
    assert reports == [links[0].partition("?")[2]]
    assert row.locator("td.number").first.inner_text() == "1"


def find_faults_for_support(served_app: ServedApp, page: Page, rooms: list[str], hand_out: str) -> dict[str, list[str]]:
    """Look at the campaign pages that support may read, and at a search without a result; what is wrong with each."""
    violations_by_page: dict[str, list[str]] = {}
    for room in [each for each in rooms if each.startswith(("/campaigns", "/hand-outs"))]:
        answer = page.goto(f"/admin{room}")
        if answer is not None and answer.status == 200:
            violations_by_page[f"support {room}"] = served_app.faults(page)
    page.goto(f"/admin{hand_out}")
    page.fill("#email", "nobody@example.com")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_be_focused()
    return violations_by_page | {"support without a result": served_app.faults(page)}


@pytest.mark.parametrize(
    ("language", "scheme", "width"), [("zh", "light", 1280), ("en", "dark", 320)], ids=["wide", "phone"]
)
def test_every_page_is_accessible(served_app: ServedApp, open_tab: Tab, language: str, scheme: str, width: int) -> None:
    """WCAG 2.2 AA by axe, and no page scrolls sideways."""
    app = served_app.app
    code = app.issue(make_template(max_uses=9, bound=False, group="Design"))
    app.attempt(app.redeem(code, "a@example.com").json()["reservation_id"])
    app.redeem(code, "b@example.com")
    app.redeem("NOSUCHCODE")
    page = open_tab(language, width=width, staff="admin", color_scheme=scheme, bypass_csp=True)
    name = "Autumn" + 60 * "n"
    campaign = fill_campaign(page, name, max_uses="500", max_per_person="1", allowed_domains="example.com")
    page.goto(f"/admin?campaign={UUID(campaign)}")
    page.click("main form button[type=submit]")
    page.wait_for_url("**/admin/batches/*")
    batch = page.url
    hand_out = create_hand_out(page, campaign)
    code_id, _ = send(app, UUID(hand_out.rpartition("/")[2]), 2)
    rooms = [
        *("", "/batches", "/codes", "/import", "/groups", "/groups/one?name=Design"),
        *("/keys", "/staff", "/webhooks", "/x", "/campaigns"),
        f"/campaigns/{UUID(campaign)}",
        f"/campaigns/{UUID(campaign)}?as_of=2099-01-01",
        f"/campaigns/{UUID(campaign)}/balance",
        f"/campaigns/{UUID(campaign)}/explain",
        f"/campaigns/{UUID(campaign)}/events/1",
        f"/campaigns/{UUID(campaign)}/end",
        f"/campaigns/{UUID(campaign)}/hand-outs",
        hand_out,
        f"{hand_out}/pause",
        f"{hand_out}/export",
        f"{hand_out}/change",
    ]
    page.goto("/admin/webhooks")
    page.fill("#url", "https://bi.example.com/in")
    page.click(".slip-stub button[type=submit]")
    proposal = f"/support/approvals/{propose_export(app, 'a@example.com')}"
    hook = page.locator("form[action^='/admin/webhooks/']").first.get_attribute("action")
    violations_by_page: dict[str, list[str]] = {}

    for path in [
        *(f"/admin{room}" for room in rooms),
        str(hook),
        batch,
        f"{batch}/export",
        "/support/dashboard?window=hour",
        *("/support/approvals", proposal, f"{proposal}/reject"),
        f"/support{hand_out}/recipients/{code_id}/bounce",
    ]:
        page.goto(path)
        for summary in page.locator("summary").all():
            summary.click()
        violations_by_page[path] = served_app.faults(page)
    reader = open_tab(language, width=width, staff="support", color_scheme=scheme, bypass_csp=True)
    violations_by_page |= find_faults_for_support(served_app, reader, rooms, hand_out)

    assert sum(path.startswith("support") for path in violations_by_page) == 9
    assert {path: broken for path, broken in violations_by_page.items() if broken} == {}
