"""A real Postfix and a real Dovecot: each report ends once at its email, by each way in, whatever is killed or cut.

Each of them, and the mail server of the recipients, is a separate machine (`tests/support/servers/machines.py`).

`BOUNCES=100` sends as many invitations, of which a fifth bounces, a twentieth finds a full mailbox, and so on.
"""

import json
import os
import pwd
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from socket import create_server
from typing import Final, NamedTuple, Self
from uuid import UUID

import pytest
from trustme import CA

from domain.events.reservation import InviteBounced, InviteComplained, InviteDelayed
from projections.event_store.codec import decode
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.rebuilds import NoProgress
from tests.support.ledger.scenario import refusal
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.machines import Machine, Network
from tests.support.servers.mail_hosts import DOMAIN, MAIL_ACCOUNT, SMTP, MailHost, dovecot, postfix
from tests.support.servers.mail_server import MailServer
from tests.support.servers.mail_session import ReceivedMessage, ReplyWith
from tests.support.waiting import wait_for
from tests.unit.workers.mail_reports.reports import COMPLAINT
from workers.runtime import Runtime
from workers.settings import WorkerSettings

pytestmark = pytest.mark.night(of="servers")

COUNT: Final = int(os.environ.get("BOUNCES", "20"))
UNKNOWN, FULL, GREY, UNWANTED = COUNT // 5, COUNT // 20, COUNT // 20, max(1, COUNT * 3 // 100)
POSTFIX_CUT_S: Final = 0.8
"""Short enough for TCP, which repeats a packet after a second: an email that Postfix defers is reported as delayed."""
DOVECOT_CUT_S: Final = 1.5
"""Longer than the reader below waits for an answer."""
READER: Final = """
import sys
from functools import partial
from workers.mail_reports import report_mailbox
from workers.mail_reports.report_mailbox import open_mailbox
from workers.mail_reports.report_mailbox_url import MailboxUrl
from workers.mail_reports.take_reports import take_mailbox
from workers.runtime import Runtime
from workers.settings import WorkerSettings

report_mailbox.TIMEOUT_S = 1.0
settings = WorkerSettings.from_environment()
runtime, url = Runtime.build(settings), MailboxUrl.parse(settings.bounce_mailbox_url.get_secret_value())
for _ in sys.stdin:
    take_mailbox(
        lambda: open_mailbox(url), runtime.report_intake, partial(runtime.context, "mailbox", None), lambda: False
    )
"""
COMMAND: Final = """\
#!/bin/sh
# Killed once before it does anything, and once when all is stored and Postfix does not know it. Between the two it is
# `ledger bounces take`, run by the test: the account of this transport may not read the folder of the tests.
mkdir {folder}/before 2>/dev/null && kill -9 $$
cat >{folder}/$$.part && mv {folder}/$$.part {folder}/$$.message
until [ -e {folder}/$$.status ]; do sleep 0.05; done
mkdir {folder}/after 2>/dev/null && kill -9 $$
read status <{folder}/$$.status
rm {folder}/$$.status
exit $status
"""


class Hosts(NamedTuple):
    postfix: Machine
    dovecot: Machine
    recipients: Machine


@pytest.fixture
def hosts(mail_folder: Path) -> Iterator[Hosts]:
    """A network with three machines, which is removed after the test."""
    with closing(Network.open_free()) as network, ExitStack() as ends:
        names = enumerate(Hosts._fields, start=1)
        yield Hosts(*(ends.enter_context(closing(Machine(network, *name, mail_folder))) for name in names))


@contextmanager
def next_server(machine: Machine) -> Iterator[MailServer]:
    """The mail server of the recipients: some mailboxes are unknown, some full, and some answer later."""
    with MailServer(listener=machine.call_inside(partial(create_server, (machine.address, SMTP)))) as server:
        for number in range(COUNT):
            server.at("rcpt", ReplyWith(550, "5.1.1 no such user"), recipient=f"unknown{number}@example.com")
            server.at("rcpt", ReplyWith(552, "5.2.2 mailbox full"), recipient=f"full{number}@example.com")
            server.at("rcpt", ReplyWith(451, "4.7.1 later"), recipient=f"grey{number}@example.com", times=3)
        yield server


def addresses() -> list[str]:
    kinds = [("unknown", UNKNOWN), ("full", FULL), ("grey", GREY), ("unwanted", UNWANTED)]
    named = [f"{kind}{number}@example.com" for kind, count in kinds for number in range(count)]
    return named + [f"good{number}@example.com" for number in range(COUNT - len(named))]


