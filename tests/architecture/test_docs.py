"""The documentation's tables say what is: every setting with its description, and tests that exist."""

import re
import runpy
from io import StringIO
from pathlib import Path
from typing import get_args

from babel.messages.pofile import read_po

from api.i18n.catalogs import catalog_paths, translator
from api.i18n.languages import LANGUAGES
from api.settings import ApiSettings
from domain.commands.case_events import CaseCause
from domain.commands.reservation.reserve import ReserveUse
from domain.model.invariants import CODE_RULES, RESERVATION_RULES
from projections.config.settings import LedgerSettings
from projections.config.settings_reference import SECTIONS, list_sections
from workers.settings import WorkerSettings

DOCS = Path(__file__).parents[2] / "docs"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[(\w+)\])?`")  # the case of a table in brackets
RULE_NAME = re.compile(r'"(invariant|rule) (\d+): ')
EMPHASIZED = re.compile(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])")
NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
EXAMPLE = re.compile(r"```.*?```", re.DOTALL)
EMPTY_ITEM = re.compile(r"^[ ]*(?:[-*]|\d+\.)[ ]*$", re.MULTILINE)


def test_every_setting_is_declared_once_with_a_description_and_a_section() -> None:
    """The reference page and `ledger settings` are written from the declaration."""
    undescribed = [name for name, field in LedgerSettings.model_fields.items() if not field.description]
    declared_elsewhere = [
        name
        for kind in (ApiSettings, WorkerSettings)
        for name in kind.model_fields
        if name not in LedgerSettings.model_fields
    ]

    assert (undescribed, declared_elsewhere) == ([], [])
    assert list(list_sections()) == list(SECTIONS.values())


def test_buttons_and_labels_are_written_as_the_pages_show_them() -> None:
    """Each emphasized phrase of a guide is a text of the English catalogs, so a renamed button is renamed there too.

    Names of alerts are emphasized in the runbook.
    """
    catalogs = [read_po(StringIO(path.read_text("utf-8"))) for path in catalog_paths("en")]
    texts = {str(message.string) for catalog in catalogs for message in catalog}
    phrases = {
        (page.name, phrase)
        for kind in ("how-to", "support", "tutorial")
        for page in (DOCS / kind).glob("*.md")
        for phrase in EMPHASIZED.findall(NO_PROSE.sub("", page.read_text("utf-8")))
        if not phrase.startswith("Ledger")
    }

    assert {page for page, _ in phrases} > {"handbook.md", "admin.md", "external-system.md", "first-redemption.md"}
    assert sorted((page, phrase) for page, phrase in phrases if phrase not in texts) == []


def test_every_test_that_a_page_names_exists() -> None:
    """In the file that the page says: a test that is renamed takes its line in the tables along."""
    named = {(*found, page.name) for page in DOCS.rglob("*.md") for found in NAMED.findall(page.read_text("utf-8"))}
    missing = [each for each in sorted(named) if not _has_test(*each[:3])]

    assert missing == []
    assert len({(name, case) for _, name, case, page in named if page == "failure-tests.md"}) > 40
    assert "owasp.md" in {page for *_, page in named}


def test_lists_of_commands_and_routes_are_as_they_are() -> None:
    """A clone of the repository has the generated parts too, as `make docs` writes them."""
    pages: dict[Path, str] = runpy.run_path(str(DOCS / "reference.py"))["render_pages"]()
    outdated = [page.relative_to(DOCS).as_posix() for page, text in pages.items() if page.read_text("utf-8") != text]

    assert outdated == [], "run `make docs`"


def _has_test(path: str, name: str, case: str) -> bool:
    file = DOCS.parent / path
    text = file.read_text("utf-8") if file.exists() else ""
    patterns = [rf"^def {name}\(", *([rf"^    {case}=Case\("] if case else [])]
    return all(re.search(pattern, text, re.MULTILINE) for pattern in patterns)


def test_runbook_and_catalogs_name_every_cause_of_a_case() -> None:
    """A new cause needs its row under "Open cases", and its sentence in the history."""
    causes = set(get_args(CaseCause))
    section = (DOCS / "how-to/runbook.md").read_text("utf-8").partition("\n## Open cases\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section, re.MULTILINE)

    assert sorted(causes) == sorted(rows)
    assert [
        (language, cause)
        for language in LANGUAGES
        for cause in sorted(causes)
        if not translator(language).knows(f"event.CaseOpened.{cause}")
    ] == []


def test_support_handbook_names_every_refusal_of_a_redeem_request() -> None:
    """A new one needs its row: what the customer saw, what it means, what staff can do. Only programs send keys."""
    rows = re.findall(r"^\|[^|]*\(`([A-Z_]+)`\) \|", (DOCS / "support/handbook.md").read_text("utf-8"), re.MULTILINE)

    assert {refusal.code for refusal in ReserveUse.refusals} - set(rows) == {"IDEMPOTENCY_KEY_REUSED"}


def numbered(heading: str) -> set[int]:
    """Numbers of the list under a heading of rules.md."""
    section = (DOCS / "reference/rules.md").read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {int(number) for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)}


def test_names_of_broken_rules_have_the_numbers_of_the_documentation() -> None:
    """What `ledger verify` and the simulation report is found by its number in docs/reference/rules.md."""
    root = DOCS.parent
    sources = [
        *root.glob("domain/**/*.py"),
        *root.glob("projections/**/*.py"),
        root / "tests/simulation/checks/run_checks.py",
    ]
    named = [rule for path in sources for rule in RULE_NAME.findall(path.read_text("utf-8"))]
    documented = {"invariant": numbered("Invariants"), "rule": numbered("The life of a redemption")}

    assert [name for name in [*CODE_RULES, *RESERVATION_RULES] if not re.match(r"[a-z][a-z ]*( \d+)?: ", name)] == []
    assert len(named) > 10
    assert [name for name in named if int(name[1]) not in documented[name[0]]] == []


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site and code hosts make them."""
    headings = HEADING.findall(re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL))
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


def test_no_item_of_a_list_is_empty() -> None:
    """What is left of an item whose text was cut, in every page outside of its examples."""
    texts = {page.relative_to(DOCS).as_posix(): page.read_text("utf-8") for page in DOCS.rglob("*.md")}
    empty = {name: EMPTY_ITEM.findall(EXAMPLE.sub("", text)) for name, text in texts.items()}

    assert {name: items for name, items in empty.items() if items} == {}
    assert len(texts) > 50


def test_every_internal_link_leads_to_a_file_and_a_heading() -> None:
    """Also outside the site, in the README for example, whose links no build of the site follows."""
    root = DOCS.parent
    pages = [*root.glob("*.md"), *root.glob("domain/*.md"), *root.glob("tests/simulation/*.md")]
    pages += [page for page in DOCS.rglob("*.md") if "_build" not in page.parts]
    broken, followed = [], 0
    for page in pages:
        for link in LINK.findall(NO_PROSE.sub("", page.read_text("utf-8"))):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            followed += 1
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append((page.relative_to(root).as_posix(), link))

    assert broken == []
    assert followed > 200


def test_every_picture_of_a_page_is_taken_by_the_command_and_shown() -> None:
    """No picture is left of pages as they were, and none is taken that no page shows."""
    source = (DOCS / "pictures.py").read_text("utf-8")
    names = set(re.findall(r'save\(page, "([\w-]+)"', source))
    files = {path for kind in ("png", "webp") for path in DOCS.rglob(f"*.{kind}") if "_build" not in path.parts}
    pages = [DOCS.parent / "README.md", *(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)]
    text = "\n".join(page.read_text("utf-8") for page in pages)

    assert {path.stem for path in files} == names
    assert [path.name for path in sorted(files) if f"{path.name})" not in text] == []
