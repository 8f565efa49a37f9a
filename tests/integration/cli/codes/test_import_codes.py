"""Codes in from files: all or nothing, or all but the bad lines; named by line; and again after an import died."""

import csv
import json
import random
import stat
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from api.cli.codes.import_codes import SHOWN_MAX
from api.use_cases import issue_codes
from api.use_cases.issue_codes import BATCH, CodeOrder, issue_batch
from domain.commands.context import CommandContext
from domain.values.identifiers import generate_code
from projections.read_models.code_list import CodeListReader
from projections.read_models.pagination import OLDEST
from projections.storage.bootstrap import LedgerStore
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.ledger_bench import done as done_of

pytestmark = pytest.mark.usefixtures("database_url")

GOOD = """code,max_uses,used,open,expires_at,validity_days,group,note,rebinds_max
OLD-1,5,2,no,2031-05-06T07:08:09Z,30,Design,bought in March,0
old 2,unlimited,7,yes,,,,,usual
OLD-3,,,,,,,,
"""


def written(folder: Path, text: str, name: str = "codes.csv") -> str:
    path = folder / name
    path.write_bytes(text.encode())
    return str(path)


def counts(bench: LedgerBench) -> tuple[int, int]:
    """How many codes there are, and uses."""
    with bench.storage.datastore.get_connection() as conn:
        row = conn.execute("SELECT count(*) AS n, coalesce(sum(used), 0)::int AS used FROM code_balances").fetchone()
    assert row is not None
    return row["n"], row["used"]


