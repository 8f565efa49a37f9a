"""What some tests need and `make setup` doesn't install. Without it the others run; in CI all run, or fail."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Commands by preference. The first draws no windows and starts no services of a desktop: it needs half the CPU."""
RABBITMQ: Final = Path("/usr/lib/rabbitmq/lib")
IMAP_SERVER: Final = Path("/usr/lib/dovecot/imap")
DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql/17/bin")


class OptionalPackages(NamedTuple):
    tests: str
    packages: str
    are_installed: Callable[[], object]


def find_program(name: str) -> str | None:
    """Return the path of a program, also where only root looks; None if there is none."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


OPTIONAL: Final[Mapping[str, OptionalPackages]] = {
    "Chromium": OptionalPackages("tests/browser", "chromium-headless-shell", find_browser),
    "RabbitMQ": OptionalPackages("tests/contracts/test_brokers.py", "rabbitmq-server", RABBITMQ.is_dir),
    "Node.js": OptionalPackages(
        "tests/contracts/clients/test_typescript_client.py",
        "nodejs npm",
        lambda: find_program("node") and find_program("npm"),
    ),
    "Postfix and Dovecot": OptionalPackages(
        "tests/integration/workers/mail_reports/test_mail_hosts.py",
        "postfix dovecot-imapd dovecot-pop3d iproute2",
        lambda: (
            os.geteuid() == 0 and all(map(find_program, ("postfix", "dovecot", "ip", "tc"))) and IMAP_SERVER.exists()
        ),
    ),
    "promtool": OptionalPackages(
        "tests/observability/test_promtool.py", "prometheus", lambda: find_program("promtool")
    ),
    "PgBouncer, HAProxy and PostgreSQL 17": OptionalPackages(
        "tests/integration/projections/engine_check/test_other_engines.py",
        "pgbouncer haproxy postgresql-17",
        lambda: find_program("pgbouncer") and find_program("haproxy") and (DEBIAN_POSTGRES / "postgres").exists(),
    ),
}


def may_run(name: str) -> bool:
    """Return whether the tests that need these packages run: in CI they do, and fail if the packages are missing."""
    return bool(os.environ.get("CI") or OPTIONAL[name].are_installed())


def describe_missing() -> Iterator[str]:
    for name, optional in OPTIONAL.items():
        if not may_run(name):
            yield f"Tests of {optional.tests} did not run: no {name} (apt install {optional.packages})"