def send_invitations(bench: LedgerBench, settings: WorkerSettings) -> dict[str, UUID]:
    """Redeem a code each, and send what was reserved as a worker does; the reservations by address."""
    ids = {
        address: done(bench.redeem(bench.issue(), address)).require_reservation().reservation_id
        for address in addresses()
    }
    with closing(Runtime.build(settings)) as runtime:
        runtime.invitation_sender.run([*ids.values()], "task", lambda: False)
    assert len(bench.rows("SELECT FROM reservations WHERE status = 'sent'")) == COUNT
    return ids


def complain(hosts: Hosts, host: MailHost, server: MailServer) -> None:
    """Recipients press the button of their mail program: their provider tells it to us, twice, while a link is cut."""
    wait_for(lambda: len(unwanted(server)) == UNWANTED)
    with hosts.postfix.cut(POSTFIX_CUT_S):
        for email in unwanted(server):
            token = email.sender.partition("+")[2].partition("@")[0]
            report = COMPLAINT.format(kind="abuse", token=token).replace("\n", "\r\n").encode()
            hand_in = partial(host.hand_in, "feedback@isp.example", f"bounces@{DOMAIN}", report)
            for _ in range(2):
                hosts.recipients.call_inside(hand_in)


def unwanted(server: MailServer) -> list[ReceivedMessage]:
    """The emails that arrived and that their recipients complain of."""
    return [email for email in server.received if email.recipient.startswith("unwanted")]


def reports_in(bench: LedgerBench) -> Counter[tuple[str, UUID]]:
    events = [decode(topic, bytes(state)) for topic, state in bench.rows("SELECT topic, state FROM ledger_events")]
    return Counter(
        (type(event).__name__, event.reservation_id)
        for event in events
        if isinstance(event, InviteBounced | InviteDelayed | InviteComplained)
    )


def has_reports(bench: LedgerBench, count: int) -> bool:
    return reports_in(bench).total() >= count


def expected_of(ids: Mapping[str, UUID]) -> dict[tuple[str, UUID], int]:
    kinds = {
        "unknown": "InviteBounced",
        "full": "InviteBounced",
        "grey": "InviteDelayed",
        "unwanted": "InviteComplained",
    }
    return {
        (event, reservation_id): 1
        for address, reservation_id in ids.items()
        for kind, event in kinds.items()
        if address.startswith(kind)
    }


def check_everything(bench: LedgerBench, ids: Mapping[str, UUID], look: Callable[[], None] = lambda: None) -> None:
    """Counts are equal, each report is at its email, and the ledger verifies.

    Who does not exist is not written to, nor by their group who complained. `look` has a reader look for reports.
    """
    expected = expected_of(ids)

    def has_expected() -> bool:
        look()
        return reports_in(bench) == expected

    wait_for(has_expected, lambda: reports_in(bench) - Counter(expected))
    suppressed = Counter(row[0] for row in bench.rows("SELECT cause FROM suppressed_addresses"))

    assert suppressed == {"mailbox_unknown": UNKNOWN, "complained": UNWANTED}
    assert len(bench.rows("SELECT FROM cases WHERE closed_at IS NULL")) == UNKNOWN + FULL
    assert refusal(bench.redeem(bench.issue(), "unknown0@example.com")) == "ADDRESS_UNDELIVERABLE"
    assert verify(bench.database_url, timedelta(hours=1), NoProgress(), 10).wrong == 0


@pytest.fixture
def mail_folder(servers_folder: Path, tmp_path: Path) -> Path:
    """A folder that the accounts of mail servers may enter."""
    folder = servers_folder / tmp_path.name
    folder.mkdir(mode=0o755)
    return folder


def settings_to(bench: LedgerBench, host: MailHost, **more: str) -> WorkerSettings:
    shared = settings_for(bench.database_url).model_dump(by_alias=True)
    chosen = {"smtp_url": host.smtp_url, "bounce_address": f"bounces@{DOMAIN}", "REDIS_URL": NO_STREAM, **more}
    return WorkerSettings.model_validate({**shared, **chosen})


