"""Least privilege on a real server: what the runtime role can't do, and the error of an owner without rights."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import tuple_row

from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key, revoke_key
from api.use_cases.administration.staff_accounts import NOTHING_LOST, remove_staff, set_staff_role
from api.use_cases.administration.staff_links import (
    choose_password,
    find_link,
    invite_staff,
    repeat_invitation,
    reset_password,
)
from api.use_cases.privacy.erase_person import PersonErasure
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.manage_hand_out import CreateHandOut
from domain.ports import Rejected
from domain.results import HandOutResult
from domain.values.identifiers import EmailAddress, generate_code
from projections.database.connection import connect
from projections.database.errors import RolesMissingError
from projections.database.migrations import migrate
from projections.database.roles import (
    ACCESS,
    APPEND_ONLY,
    VAULT,
    check_owner,
    eraser_role_of,
    list_roles_that_may_change_log,
    owns_schema,
    prepare_roles,
)
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.hand_outs.opened_codes import insert_opened_code
from projections.privacy.address_retention import AddressRetention
from projections.privacy.erasure import ErasedIdsFile
from projections.privacy.key_rotation import KeyRotation
from projections.repositories.audit_log import OPERATOR, AuditLog
from projections.repositories.audit_reader import AuditReader
from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.staff_accounts import LastAdminError
from projections.repositories.webhook_deliveries import WebhookDeliveryRepository
from projections.repositories.webhook_endpoints import WebhookEndpointRepository
from projections.repositories.webhook_secrets import WebhookSecretRepository, delete_expired
from projections.storage.bootstrap import LedgerStore
from projections.verification.verify import verify
from tests.integration.projections.privacy.test_key_rotation import ringed
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, read_models, rebuilt
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import execute
from workers.channels.registry import channel_kinds

PASSWORD = "running-only"
REFUSED = Rejected(server="mx:25", reason="temporary", final=False, reply_code=451, reply="busy")


@pytest.fixture
def running(database_url: str) -> Iterator[str]:
    """The same database as a role of its own, with its rights."""
    role = f"run_{uuid4().hex[:12]}"
    url = as_role(database_url, role, PASSWORD)
    migrate(database_url, url)
    yield url
    for name in (role, eraser_role_of(role)):
        execute(database_url, f"GRANT {name} TO CURRENT_USER WITH INHERIT TRUE")
        execute(database_url, f"DROP OWNED BY {name}")
    for name in (role, eraser_role_of(role)):
        execute(database_url, f"DROP ROLE {name}")


def as_role(url: str, role: str, password: str) -> str:
    return f"postgresql://{role}:{password}@{url.partition('@')[2]}"


def role_of(url: str) -> str:
    return url.partition("://")[2].partition(":")[0]


def test_whole_history_runs_with_few_rights(running: str, database_url: str) -> None:
    """Redeems, attempts, refunds, cases and verifying, all as the running role; a rebuild keeps its rights."""
    with LedgerStore.open(settings_for(running)) as storage:
        bench = LedgerBench(storage, database_url)
        history = RandomHistory(bench, seed=4)
        history.go_on(60)
        before = read_models(bench)
        rebuilt(bench, apply=True)
        history.go_on(20)

        assert before["reservations"]
        assert list_roles_that_may_change_log(running) == []
    assert verify(running, timedelta(days=9), NoProgress(), 10).wrong == 0


@pytest.mark.parametrize("table", [*APPEND_ONLY, *VAULT])
def test_appended_leaves_stay(running: str, database_url: str, table: str) -> None:
    """UPDATE, DELETE and TRUNCATE are refused by privilege, before any trigger has to."""
    with psycopg.connect(database_url) as conn:
        column = conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 2", (table,)
        ).fetchall()[0][0]
    with psycopg.connect(running, autocommit=True) as conn:
        for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"):  # noqa: S608 - names from the code
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table"):
                conn.execute(statement.encode())
        conn.execute(f"SELECT FROM {table}".encode())


@pytest.mark.parametrize("table", ACCESS)
def test_running_role_writes_no_accounts_and_keys_except_as_the_third_role(running: str, table: str) -> None:
    """An injected statement makes no viewer an admin and brings no revoked key back; nothing is ever deleted."""
    column = {"staff": "role", "api_keys": "revoked_at"}[table]
    name, role = sql.Identifier(table), sql.Identifier(eraser_role_of(role_of(running)))
    change, insert, delete, truncate = (
        sql.SQL(statement).format(name, sql.Identifier(column))
        for statement in (
            "UPDATE {0} SET {1} = {1}",
            "INSERT INTO {0} DEFAULT VALUES",
            "DELETE FROM {0}",
            "TRUNCATE {0}",
        )
    )
    with psycopg.connect(running, autocommit=True) as conn:
        for statement in (change, insert, delete, truncate):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table"):
                conn.execute(statement)
        conn.execute(sql.SQL("SELECT FROM {}").format(name))
        with conn.transaction():
            conn.execute(sql.SQL("SET LOCAL ROLE {}").format(role))
            conn.execute(change)
        conn.execute(sql.SQL("SET ROLE {}").format(role))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(delete)


def test_accounts_and_keys_are_managed_with_few_rights(running: str) -> None:
    """All use cases work as the running role, each with its line in the audit log."""
    with LedgerStore.open(settings_for(running)) as storage:
        action = AuditLog(storage, OPERATOR, storage.recorder.clock.now(), uuid4)
        people = [EmailAddress.parse(f"{name}@staff.example.com") for name in ("admin", "viewer")]
        invited = [invite_staff(action, storage.vault.draft_staff(one, uuid4()), "admin") for one in people]
        links = [link for link in invited if link is not None]
        first, second = (link.staff_id for link in links)
        repeated = repeat_invitation(action, second)
        assert repeated
        state, stored_link = find_link(storage, repeated.token, action.now)
        assert stored_link
        changes = [
            choose_password(action, stored_link, repeated.digest, "hash"),
            set_staff_role(action, second, "viewer"),
            reset_password(action, second, "lost") is not None,
            remove_staff(action, second, "left"),
        ]
        with pytest.raises(LastAdminError):
            set_staff_role(action, first, "viewer")
        key_id = uuid4()
        secret, revoked = (
            create_api_key(action, ApiKeyRequest("k", "viewer", (), None), key_id),
            revoke_key(action, key_id, "leaked"),
        )
        acts = [line.action for line in AuditReader(storage).list_page(99)][::-1]

    assert (state, changes) == ("open", [True, NOTHING_LOST, True, NOTHING_LOST])
    assert (secret or "").startswith("rl_")
    assert revoked
    assert acts == [
        *("added_staff", "added_staff", "repeated_invitation", "accepted_invitation", "changed_role"),
        *("reset_password", "removed_staff", "made_key", "revoked_key"),
    ]


def test_running_role_makes_nothing_and_waits_for_nothing(running: str) -> None:
    """No table, no role, no change of the schema; statements, locks and idle transactions have their bounds."""
    with psycopg.connect(running, autocommit=True) as conn:
        for statement in (b"CREATE TABLE mine ()", b"CREATE ROLE mine", b"DROP TABLE reservations"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(statement)
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        bounds = [conn.execute("SELECT current_setting(%s)", (name,)).fetchall()[0][0] for name in names]

    assert bounds == ["15s", "10s", "30s"]


def test_every_connection_has_its_bounds(running: str, database_url: str) -> None:
    """Of the pool and alone, as the running role and as the owner: statements, locks and idle transactions end."""
    query = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting(%s)"
    with (
        LedgerStore.open(settings_for(running)) as storage,
        storage.datastore.get_connection() as pooled,
        connect(running) as single,
        connect(database_url) as owner,
    ):
        cursors = [conn.cursor(row_factory=tuple_row) for conn in (pooled, single, owner)]
        timeouts = [cursor.execute(query, ("idle_in_transaction_session_timeout",)).fetchone() for cursor in cursors]

    assert timeouts == [("15s", "10s", "30s")] * 3


def test_only_the_forgetting_role_drops_rows_of_the_vault(running: str, bench: LedgerBench) -> None:
    """The running role becomes it for one transaction, and is itself again afterwards; events stay out of reach."""
    done(bench.redeem(bench.issue(), "li.wei@example.com"))
    with psycopg.connect(running, autocommit=True) as conn:
        with conn.transaction():
            conn.execute(f"SET LOCAL ROLE {eraser_role_of(role_of(running))}".encode())
            assert conn.execute("DELETE FROM recipients").rowcount == 1
        conn.execute(f"SET ROLE {eraser_role_of(role_of(running))}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM ledger_events")
        conn.execute("RESET ROLE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM recipients")


def test_recipient_is_erased_and_keys_rotate_with_few_rights(running: str, tmp_path: Path) -> None:
    """Both as the running role, which becomes the forgetting one where it must; afterwards it can still do neither."""
    with LedgerStore.open(settings_for(running)) as storage:
        bench = LedgerBench(storage, running)
        code = bench.issue(2, bound=False)
        for name in ("li.wei", "wang.fang"):
            bench.attempt(done(bench.redeem(code, f"{name}@example.com")).require_reservation().reservation_id, REFUSED)
        forgetting_one = PersonErasure(
            storage, ErasedIdsFile(tmp_path / "forgotten.jsonl"), lambda: bench.context("operator"), uuid4
        )
        forgotten = forgetting_one.forget(EmailAddress.parse("li.wei@example.com"))
    with LedgerStore.open(ringed(running)) as storage:
        rewritten = sum(KeyRotation(storage).run())
        left = KeyRotation(storage).count_remaining()

    assert (len(forgotten.recipient_ids), forgotten.closed) == (1, 1)
    assert (rewritten, left) == (3, 0)  # the code, who is left, and what the mail server said of them
    assert list_roles_that_may_change_log(running) == []
    with psycopg.connect(running, autocommit=True) as conn:
        assert conn.execute("SELECT count(*), min(key_id) / 2 FROM recipients").fetchall() == [(1, 1)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE recipients SET key_id = 1")


def test_addresses_past_their_retention_are_erased_with_few_rights(running: str) -> None:
    """Two people in one transaction, with its entry in the audit log."""
    with LedgerStore.open(settings_for(running)) as storage:
        bench = LedgerBench(storage, running)
        for name in ("li.wei", "wang.fang"):
            reservation = done(bench.redeem(bench.issue(), f"{name}@example.com")).require_reservation()
            bench.attempt(reservation.reservation_id)
        retention = AddressRetention(storage, 1, uuid4)
        erased = retention.erase_due(bench.context().now + timedelta(days=2), lambda: False)

    assert (erased, bench.rows("SELECT act FROM audit")) == (2, [("erased_unaccepted",)])
    assert list_roles_that_may_change_log(running) == []


def test_hand_out_runs_with_few_rights(running: str) -> None:
    """A list with variables is stored, its rows are leased and end, a form is opened, and staff ask for an email."""
    with LedgerStore.open(settings_for(running)) as storage:
        bench = LedgerBench(storage, running)
        campaign_id, hand_out_id, now = bench.create_campaign(), uuid4(), bench.context().now
        create = CreateHandOut(
            context=bench.context("staff"),
            campaign_id=campaign_id,
            hand_out_id=hand_out_id,
            name="Newsletter",
            terms=make_terms(),
        )
        assert isinstance(storage.ledger.execute_one(create), HandOutResult)
        lists, queue = HandOutLists(storage, uuid4, uuid4), HandOutQueue(storage)
        upload = lists.begin(hand_out_id, campaign_id, now)
        added = lists.add(upload, [ListRow(EmailAddress.parse("li@example.com"), "en", {"name": "Li"})], now)
        lists.end(upload, now)
        (row,) = queue.take(now, 10)
        text = generate_code(bench.random_source)
        bench.run(
            IssueCode(
                context=bench.context("worker"),
                code_id=row.code_id,
                text=storage.vault.draft_code(text, row.code_id),
                terms=make_terms(),
                bound=True,
                campaign_id=campaign_id,
                handed_out=HandOutPlace(hand_out_id, row.recipient_id),
            )
        )
        queue.finish([row.end(None)])
        insert_opened_code(storage, storage.vault.compute_digests("code", text))
        asked = queue.ask(hand_out_id, row.code_id, now)

    assert (added, dict(row.variables), asked) == ([True], {"name": "Li"}, True)
    with psycopg.connect(running, autocommit=True) as conn:
        assert conn.execute("SELECT count(*) FROM opened_codes").fetchone() == (1,)


def test_secrets_of_webhooks_are_made_and_dropped_with_few_rights(running: str) -> None:
    """Dropping one takes its text out of the vault, which the running role may not do as itself."""
    with LedgerStore.open(settings_for(running)) as storage:
        repository, now = GroupChannelRepository(storage), storage.recorder.clock.now()
        channel_id, secret = repository.enable(
            "design", channel_kinds()["webhook"], {"url": "https://team.example.com/"}, (uuid4(), uuid4()), now
        )
        newest = WebhookSecretRepository(storage).rotate(channel_id, uuid4(), now)

        assert WebhookSecretRepository(storage).list_valid_texts(channel_id, now) == (newest, secret)
        assert delete_expired(storage, now + timedelta(days=2)) == 1
        assert WebhookSecretRepository(storage).list_valid_texts(channel_id, now) == (newest,)
        WebhookEndpointRepository(storage).insert(uuid4(), "https://bi.example.com/", (), 1, uuid4(), now)
        assert WebhookDeliveryRepository(storage).delete_expired(now, now, 10) == 0


def test_rights_follow_the_schema(running: str, database_url: str) -> None:
    """A table that is added has its rights after the next migrate, a right that was added manually is removed."""
    execute(database_url, "CREATE TABLE added (n bigserial PRIMARY KEY, word text)")
    execute(database_url, f"GRANT UPDATE ON ledger_events TO {role_of(running)}")

    migrate(database_url, running)

    with psycopg.connect(running, autocommit=True) as conn:
        assert conn.execute("INSERT INTO added (word) VALUES ('x')").rowcount == 1
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE ledger_events SET topic = topic")


def test_new_password_is_set_and_the_owner_may_run_itself(running: str, database_url: str) -> None:
    changed = as_role(database_url, role_of(running), "another-one")

    prepare_roles(database_url, changed)
    prepare_roles(database_url, database_url)

    psycopg.connect(changed).close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(running)


def test_owner_commands_name_the_remedy_when_run_as_the_runtime_role(running: str, database_url: str) -> None:
    check_owner(database_url)
    assert owns_schema(database_url)
    assert not owns_schema(running)
    with pytest.raises(RolesMissingError, match=r"LEDGER_OWNER_DATABASE_URL .*docker compose run --rm migrate"):
        check_owner(running)


def test_owner_without_the_right_gets_the_statement_to_run(running: str, database_url: str) -> None:
    """CREATE ROLE is named; so is a password that the owner may not set."""
    owner = f"owner_{uuid4().hex[:12]}"
    execute(database_url, f"CREATE ROLE {owner} LOGIN PASSWORD 'owner'")
    poor = as_role(database_url, owner, "owner")
    try:
        with pytest.raises(RolesMissingError, match=r"CREATE ROLE nobody_yet LOGIN PASSWORD '\.\.\.'; CREATE ROLE"):
            prepare_roles(poor, as_role(database_url, "nobody_yet", PASSWORD))
    finally:
        execute(database_url, f"DROP ROLE {owner}")
    assert running
