"""Servers for the tests that ask for them, started once per run. A test that asks for none starts none."""

import gc
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from tests.small_world.loader import SWITCH, enter, is_small
from tests.small_world.worlds import World, can_be_small, find_worlds, is_split, world_of
from tests.support.long_files import order_of

ROOT: Final = Path(__file__).parents[1]
IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only the place of a folder that tempfile creates
FREE_BYTES_MIN: Final = 2_000_000_000
NEW_CONTAINERS_MIN: Final = 20_000
"""How many before a garbage collection, as in the ledger's own processes; pure tests import nothing of them."""

CREATED: Final[Counter[str]] = Counter()
"""What all processes of the run created."""

if is_small():
    enter()

# No verdict depends on the speed of the machine: neither how long an example takes, nor how long drawing it takes.
# By day the examples follow from the code of the test; by night they are drawn from a seed that is printed.
settings.register_profile("day", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("night", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("day")

# Modules and test items live as long as the run. Looking at them in each collection costs a fifth of its CPU.
gc.disable()

# The servers of tests have neither Kerberos nor TLS, unless a URL says so; asking for both takes a quarter of the CPU
# of each of the many connections.
os.environ.setdefault("PGGSSENCMODE", "disable")
os.environ.setdefault("PGSSLMODE", "disable")

# A shell without job control starts what runs in the background with these ignored. Programs inherit that, and the
# tests end some of them so.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the seed of the order of tests."""
    parser.addoption(
        "--order", type=int, default=0, help="seed of the order in which the tests of a file run; 0: as written"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Name the seed of the order."""
    return f"order of the tests of a file: --order={config.option.order}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: Sequence[Any]) -> None:
    """Put every second process into the small world."""
    if is_split() and len(specs) > 1:
        for number, spec in enumerate(specs):
            spec.env[SWITCH] = str(number % 2)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist may be missing, where mutants run
    """Tell a process which world's files it collects; all of them if the run has one world."""
    node.workerinput["world"] = {"1": "small", "0": "usual"}.get(node.gateway.spec.env.get(SWITCH))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - as above
    """Give each world its own files. A run in one world, or in one process, has xdist's scheduler."""
    from xdist.workermanage import parse_tx_spec_config  # noqa: PLC0415 - as above

    from tests.small_world.scheduling import WorldScheduling  # noqa: PLC0415 - as above

    count = len(parse_tx_spec_config(config))
    if not is_split() or count == 1:
        return None
    return WorldScheduling(config, log, {"usual": count - count // 2, "small": count // 2})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of the other world."""
    return (collection_path.suffix == ".py" and not _is_collected(collection_path, config)) or None


def pytest_collection(session: pytest.Session) -> None:
    """Import the files of tests, in each process from another one on: it loads what the others have compiled.

    Processes of a fresh clone that begin with the same file would each compile every file.
    """
    worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    named = (Path(argument.partition("::")[0]).resolve() for argument in session.config.args)
    files = [file for path in named for file in (sorted(path.rglob("test_*.py")) if path.is_dir() else [path])]
    first = len(files) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
    for file in (*files[first:], *files[:first]):
        if _is_collected(file, session.config):
            with suppress(Exception):  # collecting says why
                importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the other world, shuffle those of each file if asked, and put long files first.

    Tests that share what costs time stay together: pytest sorts by the parameters of wider scopes before this.
    """
    own = [test for test in items if _is_of_this_world(test, _world(config))]
    if len(own) < len(items):
        config.hook.pytest_deselected(items=[test for test in items if test not in {*own}])
        items[:] = own
    by_file: dict[Path, list[pytest.Item]] = {}
    for test in items:
        by_file.setdefault(test.path, []).append(test)
    for path, tests in by_file.items() if config.option.order else ():
        random.Random(f"{config.option.order} {path.name}").shuffle(tests)
    items[:] = [test for path in sorted(by_file, key=order_of) for test in by_file[path]]


def _world(config: pytest.Config) -> World | None:
    """Return the world whose files this process collects; None if the run has one world for all files."""
    world: World | None = getattr(config, "workerinput", {}).get("world")
    return world


def _is_collected(file: Path, config: pytest.Config) -> bool:
    if not file.name.startswith("test_"):
        return True
    world = _world(config)
    return world in find_worlds(file) if world else not is_small() or can_be_small(file)


def _is_of_this_world(test: pytest.Item, world: World | None) -> bool:
    marked = next((name for name in ("small", "usual") if test.get_closest_marker(f"{name}_world")), None)
    if marked:
        return (marked == "small") == is_small()
    return world is None or world_of(test.path) == world


def pytest_collection_finish() -> None:
    """Collect garbage again, but exempt what importing and collecting the tests created."""
    gc.freeze()
    gc.set_threshold(NEW_CONTAINERS_MIN, *gc.get_threshold()[1:])
    gc.enable()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Report what this process created to the one that started it."""
    if (databases := sys.modules.get("tests.support.servers.databases")) is not None:
        CREATED.update(databases.CREATED)
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["created"] = dict(CREATED)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - xdist may be missing, where mutants run
    """Add what a process created."""
    CREATED.update(getattr(node, "workeroutput", {}).get("created", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was created, from cheap to dear; name the tests that a run of all left out, and what to install."""
    from tests.support.optional_packages import describe_missing  # noqa: PLC0415 - needed at the end alone

    config = terminalreporter.config
    if CREATED:
        counts = ", ".join(f"{CREATED[kind]} {kind}" for kind in ("for a file", "for a test", "servers"))
        terminalreporter.write_line(f"databases created: {counts}")
    for sentence in describe_missing() if config.args_source is pytest.Config.ArgsSource.TESTPATHS else ():
        terminalreporter.write_line(sentence, yellow=True)


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """Where servers keep their data; unlike pytest's own folders it may be entered by whom PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="ledger-tests-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """A folder in memory for servers whose data no test needs after a crash; on disk where memory is scarce."""
    has_memory = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= FREE_BYTES_MIN
    with tempfile.TemporaryDirectory(prefix="ledger-tests-", dir=IN_MEMORY if has_memory else None) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_url(memory_folder: Path) -> Iterator[str]:
    """The suite's own PostgreSQL, with a migrated template database that nothing else connects to.

    It is thrown away and no test cuts its power, so it is in memory and does not wait for the disk: each of the many
    databases costs 20 ms of CPU there and 150 ms on disk. Autovacuum would visit each of them, for three times the CPU
    of creating and dropping them. Each of the many connections hashes the password once instead of 4096 times, for a
    third of the CPU. Stacks, benchmarks and the tests of outages have separate servers, on disk, with all of this.
    """
    from projections.database.migrations import migrate  # noqa: PLC0415 - pure tests load no driver
    from tests.support.servers.databases import TEMPLATE, database_of, disconnect, execute  # noqa: PLC0415 - pure tests load no driver
    from tests.support.servers.private_servers import (  # noqa: PLC0415 - pure tests load no server
        PASSWORD,
        postgres_server,
    )

    with postgres_server(_make_folder(memory_folder / "postgres"), "-c", "fsync=off", "-c", "autovacuum=off") as url:
        execute(url, f"SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD '{PASSWORD}'")
        execute(url, f"CREATE DATABASE {TEMPLATE}")
        migrate(database_of(url, TEMPLATE))
        yield url
        disconnect(url)


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh migrated database, dropped after the test together with any connection left open."""
    from tests.support.servers.databases import clone, database_of, drop  # noqa: PLC0415 - pure tests load no driver

    name = f"test_{uuid4().hex}"
    clone(postgres_url, name)
    yield database_of(postgres_url, name)
    drop(postgres_url, name)


@pytest.fixture(scope="session")
def valkey_url(memory_folder: Path) -> Iterator[str]:
    """The suite's own Valkey; what it holds is whatever the last test left."""
    from tests.support.servers.private_servers import valkey_server  # noqa: PLC0415 - pure tests load no server

    with valkey_server(_make_folder(memory_folder / "valkey")) as url:
        yield url


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """An empty broker."""
    from redis import Redis  # noqa: PLC0415 - pure tests load no client

    with Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


def _make_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder
