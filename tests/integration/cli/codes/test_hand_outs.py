"""Hand-outs at the command line: checked lists by default, stored ones with --apply, and every refusal by its line."""

from pathlib import Path
from uuid import uuid4

import pytest

from api.cli.codes.hand_outs import SHOWN_MAX
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench

EXAMPLE = Path(__file__).parents[4] / "docs" / "how-to" / "examples" / "hand-out-codes.csv"
LIST = "email,language,name\nli@example.com,zh,Li\nwang@example.com,en,Wang\n"


def create(bench: LedgerBench, terminal: Terminal, *options: str) -> str:
    result = terminal.ledger("hand-out", "create", str(bench.create_campaign()), "Newsletter", *options, "--json")
    return str(result.json["id"])


def test_list_is_checked_first_and_stored_on_request(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LIST, "utf-8")
    hand_out = create(bench, terminal, "--per-minute", "60", "--max-uses", "2")
    checked = terminal.ledger("hand-out", "add", hand_out, str(file), "--json").json
    empty = terminal.ledger("hand-out", "show", hand_out, "--json").json
    stored = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply", "--json").json
    again = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply").out
    shown = terminal.ledger("hand-out", "show", hand_out, "--json").json
    people = terminal.ledger("hand-out", "recipients", hand_out, "--json").json
    exported = terminal.ledger("hand-out", "export", hand_out).out
    listed = terminal.ledger("hand-out", "list", shown["campaign"], "--json").json
    filters = (
        ["--state", "queued"],
        ["--state", "sent"],
        ["--email", "wang@example.com"],
        ["--email", "x@example.com"],
    )
    chosen = [terminal.ledger("hand-out", "recipients", hand_out, *each, "--json").json for each in filters]
    unknown = terminal.ledger("hand-out", "recipients", hand_out, "--state", "lost")

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
    actions = [row[0] for row in bench.rows("SELECT act FROM audit ORDER BY audit_id")]
    assert actions == ["uploaded_recipients", "exported_emails"]