def test_import_codes_keeps_terms_and_opening_balances(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    usual = ("--max-uses", "3", "--group", "Other", "--rebinds", "4", "--new-groups")
    done = terminal.ledger("import-codes", written(tmp_path, GOOD), *usual, "--json")
    first = terminal.ledger("history", "OLD1", "--json").json
    third = terminal.ledger("history", "OLD-3", "--json").json

    assert (done.status, done.json["imported"], done.json["applied"]) == (0, 3, True)
    assert (first["max_uses"], first["used_count"], first["available"]) == (5, 2, 3)
    assert [event["type"] for event in first["events"]] == ["CodeIssued", "OpeningBalanceImported", "CodeNoted"]
    assert "csv" in first["events"][1]["sentence"]
    assert (third["max_uses"], third["used_count"]) == (3, 0)
    terms = [(row["group_name"], row["rebinds_max"]) for row in CodeListReader(bench.storage).list_balances(OLDEST, 10)]
    assert sorted(terms, key=str) == [("Design", 0), ("Other", 4), ("Other", None)]
    assert counts(bench) == (3, 9)


CAMPAIGN_FAULTS = ("has ended", "this ledger has no campaign", "campaign 'autumn' ")
BAD_LINES = {
    "max_uses 'five' is neither a whole number from 1 to 9007199254740992 nor the word unlimited": "A-1,five,",
    "used 3 is above max_uses 2: raise max_uses to at least 3": "A-2,2,3",
    "code is empty": ",1,",
    "code is not valid: write 1 to 64 letters and digits": f"{'X' * 65},1,",
    "used '-1' is not a whole number from 0 to 9007199254740992": "A-3,1,-1",
    "the line has 9 cells, but line 1 names 8 columns": "A-4,1,0,9,,,,,9",
    "code is the same as on line 2": "good-1,1,",
    "rebinds_max 'often' is neither a whole number from 0 to 1000 nor the word usual": "A-6,1,,often",
    "a quote is not closed on this line, or is in the wrong place": '"A-5,1,',
    "starts_at is not before expires_at, so the code could never be redeemed": "A-7,1,,,2030-01-01,2030-01-01",
    "allowed_domains '.example.com' has '.example.com', which begins with a dot: for all subdomains of example.com "
    "write *.example.com": "A-8,,,,,,.example.com",
    "denied_domains names a domain of allowed_domains, or all its subdomains: remove it from one": (
        "A-9,,,,,,b.example a.example,a.example"
    ),
}


def test_one_bad_line_prevents_the_import_and_each_is_reported(
    terminal: Terminal, bench: LedgerBench, tmp_path: Path
) -> None:
    """The rejects file holds them all, for the owner only, safe for a spreadsheet."""
    header = "code,max_uses,used,rebinds_max,starts_at,expires_at,allowed_domains,denied_domains"
    lines = [header, "GOOD-1,1,", *BAD_LINES.values(), "GOOD-2,1,1", "=1+1,1,x"]
    file, rejects = written(tmp_path, "\n".join(lines)), tmp_path / "rejects.csv"

    done = terminal.ledger("import-codes", file, "--rejects", str(rejects))

    messages = done.err.splitlines()
    assert done.status == 4
    assert counts(bench) == (0, 0)
    shown = [f"{file}, line {line}: {why}" for line, why in enumerate(BAD_LINES, start=3)][:SHOWN_MAX]
    assert messages[: len(shown)] == shown
    assert messages[-1] == "nothing was imported: fix these lines, or add --skip-bad to import the others"
    rejected_lines = rejects.read_text("utf-8").splitlines()
    assert rejected_lines[0] == f"{header},line,column,value,why"
    assert len(rejected_lines) == 1 + len(BAD_LINES) + 1
    rows = [row[-4:] for row in csv.reader(rejected_lines[1:])]
    assert [(line, why) for line, _, _, why in rows[:-1]] == [
        (str(line), why) for line, why in enumerate(BAD_LINES, start=3)
    ]
    assert [(column, value) for _, column, value, _ in rows[:7]] == [
        ("max_uses", "five"),
        ("used", "3"),
        ("code", ""),
        ("code", "X" * 65),
        ("used", "'-1"),
        ("", ""),
        ("code", "good-1"),
    ]
    assert rejected_lines[-1].startswith("'=1+1,1,x,,,,,,16,")
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_skip_bad_imports_the_other_lines(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    """Exit 1, since something was found; the repaired rejects are imported as they are."""
    lines = ["code,max_uses,used,rebinds_max", "GOOD-1,1,", *BAD_LINES.values(), "GOOD-2,1,1"]
    file, rejects = written(tmp_path, "\n".join(lines)), tmp_path / "rejects.csv"

    done = terminal.ledger("import-codes", file, "--skip-bad", "--rejects", str(rejects), "--json")
    rejected_lines = rejects.read_text("utf-8").splitlines()
    mended = written(tmp_path, f"{rejected_lines[0]}\n{rejected_lines[1].replace('five', '5')}\n", "mended.csv")
    again = terminal.ledger("import-codes", mended)

    assert (done.status, done.json["imported"], done.json["rejected"]) == (1, 2, len(BAD_LINES))
    assert (again.status, counts(bench)) == (0, (3, 1))


def test_rejected_line_that_names_a_member_twice_is_kept_as_it_is(terminal: Terminal, tmp_path: Path) -> None:
    line = '{"code": "TWICE-1", "max_uses": 1, "max_uses": 5}'
    file, rejects = written(tmp_path, line + "\n", "codes.jsonl"), tmp_path / "rejects.jsonl"
    done = terminal.ledger("import-codes", file, "--rejects", str(rejects))
    (rejected_line,) = rejects.read_text("utf-8").splitlines()

    assert done.status == 4
    about = {"line": 1, "column": "", "value": "", "why": "the line has 'max_uses' twice"}
    assert json.loads(rejected_line) == {"record": line, **about}


def test_second_import_changes_nothing(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    """What is there as the file says is left; with other terms or uses it is a bad line."""
    file = written(tmp_path, GOOD)
    terminal.ledger("import-codes", file, "--new-groups")
    again = terminal.ledger("import-codes", file, "--json")
    other = terminal.ledger("import-codes", written(tmp_path, GOOD.replace("OLD-1,5,2", "OLD-1,5,3")))
    moving = terminal.ledger("import-codes", written(tmp_path, GOOD.replace("March,0", "March,1")))

    assert (again.status, again.json["imported"], again.json["already"]) == (0, 0, 3)
    assert (other.status, moving.status) == (4, 4)
    assert "line 2: the ledger has this code already, with other terms or uses" in other.err
    assert counts(bench) == (3, 9)


def test_interrupted_import_resumes(
    terminal: Terminal, bench: LedgerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was kept before it died is found there; no code comes twice, and no use."""
    random_source, calls, count = random.Random(7), [], 4 * BATCH + 200
    lines = ["code,max_uses,used", *(f"{generate_code(random_source)},2,{nth % 2}" for nth in range(count))]
    file = written(tmp_path, "\n".join(lines))

    def dying(storage: LedgerStore, orders: Sequence[CodeOrder], context: CommandContext) -> None:
        calls.append(len(orders))
        if len(calls) == 3:
            raise KeyboardInterrupt
        issue_batch(storage, orders, context)

    with monkeypatch.context() as patch:
        patch.setattr(issue_codes, "issue_batch", dying)
        died = terminal.ledger("import-codes", file)
    between = counts(bench)
    done = terminal.ledger("import-codes", file, "--json")

    assert died.status == 130
    assert BATCH <= between[0] < count
    assert (done.json["already"], done.json["imported"]) == (between[0], count - between[0])
    assert counts(bench) == (count, count // 2)


def test_map_renames_columns(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    text = "\ufeffVoucher;Limit;Sold by\r\nAB-1;5;Ann\r\n"
    file = written(tmp_path, text)

    unknown = terminal.ledger("import-codes", file, "--map", "Voucher=code", "--map", "Limit=max_uses")
    done = terminal.ledger(
        "import-codes", file, "--map", "Voucher=code", "--map", "Limit=max_uses", "--map", "Sold by="
    )

    assert unknown.status == 4
    assert "the column 'Sold by' is unknown: map it with --map sold by=COLUMN (code, max_uses," in unknown.err
    assert (done.status, counts(bench)) == (0, (1, 0))
    missing = terminal.ledger("import-codes", written(tmp_path, "a,b\n1,2\n"), "--map", "a=max_uses", "--map", "b=")
    assert "no column is named code: map the one that holds the codes with --map COLUMN=code" in missing.err
    assert terminal.ledger("import-codes", str(tmp_path / "nowhere.csv")).status == 2
    assert terminal.ledger("import-codes", written(tmp_path, "")).status == 4


def test_import_codes_reads_json_lines(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    lines = [
        '{"code": "J-1", "max_uses": 3, "used": 1, "open": true}',
        '{"code": "J-2", "max_uses": null}',
        "{not json",
        "[1]",
        '{"code": "J-3", "nonsense": 1}',
        '{"code": "J-4", "used": 1.5}',
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ]
    file = written(tmp_path, "\n".join(lines), "codes.jsonl")

    done = terminal.ledger("import-codes", file, "--skip-bad", "--json")

    assert (done.status, done.json["imported"], done.json["rejected"]) == (1, 2, 5)
    assert [fault["line"] for fault in done.json["faults"]] == [3, 4, 5, 6, 7]
    assert counts(bench) == (2, 1)


def test_exported_codes_can_be_imported_by_another_ledger(terminal: Terminal, tmp_path: Path) -> None:
    terminal.ledger("import-codes", written(tmp_path, GOOD), "--new-groups")
    for name in ("out.csv", "out.jsonl"):
        out = tmp_path / name
        done = terminal.ledger("export", "codes", "-o", str(out))
        again = terminal.ledger("import-codes", str(out), "--json")

        assert (done.status, done.err.strip()) == (0, "exported: 3 codes")
        assert (again.json["already"], again.json["imported"]) == (3, 0)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert sorted((row["code"], row["used"], row["available"], row["rebinds_max"]) for row in rows) == [
        ("OLD1", 2, 3, 0),
        ("OLD2", 7, None, None),
        ("OLD3", 0, 1, None),
    ]
    secret = terminal.ledger("export", "codes", "--no-texts").out
    assert "OLD" not in secret


def test_export_writes_reservations_and_statements(terminal: Terminal, bench: LedgerBench) -> None:
    code = bench.issue(max_uses=3, bound=False)
    first = done_of(bench.redeem(code, "a@example.com")).require_reservation().reservation_id
    bench.redeem(code, "b@example.com")
    bench.attempt(first)

    bare = terminal.ledger("export", "reservations", "--format", "jsonl").out
    named = terminal.ledger("export", "reservations", "--format", "jsonl", "--emails").out
    lines = [json.loads(line) for line in terminal.ledger("export", "statements", "--format", "jsonl").out.splitlines()]
    csv = terminal.ledger("export", "statements", "--code", str(lines[0]["code_id"])).out.splitlines()

    assert "example.com" not in bare
    assert [json.loads(line)["email"] for line in named.splitlines()] == ["a@example.com", "b@example.com"]
    assert [line["type"] for line in lines] == [
        *("CodeIssued", "UseReserved", "UseReserved", "InviteAttempted", "InviteSent"),
    ]
    assert [(line["used_count"], line["reserved"]) for line in lines][-1] == (1, 1)
    assert (len(csv), csv[0].split(",")[:3]) == (6, ["code_id", "version", "position"])


def test_many_codes_are_issued_and_imported_in_batches(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    """A slice of the million that docs/how-to/import-codes.md tells of: every one of them once."""
    count = 20 * BATCH
    issued = terminal.ledger("issue", "--count", str(count), "--prefix", "bulk", "--note", "for the fair").out.split()
    random_source = random.Random(11)
    file = written(tmp_path, "\n".join(["code,used", *(f"{generate_code(random_source)},1" for _ in range(count))]))
    done = terminal.ledger("import-codes", file, "--json")

    assert len(set(issued)) == count
    assert {code.partition("-")[0] for code in issued} == {"BULK"}
    assert done.json["imported"] == count
    assert counts(bench) == (2 * count, count)


def test_export_and_import_keep_the_campaign(terminal: Terminal, bench: LedgerBench, tmp_path: Path) -> None:
    campaign_id = bench.create_campaign()
    bench.issue(campaign_id=campaign_id)
    exported = terminal.ledger("export", "codes", "--texts").out
    again = terminal.ledger("import-codes", written(tmp_path, exported), "--json").json
    new = terminal.ledger(
        "import-codes", written(tmp_path, f"code,campaign\nNEW1,{campaign_id}\nNEW2,\n"), "--json"
    ).json

    assert exported.splitlines()[0].endswith(",campaign")
    assert exported.splitlines()[1].endswith(f",{campaign_id}")
    assert (again["already"], again["rejected"], new["imported"]) == (1, 0, 2)
    assert len(CodeListReader(bench.storage).list_balances(OLDEST, 10, campaign_id=campaign_id)) == 2


def test_import_names_the_lines_whose_campaign_takes_no_codes(
    terminal: Terminal, bench: LedgerBench, tmp_path: Path
) -> None:
    ended_id, campaign_id = bench.create_campaign(), bench.create_campaign()
    assert terminal.ledger("campaign", "end", str(ended_id)).status == 0
    file = written(tmp_path, f"code,campaign\nA1,{ended_id}\nA2,{uuid4()}\nA3,autumn\nA4,{campaign_id}\n")
    alone = terminal.ledger("import-codes", file, "--json")
    into_another = terminal.ledger("import-codes", file, "--campaign", str(bench.create_campaign()), "--json")

    assert (alone.status, counts(bench)) == (4, (0, 0))
    assert [
        (fault["line"], why in fault["why"]) for fault, why in zip(alone.json["faults"], CAMPAIGN_FAULTS, strict=True)
    ] == [(line, True) for line in (2, 3, 4)]
    assert into_another.json["rejected"] == 4


def test_rejected_value_is_that_of_a_renamed_column(terminal: Terminal, tmp_path: Path) -> None:
    files = [
        written(tmp_path, "Voucher,Limit\nA-1,five\n"),
        written(tmp_path, '{"Voucher": "A-1", "Limit": "five"}\n', "codes.jsonl"),
    ]
    rejects, renamed = tmp_path / "rejects", ("--map", "Voucher=code", "--map", "Limit=max_uses")
    lines = []
    for file in files:
        terminal.ledger("import-codes", file, *renamed, "--rejects", str(rejects))
        lines.append(rejects.read_text("utf-8").splitlines()[-1])

    assert next(csv.reader(lines[:1]))[:5] == ["A-1", "five", "2", "max_uses", "five"]
    assert {"line": 1, "column": "max_uses", "value": "five"}.items() <= json.loads(lines[1]).items()


def test_new_group_is_not_created_by_an_import_that_skips_invalid_lines(
    terminal: Terminal, bench: LedgerBench, tmp_path: Path
) -> None:
    """Both have to be said: a misspelled name is no invalid line. The group of the command counts, too."""
    file = written(tmp_path, "code,group\nG-1,Design\n,\n")
    refused = terminal.ledger("import-codes", file, "--skip-bad")
    by_option = terminal.ledger("import-codes", written(tmp_path, "code\nG-2\n", "plain.csv"), "--group", "Design")
    between = counts(bench)
    done = terminal.ledger("import-codes", file, "--skip-bad", "--new-groups", "--json")

    assert (refused.status, by_option.status, between) == (4, 4, (0, 0))
    assert "warning: the ledger has no group 'Design'" in refused.err
    assert "--skip-bad" not in refused.err
    assert by_option.err.endswith(
        "nothing was imported: fix the names of these groups, or add --new-groups to create them\n"
    )
    assert (done.json["imported"], done.json["rejected"]) == (1, 1)
