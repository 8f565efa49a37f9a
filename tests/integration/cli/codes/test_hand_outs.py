"""Hand-outs at the command line: checked lists by default, stored ones with --apply, and every refusal by its line."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.codes.hand_outs import SHOWN_MAX
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.ledger.ledger_bench import LedgerBench

EXAMPLE = Path(__file__).parents[4] / "docs" / "how-to" / "examples" / "hand-out-codes.csv"
LIST = "email,language,name\nli@example.com,zh,Li\nwang@example.com,en,Wang\n"


@dataclass
class HandOut:
    """A hand-out of a new campaign, and the commands about it."""

    terminal: Terminal
    folder: Path
    hand_out_id: str

    def __call__(self, command: str, *arguments: str) -> CommandResult:
        return self.terminal.ledger("hand-out", command, self.hand_out_id, *arguments)

    def add(self, text: str, *options: str) -> CommandResult:
        return self("add", self.file(text, "list.csv"), *options)

    def file(self, text: str, name: str = "text.txt") -> str:
        (path := self.folder / name).write_text(text, "utf-8")
        return str(path)


Create = Callable[..., HandOut]


@pytest.fixture
def create(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> Create:
    def run(*options: str, **terms: Any) -> HandOut:
        command = ("hand-out", "create", str(bench.create_campaign(**terms)), "Newsletter", *options, "--json")
        return HandOut(terminal, tmp_path, str(terminal.ledger(*command).json["id"]))

    return run


def test_list_is_checked_first_and_stored_on_request(
    own_bench: LedgerBench, terminal: Terminal, create: Create
) -> None:
    hand_out = create("--per-minute", "60", "--max-uses", "2")
    checked = hand_out.add(LIST, "--json").json
    empty = hand_out("show", "--json").json
    stored = hand_out.add(LIST, "--apply", "--json").json
    again = hand_out.add(LIST, "--apply").out
    shown = hand_out("show", "--json").json
    people = hand_out("recipients", "--json").json
    exported = hand_out("export").out
    listed = terminal.ledger("hand-out", "list", shown["campaign"], "--json").json
    filters = ("--state queued", "--state sent", "--email wang@example.com", "--email x@example.com")
    chosen = [hand_out("recipients", *each.split(), "--json").json for each in filters]
    unknown = hand_out("recipients", "--state", "lost")

    assert chosen == [people, [], people[1:], []]
    assert (unknown.status, "must be one of queued, sent" in unknown.err) == (2, True)
    assert (checked["applied"], checked["added"], empty["recipients"]) == (False, 2, 0)
    assert (stored["applied"], stored["added"]) == (True, 2)
    assert "0 added, 2 left out" in again
    assert (shown["per_minute"], shown["terms"]["max_uses"], shown["counts"]["queued"]) == (60, 2, 2)
    assert [one["language"] for one in people] == ["zh", "en"]
    assert [line.split(",")[:3] for line in exported.splitlines()[1:]] == [
        ["li@example.com", "zh", "queued"],
        ["wang@example.com", "en", "queued"],
    ]
    assert listed == [shown]
    actions = [row[0] for row in own_bench.rows("SELECT act FROM audit ORDER BY audit_id")]
    assert actions == ["uploaded_recipients", "exported_emails"]


def test_list_of_the_guide_names_the_codes_of_its_recipients(
    bench: LedgerBench, terminal: Terminal, create: Create
) -> None:
    """No output names a code."""
    guide = EXAMPLE.read_text("utf-8")
    named = [line.rpartition(",")[2] for line in guide.splitlines()[1:]]
    hand_out = create("--existing-codes")
    campaign = hand_out("show", "--json").json["campaign"]
    early = hand_out.add(guide, "--apply")
    codes = hand_out.file("code,max_uses\n" + "".join(f"{code},1\n" for code in named), "codes.csv")
    terminal.ledger("import-codes", codes, "--campaign", campaign)
    added = hand_out.add(guide, "--apply")
    people = hand_out("recipients", "--json").json
    missing = hand_out.add("email,code\nwang@example.com,\n", "--apply")
    terms = terminal.ledger("hand-out", "create", campaign, "Other", "--existing-codes", "--max-uses", "2")

    refused = {"line 2: there is no such code": early, "line 2: the line names no code": missing}
    refused |= {"keep their terms": terms}
    assert [(result.status, text in result.err) for text, result in refused.items()] == [(4, True)] * 3
    assert "2 added" in added.out
    assert [person["code_id"] for person in people] == [str(bench.reader.find_code(code)) for code in named]
    assert not [code for code in named if code in early.err + early.out + added.out + added.err]


def test_hand_out_of_a_paused_campaign_waits(terminal: Terminal, create: Create) -> None:
    hand_out = create()
    terminal.ledger("campaign", "pause", hand_out("show", "--json").json["campaign"])

    assert hand_out("show").out == "running (waits: the campaign is paused); 0 recipients\n"


def test_list_without_its_column_is_refused(create: Create) -> None:
    no_column = create().add("name\nLi\n", "--apply")

    assert (no_column.status, "named email" in no_column.err) == (4, True)


def test_lines_behind_those_that_are_shown_are_counted(
    own_bench: LedgerBench, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.codes.hand_outs.SHOWN_MAX", 2)
    hand_out = create()
    more = hand_out.add("email\nli@example.com\nnobody\nli@example.com\nno one\n", "--apply")
    all_shown = hand_out.add("email\nli@example.com\nnobody\nli@example.com\n")

    assert (more.status, "line 3" in more.err) == (4, True)
    assert more.err.count(", line ") == all_shown.err.count(", line ") == 2
    assert "... 1 more: --rejects FILE writes all invalid lines" in more.err
    assert "more:" not in all_shown.err
    assert own_bench.rows("SELECT count(*) FROM hand_out_recipients") == [(0,)]


def test_list_warns_of_variables_that_no_line_fills(own_bench: LedgerBench, create: Create, tmp_path: Path) -> None:
    """The first list of a running hand-out is not stored, since its emails would go out with an empty place."""
    (text := tmp_path / "text.txt").write_text("{name}, {code}, {nosuch}", "utf-8")
    hand_out = create("--text", str(text), "--language", "en")
    checked = hand_out.add(LIST, "--json")
    refused = hand_out.add(LIST, "--apply")
    stored = own_bench.rows("SELECT count(*) FROM hand_out_recipients")
    filled = hand_out.add("email,name,nosuch\nx@example.com,Li,1\n", "--apply", "--json")
    more = hand_out.add(LIST, "--apply")

    assert checked.json["missing_variables"] == ["nosuch"]
    assert ["no line fills {nosuch}" in result.err for result in (checked, filled, more)] == [True, False, True]
    assert (refused.status, stored) == (4, [(0,)])
    assert "No recipient has the variable {nosuch}" in refused.err
    assert (filled.status, more.status) == (0, 0)


@pytest.mark.parametrize("line", ["x@example.com,en,", "x@example.com,en"])
def test_first_list_whose_column_is_empty_is_stored_with_a_warning(create: Create, tmp_path: Path, line: str) -> None:
    """Also if a line lacks the cell: the name of the variable is correct, so its empty place may be intended."""
    (text := tmp_path / "text.txt").write_text("{name}, {code}", "utf-8")
    stored = create("--text", str(text), "--language", "en").add(f"email,language,name\n{line}\n", "--apply")

    assert stored.status == 0
    assert "no line fills {name}" in stored.err


@pytest.mark.parametrize("door", ["issue", "hand-out"])
def test_new_group_is_named_and_refused_on_request(own_bench: LedgerBench, terminal: Terminal, door: str) -> None:
    """It is created otherwise, as scripts expect, with a line on stderr about a similar one."""
    campaign = str(own_bench.create_campaign())
    command = {"issue": ["issue"], "hand-out": ["hand-out", "create", campaign, "List"]}[door]
    terminal.ledger("issue", "--group", "Reading")

    refused = terminal.ledger(*command, "--group", "Readings", "--no-new-groups")
    existing = terminal.ledger(*command, "--group", "Reading", "--no-new-groups")
    new = terminal.ledger(*command, "--group", "Readings")

    assert (refused.status, refused.out, existing.status, existing.err) == (4, "", 0, "")
    assert "the ledger has no group 'Readings', and 'Reading' is like it: nothing was created" in refused.err
    assert (new.status, "these codes create it" in new.err) == (0, True)


def test_preview_shows_the_own_text(create: Create, tmp_path: Path) -> None:
    (text := tmp_path / "text.txt").write_text("Dear {name},\n\nyour code is {code}.", "utf-8")
    hand_out = create("--subject", "For {name}", "--text", str(text), "--language", "en", "--group", "team")
    own = hand_out("preview", "--language", "en", "--json").json
    usual = hand_out("preview", "--language", "zh", "--json").json
    lines = hand_out("preview", "--language", "en").out.splitlines()
    test = hand_out("test", "li@example.com", "--json")

    assert own["subject"] == "For [name]"
    assert "Dear [name]," in own["text"]
    assert lines[:5] == ["For [name]", "", "Dear [name],", "", "your code is MCM1-PRY5-KC9W-VE1A-S4PD."]
    assert lines[2:] == own["text"].splitlines()
    assert "MCM1-PRY5-KC9W-VE1A-S4PD" in own["text"]
    assert "team" in usual["subject"]
    assert set(test.json) == {"outcome", "why"}


def test_texts_are_set_and_changed_in_both_languages(own_bench: LedgerBench, create: Create, tmp_path: Path) -> None:
    english, chinese = tmp_path / "en.txt", tmp_path / "zh.txt"
    english.write_text("Dear {name}", "utf-8")
    chinese.write_text("您好", "utf-8")
    both = ("--subject-en", "For you", "--text-en", str(english), "--subject-zh", "给您", "--text-zh", str(chinese))
    hand_out = create("--per-minute", "600", *both)
    created = hand_out("show", "--json").json
    changed = [
        hand_out("change", *options, "--json").json
        for options in (
            ("--per-minute", "unlimited"),
            ("--subject", "Now", "--language", "en"),
            ("--subject-zh", "", "--text-en", str(chinese)),
        )
    ]
    refused = [
        hand_out("change", *options)
        for options in (
            ("--per-minute", "0"),
            ("--subject", "a", "--language", "en", "--subject-en", "b"),
            ("--subject-en", "x" * 201),
            ("--text-en", str(tmp_path / "none.txt")),
        )
    ]
    unchanged = hand_out("change")

    assert created["texts"] == {
        "en": {"subject": "For you", "text": "Dear {name}"},
        "zh": {"subject": "给您", "text": "您好"},
    }
    assert [(each["per_minute"], each["texts"]["en"], each["texts"]["zh"]["subject"]) for each in changed] == [
        (None, {"subject": "For you", "text": "Dear {name}"}, "给您"),
        (None, {"subject": "Now", "text": "Dear {name}"}, "给您"),
        (None, {"subject": "Now", "text": "您好"}, ""),
    ]
    assert [each.status for each in refused] == [2, 2, 2, 2]
    assert (unchanged.status, unchanged.out.strip()) == (0, "running; 0 recipients")
    kinds = [row[0] for row in own_bench.rows("SELECT topic FROM ledger_events WHERE starts_with(topic, 'HandOut')")]
    assert kinds == ["HandOutCreated:1", *["HandOutChanged:1"] * 3]


def test_bounce_and_resends_are_shown_by_command(own_bench: LedgerBench, create: Create) -> None:
    """A bounce keeps what staff write about it; what is sent again is apart from what was not sent yet."""
    hand_out = create()
    hand_out.add(LIST, "--apply")
    (code_id,), _ = own_bench.rows("SELECT code_id FROM hand_out_recipients ORDER BY number")
    code = own_bench.hand_out_code(code_id)
    texts = "SELECT count(*) FROM private_texts"
    ((before,),) = own_bench.rows(texts)
    bounced = hand_out("bounce", code, "--note", "mailbox full")
    unknown = hand_out("bounce", "NONE-AAAA-1111")
    again = hand_out("resend", str(code_id), "--json").json
    shown = hand_out("show")

    assert (bounced.status, bounced.out.strip()) == (0, "email 1: bounced")
    assert (unknown.status, "there is no such code" in unknown.err) == (2, True)
    assert (again["mail"], again["state"]) == (2, "queued")
    assert shown.out.strip() == "running; 2 recipients, 2 queued (1 of them again)"
    assert own_bench.rows(texts) == [(before + 1,)]


def test_emails_and_codes_of_a_list_are_counted_apart(create: Create) -> None:
    hand_out = create("--draft")

    assert "2 emails, 21 codes" in hand_out.add("email,count\nshop@example.com,20\nli@example.com,\n", "--apply").out
    assert "draft; 2 recipients with 21 codes" in hand_out("show").out
    assert "0/20" in hand_out("recipients").out


def test_warnings_about_addresses_name_their_lines_and_refuse_nothing(create: Create) -> None:
    hand_out = create(person_rule="mailbox", max_per_person=1)
    result = hand_out.add("email\n" + "".join(f"li+{nth}@example.com\n" for nth in range(SHOWN_MAX + 3)))

    assert result.status == 0
    assert "list.csv, line 3: the address is one person with line 2" in result.err
    assert (result.err.count("warning: "), "2 more warnings" in result.err) == (SHOWN_MAX, True)