class Reader:
    """A process that reads the mailbox whenever it is asked to."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        command = [sys.executable, "-c", READER]
        self._process = subprocess.Popen(command, env=variables, cwd=Path.cwd(), stdin=subprocess.PIPE, bufsize=0)

    def look(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    def wait_for(self, is_done: Callable[[], bool]) -> None:
        """Have it look until something is true."""

        def look_and_ask() -> bool:
            self.look()
            return is_done()

        wait_for(look_and_ask)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


class CommandRunner:
    """Runs `ledger bounces take` for the transport, one process for each message."""

    def __init__(self, bench: LedgerBench, folder: Path) -> None:
        self._folder = folder
        self._variables = environment(settings_for(bench.database_url), folder, NO_STREAM)
        self.answers: list[dict[str, object]] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.command = folder / "take-report"
        self.command.write_text(COMMAND.format(folder=folder))
        self.command.chmod(0o755)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        take = [sys.executable, "-c", "from api.cli.entry import main; main()", "bounces", "take", "--json"]
        while not self._is_over.wait(0.05):
            for message in self._folder.glob("*.message"):
                with message.open("rb") as content:
                    done = subprocess.run(take, env=self._variables, stdin=content, capture_output=True, check=False)
                self.answers += [json.loads(line) for line in done.stdout.splitlines()]
                message.unlink()
                status = message.with_suffix(".status")
                status.with_suffix(".new").write_text(f"{done.returncode}\n")
                status.with_suffix(".new").rename(status)


def test_reports_are_piped_to_the_command(bench: LedgerBench, mail_folder: Path, hosts: Hosts) -> None:
    """Also if it dies before it has begun, or before Postfix knows that all is stored."""
    folder = mail_folder / "command"
    folder.mkdir()
    folder.chmod(0o777)
    reports = {"relay_domains": DOMAIN, "transport_maps": f"inline:{{ bounces@{DOMAIN}=take: }}"}
    with (
        CommandRunner(bench, folder) as runner,
        next_server(hosts.recipients) as server,
        postfix(hosts.postfix, mail_folder / "postfix", hosts.recipients.address, reports, str(runner.command)) as host,
    ):
        ids = send_invitations(bench, settings_to(bench, host))
        complain(hosts, host, server)
        wait_for(lambda: len(server.received) >= COUNT - UNKNOWN - FULL)
        check_everything(bench, ids)
        wait_for(lambda: len(runner.answers) > len(expected_of(ids)) + UNWANTED)

    whys = Counter(answer.get("why", "taken") for answer in runner.answers)
    assert (folder / "before").is_dir()
    assert whys == {"taken": len(expected_of(ids)), "known": len(runner.answers) - len(expected_of(ids))}
    assert whys["known"] > UNWANTED


@pytest.mark.parametrize("scheme", ["imaps", "pop3s"])
def test_reports_are_read_from_a_mailbox(
    bench: LedgerBench, mail_folder: Path, hosts: Hosts, trusted: CA, scheme: str
) -> None:
    """By a reader that is killed twice, and loses its connection; what is no report is set aside, or is gone."""
    mail, account = mail_folder / "mail", pwd.getpwnam(MAIL_ACCOUNT)
    mail.mkdir()
    os.chown(mail, account.pw_uid, account.pw_gid)
    reports = {
        "virtual_mailbox_domains": DOMAIN,
        "virtual_mailbox_base": str(mail),
        "virtual_mailbox_maps": "static:Maildir/",
        "virtual_minimum_uid": "1",
        "virtual_uid_maps": f"static:{account.pw_uid}",
        "virtual_gid_maps": f"static:{account.pw_gid}",
    }
    with ExitStack() as ends:
        server = ends.enter_context(next_server(hosts.recipients))
        relay = postfix(hosts.postfix, mail_folder / "postfix", hosts.recipients.address, reports)
        host = ends.enter_context(relay)
        box = ends.enter_context(dovecot(hosts.dovecot, trusted, mail_folder / "dovecot", mail))
        variables = environment(settings_for(bench.database_url), mail_folder, NO_STREAM)
        variables |= {name: os.environ[name] for name in ("PATH", "SSL_CERT_FILE")}
        variables["LEDGER_BOUNCE_MAILBOX_URL"] = box.mailbox_url(scheme)
        host.hand_in("li@example.com", f"bounces@{DOMAIN}", b"Subject: hello\r\n\r\nIs this a person?\r\n")
        ids = send_invitations(bench, settings_to(bench, host))
        for seen in (1, UNKNOWN // 2):
            reader = Reader(variables)
            reader.wait_for(partial(has_reports, bench, seen))
            reader.kill()
        reader = Reader(variables)
        ends.callback(reader.kill)
        reader.look()
        with hosts.dovecot.cut(DOVECOT_CUT_S):
            complain(hosts, host, server)
        wait_for(lambda: len(server.received) >= COUNT - UNKNOWN - FULL)
        check_everything(bench, ids, reader.look)
        reader.wait_for(lambda: not [*mail.glob("Maildir/new/*"), *mail.glob("Maildir/cur/*")])
        assert len([*mail.glob("Maildir/.Unrecognized/*/*")]) == (1 if scheme == "imaps" else 0)