def test_list_of_the_guide_names_the_codes_of_its_recipients(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    codes, file = tmp_path / "codes.csv", tmp_path / "list.csv"
    named = [line.rpartition(",")[2] for line in EXAMPLE.read_text("utf-8").splitlines()[1:]]
    codes.write_text("code,max_uses\n" + "".join(f"{code},1\n" for code in named), "utf-8")
    hand_out = create(bench, terminal, "--existing-codes")
    campaign = terminal.ledger("hand-out", "show", hand_out, "--json").json["campaign"]
    early = terminal.ledger("hand-out", "add", hand_out, str(EXAMPLE), "--apply")
    terminal.ledger("import-codes", str(codes), "--campaign", campaign)
    added = terminal.ledger("hand-out", "add", hand_out, str(EXAMPLE), "--apply")
    people = terminal.ledger("hand-out", "recipients", hand_out, "--json").json
    file.write_text("email,code\nwang@example.com,\n", "utf-8")
    missing = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    terms = terminal.ledger("hand-out", "create", campaign, "Other", "--existing-codes", "--max-uses", "2")

    refused = {"line 2: there is no such code": early, "line 2: the line names no code": missing}
    refused |= {"keep their terms": terms}
    assert [(result.status, text in result.err) for text, result in refused.items()] == [(4, True)] * 3
    assert "2 added" in added.out
    assert [person["code_id"] for person in people] == [str(bench.reader.find_code(code)) for code in named]
    assert not [code for code in named if code in early.err + early.out + added.out + added.err]


def test_state_is_changed_by_command(bench: LedgerBench, terminal: Terminal) -> None:
    hand_out = create(bench, terminal)
    campaign = terminal.ledger("hand-out", "show", hand_out, "--json").json["campaign"]
    terminal.ledger("campaign", "pause", campaign)
    waiting = terminal.ledger("hand-out", "show", hand_out).out
    terminal.ledger("campaign", "resume", campaign)
    states = [terminal.ledger("hand-out", how, hand_out, "--json").json["state"] for how in ("pause", "resume", "end")]
    refused = terminal.ledger("hand-out", "resume", hand_out)

    assert waiting == "running (waits: the campaign is paused); 0 recipients\n"
    assert states == ["paused", "running", "ended"]
    assert (refused.status, "ended permanently" in refused.err) == (4, True)


def test_invalid_lists_and_ids_are_refused(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    hand_out = create(bench, terminal)
    file = tmp_path / "list.csv"
    file.write_text("email\nli@example.com\nnobody\n", "utf-8")
    bad_line = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    file.write_text("name\nLi\n", "utf-8")
    no_column = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    unknown = terminal.ledger("hand-out", "show", str(uuid4()))
    no_id = terminal.ledger("hand-out", "show", "7")

    assert (bad_line.status, "line 3" in bad_line.err) == (4, True)
    assert (no_column.status, "named email" in no_column.err) == (4, True)
    assert (unknown.status, no_id.status) == (4, 2)


def test_lines_behind_those_that_are_shown_are_counted(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.codes.hand_outs.SHOWN_MAX", 2)
    hand_out, file = create(bench, terminal), tmp_path / "list.csv"
    file.write_text("email\nli@example.com\nnobody\nli@example.com\nno one\n", "utf-8")
    more = terminal.ledger("hand-out", "add", hand_out, str(file))
    file.write_text("email\nli@example.com\nnobody\nli@example.com\n", "utf-8")
    all_shown = terminal.ledger("hand-out", "add", hand_out, str(file))

    assert more.err.count(", line ") == all_shown.err.count(", line ") == 2
    assert "... 1 more: --rejects FILE writes all invalid lines" in more.err
    assert "more:" not in all_shown.err
    assert bench.rows("SELECT count(*) FROM hand_out_recipients") == [(0,)]


def test_list_warns_of_variables_that_no_line_fills(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    """The first list of a running hand-out is not stored, since its emails would go out with an empty place."""
    text, file = tmp_path / "text.txt", tmp_path / "list.csv"
    text.write_text("{name}, {code}, {nosuch}", "utf-8")
    file.write_text(LIST, "utf-8")
    hand_out = create(bench, terminal, "--text", str(text), "--language", "en")
    checked = terminal.ledger("hand-out", "add", hand_out, str(file), "--json")
    refused = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    stored = bench.rows("SELECT count(*) FROM hand_out_recipients")
    file.write_text("email,name,nosuch\nx@example.com,Li,1\n", "utf-8")
    filled = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply", "--json")
    file.write_text(LIST, "utf-8")
    more = terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")

    assert checked.json["missing_variables"] == ["nosuch"]
    assert ["no line fills {nosuch}" in result.err for result in (checked, filled, more)] == [True, False, True]
    assert (refused.status, stored) == (4, [(0,)])
    assert "No recipient has the variable {nosuch}" in refused.err
    assert (filled.status, more.status) == (0, 0)


@pytest.mark.parametrize("line", ["x@example.com,en,", "x@example.com,en"])
def test_first_list_whose_column_is_empty_is_stored_with_a_warning(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, line: str
) -> None:
    """Also if a line lacks the cell: the name of the variable is correct, so its empty place may be intended."""
    text, file = tmp_path / "text.txt", tmp_path / "list.csv"
    text.write_text("{name}, {code}", "utf-8")
    file.write_text(f"email,language,name\n{line}\n", "utf-8")

    stored = terminal.ledger(
        "hand-out", "add", create(bench, terminal, "--text", str(text), "--language", "en"), str(file), "--apply"
    )

    assert stored.status == 0
    assert "no line fills {name}" in stored.err


@pytest.mark.parametrize("door", ["issue", "hand-out"])
def test_new_group_is_named_and_refused_on_request(bench: LedgerBench, terminal: Terminal, door: str) -> None:
    """It is created otherwise, as scripts expect, with a line on stderr about a similar one."""
    campaign = str(bench.create_campaign())
    command = {"issue": ["issue"], "hand-out": ["hand-out", "create", campaign, "List"]}[door]
    terminal.ledger("issue", "--group", "Reading")

    refused = terminal.ledger(*command, "--group", "Readings", "--no-new-groups")
    existing = terminal.ledger(*command, "--group", "Reading", "--no-new-groups")
    new = terminal.ledger(*command, "--group", "Readings")

    assert (refused.status, refused.out, existing.status, existing.err) == (4, "", 0, "")
    assert "the ledger has no group 'Readings', and 'Reading' is like it: nothing was created" in refused.err
    assert (new.status, "these codes create it" in new.err) == (0, True)


def test_preview_shows_the_own_text(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Dear {name},\n\nyour code is {code}.", "utf-8")
    options = ("--subject", "For {name}", "--text", str(text), "--language", "en", "--group", "team")
    hand_out = create(bench, terminal, *options)
    own = terminal.ledger("hand-out", "preview", hand_out, "--language", "en", "--json").json
    usual = terminal.ledger("hand-out", "preview", hand_out, "--language", "zh", "--json").json
    lines = terminal.ledger("hand-out", "preview", hand_out, "--language", "en").out.splitlines()
    test = terminal.ledger("hand-out", "test", hand_out, "li@example.com", "--json")

    assert own["subject"] == "For [name]"
    assert "Dear [name]," in own["text"]
    assert lines[:5] == ["For [name]", "", "Dear [name],", "", "your code is MCM1-PRY5-KC9W-VE1A-S4PD."]
    assert lines[2:] == own["text"].splitlines()
    assert "MCM1-PRY5-KC9W-VE1A-S4PD" in own["text"]
    assert "team" in usual["subject"]
    assert set(test.json) == {"outcome", "why"}


def test_texts_are_set_and_changed_in_both_languages(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    english, chinese = tmp_path / "en.txt", tmp_path / "zh.txt"
    english.write_text("Dear {name}", "utf-8")
    chinese.write_text("您好", "utf-8")
    both = ("--subject-en", "For you", "--text-en", str(english), "--subject-zh", "给您", "--text-zh", str(chinese))
    hand_out = create(bench, terminal, "--per-minute", "600", *both)
    created = terminal.ledger("hand-out", "show", hand_out, "--json").json
    changed = [
        terminal.ledger("hand-out", "change", hand_out, *options, "--json").json
        for options in (
            ("--per-minute", "unlimited"),
            ("--subject", "Now", "--language", "en"),
            ("--subject-zh", "", "--text-en", str(chinese)),
        )
    ]
    refused = [
        terminal.ledger("hand-out", "change", hand_out, *options)
        for options in (
            ("--per-minute", "0"),
            ("--subject", "a", "--language", "en", "--subject-en", "b"),
            ("--subject-en", "x" * 201),
            ("--text-en", str(tmp_path / "none.txt")),
        )
    ]
    unchanged = terminal.ledger("hand-out", "change", hand_out)

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
    kinds = [row[0] for row in bench.rows("SELECT topic FROM ledger_events WHERE starts_with(topic, 'HandOut')")]
    assert kinds == ["HandOutCreated:1", *["HandOutChanged:1"] * 3]


def test_bounce_and_resends_are_shown_by_command(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    """A bounce keeps what staff write about it; what is sent again is apart from what was not sent yet."""
    file = tmp_path / "list.csv"
    file.write_text(LIST, "utf-8")
    hand_out = create(bench, terminal)
    terminal.ledger("hand-out", "add", hand_out, str(file), "--apply")
    (code_id,), _ = bench.rows("SELECT code_id FROM hand_out_recipients ORDER BY number")
    early = terminal.ledger("hand-out", "bounce", hand_out, str(code_id))
    code = bench.hand_out_code(code_id)
    texts = "SELECT count(*) FROM private_texts"
    ((before,),) = bench.rows(texts)
    bounced = terminal.ledger("hand-out", "bounce", hand_out, code, "--note", "mailbox full")
    unknown = terminal.ledger("hand-out", "bounce", hand_out, "NONE-AAAA-1111")
    again = terminal.ledger("hand-out", "resend", hand_out, str(code_id), "--json").json
    shown = terminal.ledger("hand-out", "show", hand_out)

    assert (early.status, "it cannot have bounced" in early.err) == (4, True)
    assert (bounced.status, bounced.out.strip()) == (0, "email 1: bounced")
    assert (unknown.status, "there is no such code" in unknown.err) == (2, True)
    assert (again["mail"], again["state"]) == (2, "queued")
    assert shown.out.strip() == "running; 2 recipients, 2 queued (1 of them again)"
    assert bench.rows(texts) == [(before + 1,)]


def test_emails_and_codes_of_a_list_are_counted_apart(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    file, hand_out = tmp_path / "list.csv", create(bench, terminal, "--draft")
    file.write_text("email,count\nshop@example.com,20\nli@example.com,\n", "utf-8")

    assert "2 emails, 21 codes" in terminal.ledger("hand-out", "add", hand_out, str(file), "--apply").out
    assert "draft; 2 recipients with 21 codes" in terminal.ledger("hand-out", "show", hand_out).out
    assert "0/20" in terminal.ledger("hand-out", "recipients", hand_out).out


def test_warnings_about_addresses_name_their_lines_and_refuse_nothing(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email\n" + "".join(f"li+{nth}@example.com\n" for nth in range(SHOWN_MAX + 3)), "utf-8")
    campaign = bench.create_campaign(person_rule="mailbox", max_per_person=1)
    hand_out = str(terminal.ledger("hand-out", "create", str(campaign), "Newsletter", "--json").json["id"])

    result = terminal.ledger("hand-out", "add", hand_out, str(file))

    assert result.status == 0
    assert f"warning: {file}, line 3: the address is one person with line 2" in result.err
    assert (result.err.count("warning: "), "2 more warnings" in result.err) == (SHOWN_MAX, True)
