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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("issue", "--validity-days", "9999999999"), "'--validity-days'"),
        (("issue", "--max-uses", "lots"), "'--max-uses'"),
        (("issue", "--max-uses", "99999999999999999999"), "9007199254740992"),
        (("issue", "--expires-at", "soon"), "'--expires-at'"),
        (("issue", "--group", "a\nb"), "'--group'"),
        (("issue", "--expires-at", "0001-01-01T00:00:00+14:00"), "'--expires-at'"),
        (("key", "create", "a\nb", "--role", "viewer"), "'name'"),
        (("note", "nothing", "text"), "is neither a code of this ledger nor an ID"),
        (("histroy",), "did you mean 'history'"),
        (("key", "create", "--rule", "admin"), "See `ledger key create --help`"),
        (("resolve", "00000000-0000-0000-0000-000000000001", "--as", "lost", "--note", "x"), "'--as': 'lost'"),
    ],
)
def test_usage_error_is_one_line(terminal: Terminal, arguments: tuple[str, ...], words: str) -> None:
    ended = terminal.ledger(*arguments)

    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert words.lower() in ended.err.lower()


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
