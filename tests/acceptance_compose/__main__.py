"""`make acceptance`: the composed ledger from a fresh clone, over HTTP, with an upgrade from the previous image.

Needs a Docker engine, Compose, git and some minutes. Everything that it starts is removed at the end.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from api.cli.embedded.tcp_ports import find_free_port
from tests.acceptance_compose import backup_steps, cluster_steps, steps
from tests.acceptance_compose.compose import Compose, FailedError, docker

ROOT = Path(__file__).parents[2]
Plan = list[tuple[str, Callable[[], str]]]
IMAGE, PREVIOUS = "redemption-ledger:acceptance", "redemption-ledger:previous"


def main() -> int:
    """Run all steps; 0 if all hold, 1 if one does not, 3 without an engine."""
    parser = argparse.ArgumentParser(prog="make acceptance", description=__doc__)
    parser.add_argument("--previous", default="HEAD~1", help="revision whose image is upgraded from (default: HEAD~1)")
    parser.add_argument("--cluster", action="store_true", help="run the cluster of deploy/ha instead")
    parser.add_argument("--only", help="run only the steps whose names contain this text, after the first one")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    options = parser.parse_args()
    try:
        docker("info")
        docker("compose", "version")
    except FailedError as error:
        sys.stderr.write(f"make acceptance needs a running Docker engine with Compose, and there is none: {error}\n")
        return 3
    with tempfile.TemporaryDirectory(prefix="ledger-acceptance-") as folder:
        clone = _clone(Path(folder) / "clone", "HEAD")
        compose = Compose(clone / "deploy/ha" if options.cluster else clone, "ledger-acceptance", find_free_port())
        compose.image = IMAGE
        try:
            plan = (
                _cluster_plan(compose, Path(folder))
                if options.cluster
                else _plan(compose, Path(folder), options.previous)
            )
            return _run([step for step in plan if step in plan[:1] or not options.only or options.only in step[0]])
        finally:
            if not options.keep:
                compose("down", "--volumes", "--remove-orphans", check=False)


def _cluster_plan(compose: Compose, folder: Path) -> Plan:
    lines = []
    for name in ("backup", "archive"):  # of another machine, so to say: they outlive the cluster
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
        lines.append(f"LEDGER_{name.upper()}_DIR={folder / name}\n")
    (compose.clone / ".env").write_text("".join(lines) + "LEDGER_BACKUP_PASSPHRASE='only for the acceptance test'\n")
    return [
        ("fresh clone, one command", lambda: _fresh(compose)),
        ("every container healthy", lambda: cluster_steps.cluster_is_healthy(compose)),
        ("a redeem becomes a mail", lambda: steps.a_redeem_becomes_a_mail(compose)),
        ("each container killed in turn", lambda: cluster_steps.each_cluster_container_killed_in_turn(compose)),
        ("lost parts are replaced", lambda: cluster_steps.lost_parts_are_replaced(compose)),
        ("a lost cluster is restored", lambda: cluster_steps.a_lost_cluster_is_restored(compose)),
        ("down and up keeps everything", lambda: steps.down_and_up_keeps_everything(compose)),
    ]


def _plan(compose: Compose, folder: Path, previous: str) -> Plan:
    def build_previous() -> None:
        if not (folder / "previous").exists():
            docker("build", "--quiet", "--tag", PREVIOUS, str(_clone(folder / "previous", previous)))

    def roll_back() -> str:
        build_previous()
        return backup_steps.a_rollback_restores_the_dump(compose, PREVIOUS)

    def upgrade() -> str:
        build_previous()
        compose("down", "--volumes")  # the database too has to be of that version: it rightly refuses a newer one
        compose.image = PREVIOUS
        try:
            compose.up("--no-build")
            return steps.an_upgrade_with_traffic_on(compose, IMAGE, lambda: None)
        finally:
            compose.image = IMAGE

    return [
        ("fresh clone, one command", lambda: _fresh(compose)),
        ("six healthy", lambda: steps.six_are_healthy(compose)),
        ("no more rights than needed", lambda: steps.nothing_has_more_rights_than_it_needs(compose)),
        ("settings of .env", lambda: steps.settings_of_dotenv_reach_every_container(compose)),
        ("checks by hand", lambda: steps.checks_by_hand_work(compose)),
        ("a redeem becomes a mail", lambda: steps.a_redeem_becomes_a_mail(compose)),
        ("the front keeps the door", lambda: steps.the_front_keeps_the_door(compose)),
        ("each container killed in turn", lambda: steps.each_container_killed_in_turn(compose)),
        ("more of them", lambda: steps.more_of_them(compose)),
        ("upgrade with traffic on", upgrade),
        ("down and up keeps everything", lambda: steps.down_and_up_keeps_everything(compose)),
        ("rollback", roll_back),
        ("a lost host is restored", lambda: backup_steps.a_lost_host_is_restored(compose, folder)),
        ("several first backends at once", lambda: steps.several_first_backends_at_once(compose)),
    ]


def _run(plan: Plan) -> int:
    began = time.monotonic()
    failed = 0
    for name, step in plan:
        started = time.monotonic()
        try:
            line = f"ok      {name}: {step()}"
        except Exception as error:  # noqa: BLE001 - the next step may hold all the same
            failed += 1
            line = f"FAILED  {name}: {error if isinstance(error, FailedError) else traceback.format_exc()}"
        sys.stdout.write(f"{line} ({time.monotonic() - started:.0f} s)\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(plan) - failed} of {len(plan)} hold, in {time.monotonic() - began:.0f} s\n")
    return 1 if failed else 0


def _clone(folder: Path, revision: str) -> Path:
    """A fresh clone of what is committed, with no file that a clone would not have."""
    for command in (("clone", "--quiet", str(ROOT), str(folder)), ("-C", str(folder), "checkout", "--quiet", revision)):
        subprocess.run(["git", *command], check=True, timeout=120)  # noqa: S607 - the git of anyone who runs it
    return folder


def _fresh(compose: Compose) -> str:
    """The one command, on a machine that knows nothing of the ledger yet."""
    compose("down", "--volumes")
    started = time.monotonic()
    compose("up", "-d", "--build", "--wait")
    return f"`docker compose up -d --build --wait` took {time.monotonic() - started:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
