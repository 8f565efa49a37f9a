"""How commands end when they are used wrongly, or when their output is not read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.cli.entry import main
from domain.commands.campaign.manage_campaign import ChangeCampaignTerms
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.embedded_stack import PROGRAM

CLOSED = ("/bin/sh", "-c", 'exec "$@" >&-', "sh")
"""Runs what follows with a closed stdout."""


NO_ONE = "00000000-0000-0000-0000-000000000001"
REFUSED = [
    (("issue", "--validity-days", "9999999999"), 2, "'--validity-days'"),
    (("issue", "--max-uses", "lots"), 2, "'--max-uses'"),
    (("issue", "--max-uses", "-1"), 2, "'--max-uses'"),
    (("issue", "--max-uses", "99999999999999999999"), 2, "9007199254740992"),
    (("issue", "--expires-at", "soon"), 2, "'--expires-at'"),
    (("issue", "--expires-at", "0001-01-01T00:00:00+14:00"), 2, "'--expires-at'"),
    (("issue", "--group", "a\nb"), 2, "'--group'"),
    (("issue", "--group", "li.wei@example.com"), 2, "is an email address, which events may not hold"),
    (("key", "create", "a\nb", "--role", "viewer"), 2, "'name'"),
    (("key", "create", "--rule", "admin"), 2, "See `ledger key create --help`"),
    (("note", "nothing", "text"), 2, "is neither a code of this ledger nor an ID"),
    (("histroy",), 2, "did you mean 'history'"),
    (("history", "NOSUCHCODE"), 2, "no such code"),
    (("cancel", "x"), 2, "reservation id"),
    (("refund", "x", "--note", "n"), 2, "reservation id"),
    (("resolve", "x", "--as", "sent", "--note", "?"), 2, "reservation id"),
    (("resolve", NO_ONE, "--as", "lost", "--note", "x"), 2, "'--as': 'lost'"),
    (("correct-recipient", NO_ONE, "nonsense"), 2, "is not one email address"),
    (("import-legacy", "--dsn", "mysql://host/db"), 3, "sqlite:////absolute/path.db or postgresql"),
    (("import-legacy", "--dsn", "sqlite:///relative.db"), 3, "write an absolute path"),
    (("import-legacy", "--dsn", "sqlite:////nowhere/old.db"), 3, "there is no file"),
    (("import-legacy", "--dsn", "postgresql://nobody@127.0.0.1:1/old"), 3, "cannot be read"),
    (("hand-out", "show", "7"), 2, "is not a hand-out ID"),
    (("hand-out", "show", NO_ONE), 4, "hand-out"),
    (("refund-outage", "--from", "2027-01-02", "--to", "2027-01-01"), 2, "--to"),
    (("refund-outage", "--from", "x", "--to", "2027-01-01"), 2, "'--from'"),
    (("change-codes", "pause", "VIP"), 2, "name the codes as batch:ID, group:NAME, campaign:ID or line:CODE_ID"),
    (("change-codes", "stop", "group:VIP"), 2, "must be one of pause, resume, revoke, extend"),
    (("change-codes", "extend", "group:VIP"), 2, "--expires-at is for extend"),
    (("change-codes", "extend", "group:VIP", "--expires-at", "2020-01-01"), 2, "must be in the future"),
    (("change-codes", "pause", "batch:x"), 2, "is not a batch ID"),
    (("change-codes", "pause", f"batch:{NO_ONE}"), 4, "there is no"),
    (("change-codes", "pause", f"campaign:{NO_ONE}"), 4, "there is no"),
    (("change-codes", "pause", f"line:{NO_ONE}"), 4, "there is no"),
]
"""Usage is 2, a service that cannot be used 3, a rule 4."""


@pytest.mark.parametrize(("arguments", "status", "words"), REFUSED, ids=[" ".join(words) for words, _, _ in REFUSED])
def test_refusal_is_one_line_and_changes_nothing(
    bench: LedgerBench, terminal: Terminal, arguments: tuple[str, ...], status: int, words: str
) -> None:
    before = bench.rows("SELECT count(*) FROM ledger_events")
    ended = terminal.ledger(*arguments)

    assert (ended.status, ended.out, ended.err.count("\n")) == (status, "", 1)
    assert words.lower() in ended.err.lower()
    assert bench.rows("SELECT count(*) FROM ledger_events") == before


def test_issue_warns_of_an_expiry_date_in_the_past(terminal: Terminal) -> None:
    """The codes are issued all the same: an admin may want them so."""
    ended = terminal.ledger("issue", "--expires-at", "2020-01-01")

    assert (ended.status, ended.out.count("\n")) == (0, 1)
    assert ended.err.startswith("--expires-at 2020-01-01T00:00:00Z is in the past")


@pytest.mark.parametrize(
    ("locale", "words"), [("en_US.UTF-8", "it accepts no new codes"), ("zh_CN.UTF-8", "不能再加入或发放兑换码")]
)
def test_refusal_is_explained_to_staff(
    terminal: Terminal, bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, locale: str, words: str
) -> None:
    """In the language of the locale: what happened and what to do, without the words for customers."""
    monkeypatch.setenv("LC_ALL", locale)
    campaign = str(bench.create_campaign())
    terminal.ledger("campaign", "end", campaign)
    refused = [
        terminal.ledger("issue", "--campaign", campaign),
        terminal.ledger("hand-out", "create", campaign, "Late"),
    ]

    expired = bench.create_campaign()
    context = bench.context("operator")
    an_hour_ago = replace(context, now=context.now - timedelta(hours=1))
    bench.storage.ledger.execute_one(
        ChangeCampaignTerms(context=an_hour_ago, campaign_id=expired, changes={"ends_at": context.now})
    )
    refused.append(terminal.ledger("hand-out", "create", str(expired), "Late"))

    assert [(one.status, words in one.err) for one in refused] == [(4, True)] * 3
    assert "CAMPAIGN_ENDED" in refused[0].err


def test_version_is_printed(terminal: Terminal) -> None:
    ended = terminal.ledger("--version")

    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("Redemption Ledger 0.")


class _Interrupted:
    """Ctrl-C while the command line is found."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "api.cli.app":
            raise KeyboardInterrupt


