"""What commands are given when a test runs all of them."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.ports import OutcomeUnknown
from domain.values.identifiers import EmailAddress
from domain.values.mail.mail_token import MailRef, mail_token
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from tests.support.clients.terminal import Terminal
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import clone, database_of
from tests.unit.workers.mail_reports.reports import status_report
from workers.maintenance.log_follower import update_log

LOST: Final = OutcomeUnknown(server="mx:25", cause="connection_lost")
WHOLE_TIME: Final = ("--from", "2020-01-01", "--to", "2035-01-01")
PERSON: Final = "li.wei@example.com"

Arguments = tuple[str, ...]


@dataclass
class PreparedLedger:
    """A ledger with something for commands to act on."""

    bench: LedgerBench
    terminal: Terminal
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    postgres_url: str
    copies: list[str] = field(default_factory=list)

    def group_of_code(self) -> str:
        group = f"g{uuid4().hex}"
        self.bench.issue(group=group)
        return f"group:{group}"

    def code(self) -> str:
        text = self.bench.issue(9, bound=False)
        return str(self.bench.reader.find_code(text))

    def reserved(self, email: str | None = None) -> str:
        result = done(self.bench.redeem(self.bench.issue(9), email or f"{uuid4().hex}@example.com"))
        return str(result.require_reservation().reservation_id)

    def code_with_reservation(self) -> str:
        text = self.bench.issue()
        done(self.bench.redeem(text, f"{uuid4().hex}@example.com"))
        return str(self.bench.reader.find_code(text))

    def sent(self) -> str:
        self.bench.attempt(UUID(reservation := self.reserved()))
        return reservation

    def report_of(self, reservation: str) -> str:
        secret = settings_for(self.bench.database_url).secret_key.get_secret_value().encode()
        ref = MailRef("invite", UUID(reservation), 1)
        token = mail_token(secret, ref, self.bench.storage.recorder.clock.now())
        return self.file(status_report(token=token).decode())

    def proven(self) -> str:
        reservation = self.sent()
        assert update_log(self.bench.storage, self.bench.storage.recorder.clock.now(), None)
        return reservation

    def unknown(self) -> str:
        self.bench.attempt(UUID(reservation := self.reserved()), LOST)
        return reservation

    def campaign(self) -> str:
        return str(self.bench.create_campaign())

    def waiting(self) -> Arguments:
        campaign_id = self.bench.create_campaign(max_uses=1, waiting_hours=24)
        code = self.bench.issue(9, bound=False, campaign_id=campaign_id)
        self.bench.redeem(code, "first@example.com")
        join = JoinWaitingList(redeem=self.bench.reserve(code, "second@example.com"))
        self.bench.storage.ledger.execute_one(join)
        return str(campaign_id), str(join.redeem.reservation_id)

    def paused(self, words: str, subject: str) -> str:
        assert self.terminal.ledger(*words.split(), "pause", subject).status == 0
        return subject

    def relay(self) -> str:
        row = """INSERT INTO relays (name, target, target_id, position, holder_id, holder, leased_until)
            VALUES ('orders', '', '', 0, gen_random_uuid(), '', now()) RETURNING name"""
        return str(self.bench.rows(row)[0][0])

    def proposal(self) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LEDGER_APPROVALS", "erase_person")
            self.terminal.ledger("forget", f"{uuid4().hex}@example.com")
        return str(self.terminal.ledger("approvals", "list", "--json").json[-1]["id"])

    def hand_out(self) -> str:
        created = self.terminal.ledger("hand-out", "create", self.campaign(), "Newsletter", "--json")
        return str(created.json["id"])

    def listed(self) -> Arguments:
        hand_out = self.hand_out()
        assert (
            self.terminal.ledger("hand-out", "add", hand_out, self.file("email\na@example.com\n"), "--apply").status
            == 0
        )
        (person,) = self.terminal.ledger("hand-out", "recipients", hand_out, "--json").json
        return hand_out, str(person["code_id"])

    def free_code(self) -> Arguments:
        hand_out = self.hand_out()
        query = "SELECT campaign_id FROM hand_outs WHERE hand_out_id = %s"
        return hand_out, self.bench.issue(campaign_id=self.bench.rows(query, hand_out)[0][0]), PERSON

    def handed_out(self) -> Arguments:
        hand_out, code = self.listed()
        self.bench.hand_out_code(UUID(code))
        return hand_out, code

    def staff(self, *more: str) -> Arguments:
        email = f"{uuid4().hex}@staff.example.com"
        for address, role in ((f"{uuid4().hex}@staff.example.com", "admin"), (email, "viewer")):
            assert self.terminal.ledger("staff", "add", address, "--role", role).status == 0
        return email, *more

    def staff_with_password(self) -> Arguments:
        (email,) = self.staff()
        with psycopg.connect(self.bench.database_url) as conn:
            conn.execute("UPDATE staff_links SET ended_at = now(), ended_how = 'used' WHERE ended_at IS NULL")
            conn.execute("UPDATE staff SET password_hash = 'not empty' WHERE password_hash = ''")
        return (email,)

    def staff_with_factor(self) -> Arguments:
        (email,) = self.staff()
        bench = self.bench
        account = StaffSessionRepository(bench.storage).find_credentials(EmailAddress.parse(email))
        assert account is not None
        factor = NewFactor(uuid4(), "totp", FactorContent(account.staff_id, "Phone", secret="JBSWY3DPEHPK3PXP"), 0)
        assert StaffFactorRepository(bench.storage).insert(factor, bench.storage.recorder.clock.now())
        return (email,)

    def staff_with_provider(self) -> Arguments:
        provider = {"ISSUER": "https://id.example.com", "CLIENT_ID": "ledger", "ROLES": "admins=admin"}
        for name, value in provider.items():
            self.monkeypatch.setenv(f"LEDGER_OIDC_{name}", value)
        return self.staff(uuid4().hex)

    def key(self) -> str:
        return str(self.terminal.ledger("key", "create", "reports", "--role", "viewer", "--json").json["id"])

    def file(self, text: str) -> str:
        path = self.folder / f"{uuid4().hex}.csv"
        path.write_text(text, "utf-8")
        return str(path)

    def output(self) -> Arguments:
        return "--output", str(self.folder / uuid4().hex)

    def old_system(self) -> str:
        return old.sqlite(self.folder / f"{uuid4().hex}.db", [old.code(1, "MOVED-1", used_count=0)], [])

    def new_key(self) -> Arguments:
        """Put another master key in front."""
        used = self.bench.rows("SELECT count(*) FROM audit WHERE act = 'rotated_keys'")[0][0]
        self.monkeypatch.setenv(
            "LEDGER_MASTER_KEYS", f"{used + 2}:{'BCD'[used] * 43}=,{os.environ['LEDGER_MASTER_KEYS']}"
        )
        return ()

    def exported(self, what: str) -> Arguments:
        """A file with the events or the vault."""
        _, path = self.output()
        assert self.terminal.ledger("export", what, "--output", path).status == 0
        return (path,)

    def backup(self) -> Arguments:
        """A backup, and an empty place to restore it to."""
        folder, (_, keys) = self.folder / uuid4().hex, self.output()
        assert self.terminal.ledger("backup", str(folder)).status == 0
        assert self.terminal.ledger("keys", "export", "--output", keys).status == 0
        return str(folder), "--keys", keys, "--into", str(self.folder / uuid4().hex)

    def empty_database(self) -> None:
        """Continue with an empty database."""
        self.copies.append(f"test_{uuid4().hex}")
        clone(self.postgres_url, self.copies[-1])
        self.monkeypatch.setenv("DATABASE_URL", database_of(self.postgres_url, self.copies[-1]))

    def moved_events(self) -> Arguments:
        """The events, and an empty database for them."""
        events = self.exported("events")
        self.empty_database()
        return events

    def moved_vault(self) -> Arguments:
        """The vault, and a database with the events only."""
        vault = self.exported("vault")
        assert self.terminal.ledger("import-events", *self.moved_events()).status == 0
        return vault
