"""What must hold of backups, restores and rollbacks of the composed ledger: the commands of the guides."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.acceptance_compose.compose import Compose, FailedError, ensure, wait
from tests.acceptance_compose.people import RedeemRecord
from tests.acceptance_compose.steps import SERVED_S_MAX

PASSPHRASE: Final = "only for the acceptance test"
ERASED: Final = "erased@example.com"
LEDGER_UID: Final = 10001
"""User of the image."""
DUMP: Final = "/tmp/before.dump"  # noqa: S108 - of the container
BACKUP_S_MAX: Final = 120.0
RECEIVED: Final = "SELECT bool_or(flush_lsn >= '{lsn}'::pg_lsn) FROM pg_stat_replication"


def a_lost_host_is_restored(compose: Compose, folder: Path) -> str:
    """Backed up by the service `backup`; every container and volume is lost; back with what was received."""
    with _backed_up(compose, folder / "backups"):
        people = RedeemRecord(compose)
        code = compose.ledger("issue", "--max-uses", "unlimited", "--open")[0]["code"]
        people.click_patiently(code)
        ensure(people.click(code, ERASED).status == 202, "a redeem")
        wait(people.all_are_served, SERVED_S_MAX, "everybody has one mail")
        del people.promised[ERASED]
        before_erasure = datetime.now(UTC).isoformat()
        compose("exec", "-T", "backend", "ledger", "forget", ERASED, "--reason", "asked")
        last, _ = people.click_patiently(code)
        wait(people.all_are_served, SERVED_S_MAX, "everybody has one mail")
        history = compose.ledger("history", code)
        wait((folder / "backups/forgotten.jsonl").exists, 60, "the list of erased people")
        _wait_until_received(compose)
        _lose_host(compose)

        began = time.monotonic()
        lines = compose("run", "--rm", "--build", "restore").splitlines()
        restored = next(line for line in lines if line.startswith("restored "))
        compose.up()
        seconds = time.monotonic() - began
        ensure(compose.ledger("history", code) == history, "the history is another")
        again = people.click(code, last)
        ensure((again.status, again.json()["state"]) == (200, "sent"), f"{again.status} {again.body!r}")
        ensure(_count_people(compose) == len(people.promised), "an erased person is back")
        _verify(compose)
        doctor = {check["name"]: check for check in compose.ledger("doctor")["checks"]}
        ensure(doctor["backup"]["status"] == "ok", f"{doctor['backup']}")

        _lose_host(compose)
        compose("run", "--rm", "restore", "--until", before_erasure)
        compose.up()
        used = compose.ledger("history", code)["used_count"]
        ensure(used == history["used_count"] - 1, f"at {before_erasure}: used {used}")
        ensure(_count_people(compose) == len(people.promised) - 1, "an erased person is back")
        _verify(compose)
        _refuse_living(compose)
        compose("down", "--volumes")
    return f"{restored}, serving again after {seconds:.0f} s; and as of {before_erasure}"


def a_rollback_restores_the_dump(compose: Compose, previous: str) -> str:
    """Upgrade, then back by the commands of the guide for a release that brought migrations."""
    compose("down", "--volumes")
    new, compose.image = compose.image, previous
    try:
        compose.up("--no-build")
        people = RedeemRecord(compose)
        code = compose.ledger("issue", "--max-uses", "5")[0]["code"]
        people.click_patiently(code)
        wait(people.all_are_served, SERVED_S_MAX, "the mail")
        history = compose.ledger("history", code)
        compose("stop", "celery_beat")  # nothing changes from here on
        position = _ask(compose, "SELECT max(notification_id) FROM ledger_events")
        compose("exec", "-T", "db", "pg_dump", "-U", "ledger", "-Fc", "-f", DUMP, "ledger")
        compose.image = new
        compose.up("--no-build")
        # Docker calls a stopped container unhealthy, and `up --wait` may see that of one that it is replacing.
        compose("rm", "--stop", "--force", "frontend", "backend", "celery_worker", "celery_beat")
        ensure(_ask(compose, "SELECT max(notification_id) FROM ledger_events") == position, "it was used since")
        compose.image = previous
        compose("exec", "-T", "db", "dropdb", "--force", "ledger", "-U", "ledger")
        compose("exec", "-T", "db", "createdb", "ledger", "-U", "ledger")
        dump = ("--exit-on-error", "--no-owner", "--no-privileges", DUMP)
        compose("exec", "-T", "db", "pg_restore", "-U", "ledger", "-d", "ledger", *dump)
        compose.up("--no-build")
        ensure(compose.ledger("history", code) == history, "the history is another")
        _verify(compose)
    finally:
        compose.image = new
    return f"{len(history['events'])} events as before the upgrade"


@contextmanager
def _backed_up(compose: Compose, backups: Path) -> Iterator[None]:
    """The service `backup`, with a folder of the host and its first backup."""
    backups.mkdir()
    os.chown(backups, LEDGER_UID, LEDGER_UID)
    dotenv = compose.clone / ".env"
    dotenv.write_text(f"LEDGER_BACKUP_DIR={backups}\nLEDGER_BACKUP_PASSPHRASE='{PASSPHRASE}'\n")
    compose("down", "--volumes")
    compose.profiles.append("backup")
    try:
        compose.up("--build")
        wait(lambda: '"backup complete"' in compose("logs", "backup"), BACKUP_S_MAX, "a backup")
        yield
    finally:
        compose.profiles.remove("backup")
        dotenv.unlink()
        shutil.rmtree(backups)


def _wait_until_received(compose: Compose) -> None:
    query = RECEIVED.format(lsn=_ask(compose, "SELECT pg_current_wal_lsn()"))
    wait(lambda: _ask(compose, query) == "t", 60, "everything is received")


def _lose_host(compose: Compose) -> None:
    """Kill every container, and remove every volume."""
    compose("kill")
    compose("down", "--volumes")


def _refuse_living(compose: Compose) -> None:
    """A restore over a living ledger says so, and changes nothing."""
    try:
        compose("run", "--rm", "restore")
    except FailedError as error:
        ensure("holds a database" in str(error), f"{error}")
    else:
        raise FailedError("a living ledger was overwritten")
    ensure(compose.ledger("doctor")["checks"], "the ledger lives on")


def _verify(compose: Compose) -> None:
    done = compose("exec", "-T", "backend", "ledger", "verify", check=False)
    ensure("every rule holds" in done, f"verify: {done[-2000:]}")


def _count_people(compose: Compose) -> int:
    return int(_ask(compose, "SELECT count(*) FROM recipients"))


def _ask(compose: Compose, query: str) -> str:
    return compose("exec", "-T", "db", "psql", "-U", "ledger", "-Atc", query).strip()