def test_ctrl_c_during_loading_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "api.cli.app")
    monkeypatch.setattr(sys, "meta_path", [_Interrupted, *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_issue_points_to_unprinted_codes_after_ctrl_c(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(issued: Iterator[object], _progress: object) -> None:
        next(issued)
        raise KeyboardInterrupt

    monkeypatch.setattr("api.cli.codes.codes._print_codes", interrupted)

    ended = terminal.ledger("issue")

    assert (ended.status, ended.err.count("\n")) == (130, 2)
    assert "ledger export codes" in ended.err
    assert ended.err.endswith("interrupted\n")


@pytest.mark.usefixtures("terminal")
def test_closed_or_full_output_prints_no_traceback(bench: LedgerBench) -> None:
    """A reader that left is no error, nor a closed stdout; one that takes nothing is, and issued codes are found."""
    code = bench.issue(1)
    reader, writer = os.pipe()
    os.close(reader)
    with Path(os.devnull).open("rb") as refusing, os.fdopen(writer, "wb") as unread:
        ended = [
            subprocess.run([*PROGRAM, "history", code], stdout=unread, stderr=subprocess.PIPE, check=False),
            subprocess.run([*CLOSED, *PROGRAM, "history", code], stderr=subprocess.PIPE, check=False),
            subprocess.run([*PROGRAM, "issue"], stdout=refusing, stderr=subprocess.PIPE, check=False),
        ]

    assert [(one.returncode, one.stderr) for one in ended[:2]] == [(0, b""), (0, b"")]
    assert ended[2].returncode == 3
    assert b"ledger export codes" in ended[2].stderr
    assert b"Traceback" not in ended[2].stderr


def test_output_device_is_written_and_not_replaced(bench: LedgerBench, terminal: Terminal, tmp_path: Path) -> None:
    """Root could put a file in the place of /dev/null; a link continues pointing where it pointed."""
    bench.issue(1)
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    link.symlink_to(target)
    keeper = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        through_pipe = terminal.ledger("export", "codes", "--output", str(pipe))
        assert os.read(keeper, 1 << 16).startswith(b"code,")
    finally:
        os.close(keeper)
    through_link = terminal.ledger("export", "codes", "--output", str(link))

    assert (through_pipe.status, through_link.status) == (0, 0)
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert target.read_bytes().startswith(b"code,")


UNREADABLE = [
    ("groups = 5", "groups: "),
    ("[[groups]", "the file is not TOML"),
    ("[[pages]]", "pages: Extra inputs are not permitted"),
    ('[[groups]]\nname = "li@example.com"', "groups.0.name: a group's name is stored in events"),
    ('[[groups]]\nname = "A"\n[[groups]]\nname = "A"', "groups: has two entries for A"),
    ('[[groups]]\nname = "A"\naccent = "blue"', "groups.0.accent: is not a color"),
    ('[[groups]]\nname = "A"\naccept_target = "http://a.example"', "accept_target: is not an absolute https URL"),
    ('[[groups]]\nname = "A"\ntexts.en.text = "{code}"', "texts.en.text: has the variable {code}"),
    ('[[keys]]\nname = "A"', "keys.0: needs either role or scopes"),
    ('[[keys]]\nname = "A"\nrole = "admin"\nnetworks = ["x"]', "keys.0.networks: has 'x', which is not a network"),
    ('[[campaigns]]\nname = "A"\nmax_uses = 0', "campaigns.0.max_uses: "),
    ('[[campaigns]]\nname = "A"\nends_at = 2099-12-31T23:00:00', "campaigns.0.ends_at: "),
    ("x = " + "1" * 40, "the file is not TOML"),
    ("x = " + "1" * 5000, "the file is not TOML"),
    ('[[campaigns]]\nname = "A"\nmax_uses = inf', "inf is not a number"),
    ('[[keys]]\nname = "a\\u202e"\nrole = "admin"', "keys.0.name: is not one line"),
]
IMPOSSIBLE = [
    ('[[webhooks]]\nurl = "https://10.0.0.1/hook"', "not possible: "),
    ('[[groups]]\nname = "A"\nchannel.kind = "pigeon"', "not possible: channel.kind must be one of webhook"),
    ('[[groups]]\nname = "A"\nchannel.settings.url = "https://10.0.0.1"', "channel.settings.url: is not possible"),
    ('[[campaigns]]\nname = "A"\nmax_uses = 1\nmax_per_person = 2', "not possible: "),
    ('[[keys]]\nname = "A"\nrole = "viewer"\nexpires_at = 2001-01-01T00:00:00Z', "expires_at is in the past"),
]


@pytest.mark.parametrize(
    ("status", "text", "why"), [*((2, *case) for case in UNREADABLE), *((4, *case) for case in IMPOSSIBLE)]
)
def test_file_that_is_not_applied_says_where_and_why(
    terminal: Terminal, tmp_path: Path, status: int, text: str, why: str
) -> None:
    """Nothing is changed, also with `--yes`."""
    (path := tmp_path / "ledger.toml").write_text(text, "utf-8")
    refused = terminal.ledger("apply", "--file", str(path), "--yes")

    assert refused.status == status
    assert why in " ".join((refused.err + refused.out).replace("│", " ").split())
    if status == 4:
        assert refused.err == "1 of 1 changes are not possible; nothing was changed\n"
