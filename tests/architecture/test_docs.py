"""The documentation names what exists: settings, commands, files, names in the code, tests, rules, links, pictures."""

import json
import re
import runpy
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import get_args

from babel.messages.pofile import read_po
from typer.core import TyperGroup

from api.i18n.catalogs import catalog_paths, translator
from api.i18n.languages import LANGUAGES
from api.settings import ApiSettings
from domain.commands.case_events import CaseCause
from domain.commands.reservation.reserve import ReserveUse
from domain.model.invariants import CODE_RULES, RESERVATION_RULES
from projections.config.settings import LedgerSettings
from projections.config.settings_reference import SECTIONS, list_sections
from projections.config.unknown_settings import OTHER_VARIABLES, setting_names
from tests.architecture.sources import ROOMS, ROOT, list_modules, read
from tests.architecture.test_help import commands
from workers.settings import WorkerSettings

DOCS = ROOT / "docs"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[(\w+)\])?`")  # the case of a table in brackets
RULE_NAME = re.compile(r'"(invariant|rule) (\d+): ')
EMPHASIZED = re.compile(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])")
NO_PROSE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
EXAMPLE = re.compile(r"```.*?```", re.DOTALL)
EMPTY_ITEM = re.compile(r"^[ ]*(?:[-*]|\d+\.)[ ]*$", re.MULTILINE)
GENERATED = re.compile(
    r"<!-- What follows is written by `make docs`. -->.*?(?:<!-- What precedes is written by `make docs`. -->|\Z)",
    re.DOTALL,
)
SPAN = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"```[\w{}]*\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?<![\w-])ledger ([a-z][a-z-]*(?: [a-z][a-z-]*)?)([^`\n#|]*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]*")
SETTING = re.compile(r"\bLEDGER_[A-Z_]+\b")
FILE = re.compile(r"(?:api|domain|projections|workers|benchmarks|tests|deploy|docs)/[\w/.-]+")
IDENTIFIER = re.compile(r"[A-Za-z]\w*(?:_|(?<=[a-z])[A-Z])\w*")
SOURCES = frozenset({".py", ".sql", ".po", ".html", ".js", ".ts", ".yml", ".yaml", ".conf", ".json", ".jsonl"})
FOREIGN = frozenset(
    {
        *("RUNNING_forget", "OutOfMemoryError", "pg_stat_io", "real_ip_recursive"),
        *("smtpd_client_connection_count_limit", "smtpd_client_connection_rate_limit"),
    }
)
"""Names of PostgreSQL, Redis, nginx and Postfix that no file of the project has, and a placeholder."""


@cache
def pages() -> dict[str, str]:
    """Return every page's text by its path, also outside of the site."""
    paths = [path for pattern in ("*.md", "domain/*.md", "tests/simulation/*.md") for path in ROOT.glob(pattern)]
    paths += [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


def section(page: str, heading: str) -> str:
    return read(f"docs/{page}").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


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
    guides = {page: text for page, text in pages().items() if re.match("docs/(how-to|support|tutorial)/", page)}
    phrases = {
        (page.rpartition("/")[2], phrase)
        for page, text in guides.items()
        for phrase in EMPHASIZED.findall(NO_PROSE.sub("", text))
        if not phrase.startswith("Ledger")
    }

    assert {page for page, _ in phrases} > {"handbook.md", "admin.md", "external-system.md", "first-redemption.md"}
    assert sorted((page, phrase) for page, phrase in phrases if phrase not in texts) == []


def test_every_test_that_a_page_names_exists() -> None:
    """In the file that the page says: a test that is renamed takes its line in the tables along."""
    named = {(*test, page) for page, text in pages().items() for test in NAMED.findall(text)}
    missing = [each for each in sorted(named) if not _has_test(*each[:3])]

    assert missing == []
    assert len({(name, case) for _, name, case, page in named if page.endswith("/failure-tests.md")}) > 40
    assert "docs/explanation/owasp.md" in {page for *_, page in named}


def test_lists_of_commands_and_routes_are_as_they_are() -> None:
    """A clone of the repository has the generated parts too, as `make docs` writes them."""
    pages: dict[Path, str] = runpy.run_path(str(DOCS / "reference.py"))["render_pages"]()
    outdated = [page.relative_to(DOCS).as_posix() for page, text in pages.items() if page.read_text("utf-8") != text]

    assert outdated == [], "run `make docs`"


def _has_test(path: str, name: str, case: str) -> bool:
    text = read(path) if (ROOT / path).exists() else ""
    patterns = [rf"^def {name}\(", *([rf"^    {case}=Case\("] if case else [])]
    return all(re.search(pattern, text, re.MULTILINE) for pattern in patterns)


def test_runbook_and_catalogs_name_every_cause_of_a_case() -> None:
    """A new cause needs its row under "Open cases", and its sentence in the history."""
    causes = set(get_args(CaseCause))
    rows = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", section("how-to/runbook.md", "Open cases"), re.MULTILINE)

    assert sorted(causes) == sorted(rows)
    assert [
        (language, cause)
        for language in LANGUAGES
        for cause in sorted(causes)
        if not translator(language).knows(f"event.CaseOpened.{cause}")
    ] == []


def test_support_handbook_names_every_refusal_of_a_redeem_request() -> None:
    """A new one needs its row: what the customer saw, what it means, what staff can do. Only programs send keys."""
    rows = re.findall(r"^\|[^|]*\(`([A-Z_]+)`\) \|", read("docs/support/handbook.md"), re.MULTILINE)

    assert {refusal.code for refusal in ReserveUse.refusals} - set(rows) == {"IDEMPOTENCY_KEY_REUSED"}


def numbered(heading: str) -> set[int]:
    numbers = re.findall(r"^(\d+)\. ", section("reference/rules.md", heading), re.MULTILINE)
    return {int(number) for number in numbers}


def test_names_of_broken_rules_have_the_numbers_of_the_documentation() -> None:
    """What `ledger verify` and the simulation report is found by its number in docs/reference/rules.md."""
    sources = list_modules("domain", "projections", "tests/simulation/checks/run_checks.py")
    named = [rule for path in sources for rule in RULE_NAME.findall(read(path))]
    documented = {"invariant": numbered("Invariants"), "rule": numbered("The life of a redemption")}

    assert [name for name in [*CODE_RULES, *RESERVATION_RULES] if not re.match(r"[a-z][a-z ]*( \d+)?: ", name)] == []
    assert len(named) > 10
    assert [name for name in named if int(name[1]) not in documented[name[0]]] == []


@cache
def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site and code hosts make them."""
    headings = HEADING.findall(EXAMPLE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


def test_no_item_of_a_list_is_empty() -> None:
    """What is left of an item whose text was cut, in every page outside of its examples."""
    assert len(pages()) > 50
    assert [page for page, text in pages().items() if EMPTY_ITEM.search(EXAMPLE.sub("", text))] == []


def test_every_internal_link_leads_to_a_file_and_a_heading() -> None:
    """Also outside the site, in the README for example, whose links no build of the site follows."""
    broken, followed = [], 0
    for page, text in pages().items():
        for link in LINK.findall(NO_PROSE.sub("", text)):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
            followed += 1
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append((page, link))

    assert broken == []
    assert followed > 200


def test_every_picture_of_a_page_is_taken_by_the_command_and_shown() -> None:
    """No picture is left of pages as they were, and none is taken that no page shows."""
    names = set(re.findall(r'save\(page, "([\w-]+)"', read("docs/pictures.py")))
    files = {path for kind in ("png", "webp") for path in DOCS.rglob(f"*.{kind}") if "_build" not in path.parts}
    text = "\n".join(pages().values())

    assert {path.stem for path in files} == names
    assert [path.name for path in sorted(files) if f"{path.name})" not in text] == []


def manual_texts() -> Iterator[tuple[str, str]]:
    """Yield the manual text of each page, without the changelog and the page that `make bench` writes."""
    for page, text in pages().items():
        if page not in {"CHANGELOG.md", "docs/explanation/benchmarks.md"}:
            yield page, GENERATED.sub("", text)


@cache
def options_of_commands() -> dict[str, set[str]]:
    return {
        words: {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for words, command in commands().items()
        if not isinstance(command, TyperGroup)
    }


def test_every_command_and_option_that_a_page_names_exists() -> None:
    """A renamed option is renamed in the guides too."""
    commands, unknown, named = options_of_commands(), [], 0
    for page, text in manual_texts():
        for code in (*SPAN.findall(EXAMPLE.sub("", text)), *BLOCK.findall(text)):
            for words, rest in COMMAND.findall(code):
                command = next((one for one in (words, words.split()[0]) if one in commands), "")
                options = OPTION.findall(words.removeprefix(command) + rest)
                unknown += [(page, words, option) for option in options if option not in commands.get(command, ())]
                unknown += [] if command else [(page, words, "no such command")]
                named += 1

    assert unknown == []
    assert named > 100


def test_every_command_is_in_the_table_of_tasks() -> None:
    table = GENERATED.sub("", read("docs/reference/cli.md"))

    assert [command for command in options_of_commands() if f"`ledger {command}`" not in table] == []


def test_every_setting_that_a_page_names_exists() -> None:
    """Those of Compose and of the start too, which are not settings."""
    existing = {*setting_names(), *OTHER_VARIABLES}

    assert [
        (page, name) for page, text in manual_texts() for name in SETTING.findall(text) if name not in existing
    ] == []


@cache
def words_of_the_source() -> set[str]:
    folders = (*ROOMS, "benchmarks", "clients", "deploy", "tests")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in SOURCES]
    sources += [ROOT / name for name in ("Makefile", "compose.yaml", "pyproject.toml")]
    return {word for path in sources for word in re.findall(r"\w+", path.read_text("utf-8", errors="ignore"))}


def test_every_file_and_identifier_that_a_page_names_exists() -> None:
    """Names in code font that have an underscore or a capital letter inside."""
    existing = words_of_the_source() | set(setting_names()) | FOREIGN
    unknown, named = [], 0
    for page, text in manual_texts():
        for span in SPAN.findall(EXAMPLE.sub("", text)):
            if FILE.fullmatch(span):
                unknown += [] if (ROOT / span).exists() else [(page, span)]
            elif IDENTIFIER.fullmatch(span):
                unknown += [] if span in existing else [(page, span)]
            named += 1

    assert unknown == []
    assert named > 1_000


def test_performance_in_the_readme_is_that_of_the_benchmarks() -> None:
    """After `make bench` write the new numbers into the README."""
    measured = json.loads(read("docs/explanation/benchmarks.json"))
    performance = section("../README.md", "Performance")
    expected = [
        f"({measured['facts']['cpus']} cores, {measured['facts']['date'][:10]})",
        f"{measured['hot_rps']:,.0f} a second",
        f"{measured['hot_over_empty']:.2f} of an empty endpoint",
        f"{measured['hot_over_counter_old']:.0f} times a counter",
        f"{measured['click_to_mail_p50_ms']:.0f} ms (median)",
        f"{measured['click_to_mail_p99_ms']:.0f} ms (99th percentile)",
        f"{measured['rebuild_rps']:,.0f} events a second",
    ]

    assert [text for text in expected if text not in performance] == []
