"""The documentation names what exists: commands, options, settings, files and names in the code, and measured rates."""

import json
import re
from collections.abc import Iterator
from functools import cache

import typer
from typer.core import TyperGroup

from api.cli.app import app
from projections.config.unknown_settings import OTHER_VARIABLES, setting_names
from tests.architecture.test_docs import DOCS

ROOT = DOCS.parent
GENERATED = re.compile(
    r"<!-- What follows is written by `make docs`. -->.*?(?:<!-- What precedes is written by `make docs`. -->|\Z)",
    re.DOTALL,
)
NO_BLOCKS = re.compile(r"```.*?```", re.DOTALL)
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


def pages() -> Iterator[tuple[str, str]]:
    """Yield every page with its manual text, without the changelog and the page that `make bench` writes."""
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")):
        if "_build" not in page.parts and page.name not in {"CHANGELOG.md", "benchmarks.md"}:
            yield page.relative_to(ROOT).as_posix(), GENERATED.sub("", page.read_text("utf-8"))


@cache
def options_of_commands() -> dict[str, set[str]]:
    """The options of every command by its words."""
    options_by_command: dict[str, set[str]] = {}

    def visit(words: tuple[str, ...], command: object) -> None:
        if isinstance(command, TyperGroup):
            for name, inner in command.commands.items():
                visit((*words, name), inner)
        else:
            options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}  # type: ignore[attr-defined]  # typer's commands share no public class
            options_by_command[" ".join(words)] = options

    visit((), typer.main.get_command(app))
    return options_by_command


def test_every_command_and_option_that_a_page_names_exists() -> None:
    """A renamed option is renamed in the guides too."""
    commands, unknown, named = options_of_commands(), [], 0
    for page, text in pages():
        for code in (*SPAN.findall(NO_BLOCKS.sub("", text)), *BLOCK.findall(text)):
            for words, rest in COMMAND.findall(code):
                command = next((one for one in (words, words.split()[0]) if one in commands), "")
                options = OPTION.findall(words.removeprefix(command) + rest)
                unknown += [(page, words, option) for option in options if option not in commands.get(command, ())]
                unknown += [] if command else [(page, words, "no such command")]
                named += 1

    assert unknown == []
    assert named > 100


def test_every_command_is_in_the_table_of_tasks() -> None:
    """A new command gets a place there."""
    table = GENERATED.sub("", (DOCS / "reference/cli.md").read_text("utf-8"))

    assert [command for command in options_of_commands() if f"`ledger {command}`" not in table] == []


def test_every_setting_that_a_page_names_exists() -> None:
    """Those of Compose and of the start too, which are not settings."""
    existing = {*setting_names(), *OTHER_VARIABLES}

    assert [(page, name) for page, text in pages() for name in SETTING.findall(text) if name not in existing] == []


@cache
def words_of_the_source() -> set[str]:
    """Every word in a file of the repository that is not documentation."""
    folders = ("api", "benchmarks", "clients", "deploy", "domain", "projections", "tests", "workers")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.*") if path.suffix in SOURCES]
    sources += [ROOT / name for name in ("Makefile", "compose.yaml", "pyproject.toml")]
    text = (path.read_text("utf-8", errors="ignore") for path in sources)
    return {word for one in text for word in re.findall(r"\w+", one)}


def test_every_file_and_identifier_that_a_page_names_exists() -> None:
    """Names in code font that have an underscore or a capital letter inside."""
    existing = words_of_the_source() | set(setting_names()) | FOREIGN
    unknown, named = [], 0
    for page, text in pages():
        for span in SPAN.findall(NO_BLOCKS.sub("", text)):
            if FILE.fullmatch(span):
                unknown += [] if (ROOT / span).exists() else [(page, span)]
            elif IDENTIFIER.fullmatch(span):
                unknown += [] if span in existing else [(page, span)]
            named += 1

    assert unknown == []
    assert named > 1_000


def test_performance_in_the_readme_is_that_of_the_benchmarks() -> None:
    """After `make bench` write the new numbers into the README."""
    measured = json.loads((DOCS / "explanation/benchmarks.json").read_text("utf-8"))
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Performance\n")[2].partition("\n## ")[0]
    expected = [
        f"({measured['facts']['cpus']} cores, {measured['facts']['date'][:10]})",
        f"{measured['hot_rps']:,.0f} a second",
        f"{measured['hot_over_empty']:.2f} of an empty endpoint",
        f"{measured['hot_over_counter_old']:.0f} times a counter",
        f"{measured['click_to_mail_p50_ms']:.0f} ms (median)",
        f"{measured['click_to_mail_p99_ms']:.0f} ms (99th percentile)",
        f"{measured['rebuild_rps']:,.0f} events a second",
    ]

    assert [text for text in expected if text not in section] == []
