"""Reports from a real streaming standby: what it lacks is bounded and shown, and decisions never come from it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.auth.session_cookies import COOKIE
from api.cli.doctor.standby import check_standby
from api.cli.embedded.services.postgres import OWNER
from api.cli.report_source import open_report_store
from projections.database.migrations import migrate
from projections.read_models.code_list import CodeListReader
from projections.read_models.pagination import OLDEST
from projections.read_models.statement_export import read_statement_lines
from projections.sql.database import DatabaseSql
from tests.support.clients.app_client import AppClient
from tests.support.clients.assistant import ask, over_http
from tests.support.clients.in_process_app import settings_over, started
from tests.support.clients.role_clients import RoleClients
from tests.support.ledger.code_template import make_template
from tests.support.servers.postgres_clusters import PostgresCluster, server
from tests.support.waiting import WAIT_S_MAX, wait_for

pytestmark = pytest.mark.night(of="failover")

LAG_S_MAX = 8.0
FEED = "/api/v1/events"
HEADER = "ledger-read-lag"


@dataclass
class Pair:
    app: AppClient
    roles: RoleClients
    standby: PostgresCluster

    def run_on_standby(self, statement: str) -> None:
        with psycopg.connect(self.standby.url, autocommit=True) as conn:
            conn.execute(statement.encode())

    def newest_of_standby(self) -> int:
        with psycopg.connect(self.standby.url) as conn:
            return int(conn.execute("SELECT max(notification_id) FROM ledger_events").fetchall()[0][0])

    def demand_confirmation_from(self, name: str) -> None:
        """Let commits of the primary wait for a standby of this name; an empty one ends the wait."""
        with psycopg.connect(self.app.services.storage.datastore.url, autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'".encode())
            conn.execute("SELECT pg_reload_conf()")

    def read_feed(self) -> tuple[set[str], str | None]:
        """Reservations of the feed, and the lag that it admits."""
        answer = self.roles.ask("GET", f"{FEED}?limit=1000", headers=self.roles.keys["viewer"])
        assert answer.status_code == 200, answer.text
        return {str(event["reservation_id"]) for event in answer.json()["events"]}, answer.headers.get(HEADER)

    def redeem(self, name: str) -> str:
        code = self.app.issue(make_template(max_uses=1))
        return str(self.app.redeem(code, f"{name}@example.com").json()["reservation_id"])

    def dashboard(self, language: str) -> str:
        cookie = self.roles.cookie(self.roles.staff["viewer"])
        headers = {"accept": "text/html", "accept-language": language, "cookie": f"{COOKIE}={cookie}"}
        return self.roles.ask("GET", "/support/dashboard", headers=headers).text

    @staticmethod
    def wait(read_value: Callable[[], Any]) -> None:
        wait_for(read_value)


@pytest.fixture(scope="module")
def pair(memory_folder: Path) -> Iterator[Pair]:
    folder = memory_folder / "standby-reads"
    folder.mkdir()
    folder.chmod(0o711)
    with server(folder / "one") as primary, pytest.MonkeyPatch.context() as patch:
        # Pausing the replay needs a superuser.
        single = ("--single", "-D", str(primary.postgres_files.data), "-c", "exit_on_error=on", "postgres")
        primary.run("postgres", *single, stdin=f"ALTER ROLE {OWNER} SUPERUSER;\n")
        primary.configure(fsync="off")
        primary.start()
        migrate(primary.url)
        standby = primary.copy_of(folder / "two", is_standby=True)
        standby.start()
        patch.setenv("LEDGER_READ_DATABASE_URL", standby.url)
        patch.setenv("LEDGER_READ_LAG_S_MAX", str(LAG_S_MAX))
        try:
            with started(settings_over(primary.url, patch, folder)) as app:
                yield Pair(app, RoleClients(app), standby)
        finally:
            standby.kill()


def test_reports_come_from_a_recent_standby_and_say_how_old_they_may_be(pair: Pair) -> None:
    """The feed by a header, the dashboard in words, the metric and doctor by a number."""
    reservation_id = pair.redeem("first")
    pair.wait(lambda: pair.read_feed()[1] is not None and reservation_id in pair.read_feed()[0])

    lag = pair.read_feed()[1]
    assert lag is not None
    assert 0.0 <= float(lag) <= LAG_S_MAX
    assert "at most" in pair.dashboard("en")
    assert "数据来自数据库备库" in pair.dashboard("zh")
    assert "ledger_read_lag_seconds" in pair.app.client.get("/metrics").text
    assert [result.status for result in check_standby(pair.app.services.settings)] == ["ok"]


def test_paused_standby_answers_within_the_bound_and_the_primary_beyond_it(pair: Pair) -> None:
    """A redeem in the meantime is decided by the primary, and is in the feed once the standby is too old."""
    pair.wait(lambda: pair.read_feed()[1] is not None)
    code = pair.app.issue(make_template(max_uses=1))
    with pair.app.services.reports.read_everything().get_connection() as conn:
        conn.execute("SELECT 1")  # the standby has the code
    pair.run_on_standby("SELECT pg_wal_replay_pause()")
    try:
        reservation_id = str(pair.app.redeem(code, "second@example.com").json()["reservation_id"])
        ids, lag = pair.read_feed()
        assert (reservation_id in ids, lag is None) == (False, False)
        assert pair.app.redeem(code, "third@example.com").json()["code"] == "CODE_HELD"
        assert seconds_until_primary(pair) <= LAG_S_MAX + 1
        assert reservation_id in pair.read_feed()[0]
        assert "from the primary" in pair.dashboard("en")
        assert [result.status for result in check_standby(pair.app.services.settings)] == ["wrong"]
    finally:
        pair.run_on_standby("SELECT pg_wal_replay_resume()")
    pair.wait(lambda: pair.read_feed()[1] is not None)
    assert reservation_id in pair.read_feed()[0]


def test_answer_of_a_tool_has_every_event_up_to_its_position(pair: Pair) -> None:
    """From the standby once it has caught up, from the primary if it does not in time: an assistant cites positions."""
    connect = over_http(pair.app, pair.app.key("admin"))
    code_id = str(pair.app.services.reader.find_code(pair.app.issue()))

    def read_log() -> tuple[int, int, str]:
        answer = ask(connect, "events_list_events", code_id=code_id).structured_content
        return answer["answer"]["events"][-1]["position"], answer["log"]["position"], answer["log"]["answered_by"]

    assert read_log()[:2] == (pair.newest_of_standby(),) * 2
    pair.wait(lambda: read_log()[2] == "standby")
    pair.run_on_standby("SELECT pg_wal_replay_pause()")
    try:
        lacking = pair.newest_of_standby()
        pause = pair.app.client.post(f"/api/v1/codes/{code_id}/pause", headers=pair.app.key("admin"))
        assert pause.status_code < 300
        assert read_log() == (lacking + 1, lacking + 1, "primary")
    finally:
        pair.run_on_standby("SELECT pg_wal_replay_resume()")
    pair.wait(lambda: read_log() == (lacking + 1, lacking + 1, "standby"))


def seconds_until_primary(pair: Pair) -> float:
    """Ask until the primary answers; give when the last request was sent that the paused standby answered."""
    sent_at = [time.monotonic()] * 2

    def has_primary_answered() -> bool:
        sent_at.append(time.monotonic())
        return pair.read_feed()[1] is None

    wait_for(has_primary_answered)
    return sent_at[-2] - sent_at[0]


def test_feed_leaves_out_a_commit_that_the_primary_has_not_acknowledged(pair: Pair) -> None:
    """The standby replays it at once, and a failover to another one discards it: readers must not have seen it."""
    code = pair.app.issue(make_template(max_uses=1))
    with pair.app.services.reports.read_everything().get_connection() as conn:
        conn.execute("SELECT 1")  # the standby has the code
    pair.wait(lambda: pair.read_feed()[1] is not None)
    before = pair.read_feed()[0]
    pair.demand_confirmation_from("nobody")
    try:
        with ThreadPoolExecutor(1) as thread:
            newest = pair.newest_of_standby()
            waiting = thread.submit(pair.app.redeem, code, "fourth@example.com")
            pair.wait(lambda: pair.newest_of_standby() > newest)
            during, lag = pair.read_feed()
            pair.demand_confirmation_from("")
            reservation_id = str(waiting.result(WAIT_S_MAX).json()["reservation_id"])
    finally:
        pair.demand_confirmation_from("")

    assert lag is not None
    assert (during, reservation_id in during) == (before, False)
    pair.wait(lambda: reservation_id in pair.read_feed()[0])


def test_exports_hold_everything_acknowledged_before_them(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    """From the standby once it has caught up, from the primary if it does not in time."""
    settings = pair.app.services.settings

    def count() -> int:
        with open_report_store(settings, pair.app.services.storage.vault) as store:
            return len(CodeListReader(store).list_balances(OLDEST, 1000))

    def count_by_page() -> int:
        return len(CodeListReader(pair.app.services.reports.read_everything()).list_balances(OLDEST, 1000))

    before = count()
    pair.app.issue()
    assert count_by_page() == count() == before + 1
    assert "reading from the standby" in capsys.readouterr().err
    with open_report_store(settings, pair.app.services.storage.vault) as store:
        lines = list(read_statement_lines(store.connection, lambda _count: None))
    assert len({line.stream_id for line in lines}) == before + 1
    pair.run_on_standby("SELECT pg_wal_replay_pause()")
    try:
        pair.app.issue()
        assert count_by_page() == count() == before + 2
        assert "reading from the primary" in capsys.readouterr().err
    finally:
        pair.run_on_standby("SELECT pg_wal_replay_resume()")


def test_runtime_role_may_measure_the_lag(pair: Pair) -> None:
    """It needs no right that an ordinary role lacks."""
    with psycopg.connect(pair.app.services.storage.datastore.url, autocommit=True) as conn:
        conn.execute("CREATE ROLE somebody")
        conn.execute("SET ROLE somebody")
        conn.execute(DatabaseSql.primary_position)
        assert conn.execute(DatabaseSql.standby_position).fetchall()[0][0] is False


def test_primary_answers_reports_after_the_standby_became_another_history_or_died(pair: Pair) -> None:
    """A promoted server has commits that the primary lacks, so it is not asked although it is ahead."""
    pair.wait(lambda: pair.read_feed()[1] is not None)
    pair.standby.promote()
    pair.wait(lambda: pair.read_feed()[1] is None)
    assert [result.status for result in check_standby(pair.app.services.settings)] == ["wrong"]

    pair.standby.kill()
    reservation_id = pair.redeem("last")
    assert reservation_id in pair.read_feed()[0]
