"""Worker processes that are killed while they hand codes out: each recipient gets one code, and no email of another."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX

pytestmark = pytest.mark.night(of="chaos")

PEOPLE = 200
KILLS = (40, 110)
"""Accepted emails after which the worker is killed."""
WORKER = """
from workers.runtime import Runtime
from workers.settings import WorkerSettings

runtime = Runtime.build(WorkerSettings.from_environment())
runtime.hand_out_sender.run()
runtime.close()
"""


def start_worker(bench: LedgerBench, mail_server: MailServer, folder: Path) -> "subprocess.Popen[bytes]":
    variables = environment(settings_for(bench.database_url), folder, NO_STREAM)
    variables |= {"LEDGER_SMTP_URL": mail_server.url, "PATH": os.environ["PATH"]}
    return subprocess.Popen([sys.executable, "-c", WORKER], env=variables, cwd=Path.cwd())


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def end_leases(bench: LedgerBench) -> None:
    bench.rows("UPDATE hand_out_recipients SET due_at = now() WHERE due_at > now() RETURNING code_id")


def test_recipients_get_one_code_though_workers_are_killed(
    bench: LedgerBench, mail_server: MailServer, tmp_path: Path
) -> None:
    campaign_id = bench.create_hand_out(PEOPLE)
    for count in KILLS:
        worker = start_worker(bench, mail_server, tmp_path)
        try:
            mail_server.wait_for(count)
        finally:
            kill(worker)
        end_leases(bench)
    assert start_worker(bench, mail_server, tmp_path).wait(WAIT_S_MAX) == 0

    assert bench.rows("SELECT count(*) FROM handed_out_codes WHERE mail_state = 'sent'") == [(PEOPLE,)]
    mails: dict[str, set[tuple[str, str]]] = {}
    for received in mail_server.received:
        body = received.message.get_body(("plain",))
        assert body is not None
        code = re.findall(r"code=([\w-]+)", body.get_content())[0]
        mails.setdefault(received.recipient, set()).add((str(received.message["Message-ID"]), code))
    assert len(mails) == PEOPLE
    assert {len(different) for different in mails.values()} == {1}
    assert len({code for different in mails.values() for _, code in different}) == PEOPLE
    issued = bench.rows("SELECT count(*), sum(version) FROM code_balances WHERE campaign_id = %s", campaign_id)
    assert issued == [(PEOPLE, 3 * PEOPLE)]
