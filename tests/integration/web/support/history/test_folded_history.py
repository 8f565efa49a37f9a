"""What each event is at first sight, and runs of equal events as one row: on the page of a code."""

import re
from collections.abc import Callable
from typing import get_args
from uuid import UUID, uuid4

import pytest

from api.i18n.catalogs import translator
from api.web.static_files import STATIC
from domain.commands.context import CommandContext
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.events.event import Meaning
from domain.events.registry import EVENT_TYPES
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import Element, read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template

pytestmark = pytest.mark.usual_world("a page of more events than are folded")

REQUESTS = 5
SignIn = Callable[..., StaffBrowser]


@pytest.fixture(name="code_id", scope="module")
def _code_id(shared_app: AppClient) -> UUID:
    """A code that was issued, and redeemed by a few people without a pause; the first one's invitation is sent."""
    code = shared_app.issue(make_template(max_uses=40, bound=False))
    ids = [shared_app.redeem(code, f"fold{n}@example.com").json()["reservation_id"] for n in range(REQUESTS)]
    shared_app.attempt(ids[0])
    return code_id_of(shared_app, code)


def versions_in(element: Element) -> list[int]:
    lines = element.find_all("li")
    return [int(line.attributes["data-version"]) for line in lines if "data-version" in line.attributes]


@pytest.mark.parametrize(("language", "summary"), [("en", "5 × reserved"), ("zh", "预留 × 5")])
def test_run_of_equal_events_is_one_row_that_has_them(
    sign_in: SignIn, code_id: UUID, language: str, summary: str
) -> None:
    page = read_page(sign_in("viewer").get(f"/support/codes/{code_id}?lang={language}").text)
    history = page.find("ol", id="flat")
    run = history.find("li", class_="fold").find_all("details")[0]

    assert summary in run.find_all("summary")[0].text
    assert "#2 – #6" in run.find_all("summary")[0].text
    assert "0 → 5" in run.find_all("summary")[0].text
    assert "open" not in run.attributes
    assert versions_in(run) == [6, 5, 4, 3, 2]
    assert versions_in(history) == [8, 6, 5, 4, 3, 2, 1]


def test_event_that_a_link_names_is_outside_of_a_run(sign_in: SignIn, code_id: UUID) -> None:
    """From its page to its place in the history: it is visible in browsers that open no `details` for a link."""
    browser = sign_in("viewer")
    event = read_page(browser.get(f"/support/codes/{code_id}/events/3?lang=en").text)
    (link,) = [target for target in event.link_targets if target.endswith("#v3")]

    history = read_page(browser.get(link).text).find("ol", id="flat")

    assert versions_in(history)[:4] == [3, 4, 5, 6]
    assert versions_in(history.find("li", class_="fold")) == [4, 5, 6]


def test_each_line_names_its_type_before_its_sentence(sign_in: SignIn, code_id: UUID) -> None:
    page = read_page(sign_in("viewer").get(f"/support/codes/{code_id}?level=noise&lang=en").text)
    lines = [line for line in page.find("ol", id="flat").find_all("li") if "data-version" in line.attributes]
    texts = {line.attributes["data-version"]: line for line in lines}
    glyphs = {version: line.find("i").attributes for version, line in texts.items()}

    assert len(lines) == REQUESTS + 3
    assert [glyphs[version]["aria-label"] for version in ("8", "7", "6", "1")] == ["use", "step", "use", "staff"]
    assert {glyph["role"] for glyph in glyphs.values()} == {"img"}
    assert texts["8"].text.startswith("sent ")
    assert texts["7"].text.startswith("sending started ")


@pytest.mark.parametrize("meaning", get_args(Meaning))
def test_each_meaning_has_a_name_a_form_and_a_color(meaning: str) -> None:
    styles = (STATIC / "support.css").read_text("utf-8")
    forms = re.findall(r'kind-(\w*)"?\]? > i::before \{\s*content: "(.)"', styles)
    colors = dict(re.findall(r"\.kind-(\w+) > :is\(i, b\) \{\s*color: (.+);", styles))
    form_by_meaning = {name or "use": form for name, form in forms}

    assert len({*form_by_meaning.values()}) == len({*colors.values()}) == len(get_args(Meaning))
    assert form_by_meaning[meaning]
    assert colors[meaning]
    assert all(translator(language).knows(f"page.history.meaning.{meaning}") for language in ("en", "zh"))


def test_types_that_mean_a_use_or_a_refund_change_the_state() -> None:
    kinds = EVENT_TYPES.values()

    assert {kind.MEANING for kind in kinds} == set(get_args(Meaning))
    assert all(kind.CHANGES_STATE for kind in kinds if kind.MEANING in {"use", "refund"})


def test_equal_events_of_one_code_are_one_row_of_the_timeline_of_a_customer(app: AppClient, sign_in: SignIn) -> None:
    """Those of another code are another row, though they are equal, too; the first use of each has other words."""
    codes = [app.issue(make_template(max_uses=9, bound=False)) for _ in range(2)]
    ids = list[str]()
    for code in codes:
        for n in range(4):
            more = {"again": ids[-1]} if n else {}
            ids.append(app.redeem(code, "folded-timeline@example.com", **more).json()["reservation_id"])
            app.attempt(ids[-1])
    browser = sign_in("viewer")
    links = read_page(browser.get(f"/support/reservations/{ids[0]}").text).link_targets
    path = next(link for link in links if re.fullmatch("/support/people/[^/]+", link))

    runs = (
        read_page(browser.get(f"{path}?kind=UseReserved&lang=en").text)
        .find("div", id="lines")
        .find_all("li", class_="fold")
    )

    assert len({*ids}) == 8
    assert [re.findall(r"3 × reserved", run.find_all("summary")[0].text) for run in runs] == [["3 × reserved"]] * 2


def test_equal_events_of_a_reservation_are_one_row_of_its_group(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=1, bound=False))
    reservation_id = app.redeem(code).json()["reservation_id"]
    app.attempt(reservation_id)
    for _ in range(4):
        report = RecordMailReport(
            context=CommandContext(now=app.services.now(), actor="channel"),
            evidence="token",
            reservation_id=UUID(reservation_id),
            delivery=1,
            case_id=uuid4(),
            kind="delayed",
        )
        app.services.storage.ledger.execute([report])
    path = f"/support/codes/{code_id_of(app, code)}?group=yes&lang=en"
    bundle = read_page(sign_in("viewer").get(path).text).find("div", class_="bundle")
    run = bundle.find("li", class_="fold")

    assert versions_in(bundle) == [2, 3, 4, 5, 6, 7, 8]
    assert versions_in(run) == [5, 6, 7, 8]
    assert run.find_all("summary")[0].text.count("4 × ") == 1
