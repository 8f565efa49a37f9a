"""`python -m projections rebuild|verify`: `ledger rebuild` and `ledger verify` without the API.

Settings come from the environment; what is not set there comes from the data folder of the embedded ledger.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from projections.config.database_password import add_password
from projections.config.settings import DEFAULT_DATA_DIR, LedgerSettings
from projections.config.unknown_settings import find_ignored_settings
from projections.database.errors import RolesMissingError, SchemaMismatchError, StorageUnavailableError, WrongKeysError
from projections.database.migrations import check_schema
from projections.database.roles import check_owner
from projections.definitions.registry import PROJECTIONS
from projections.read_models.reader import Reader
from projections.rebuild.rebuild import LISTED_MAX, RebuildOptions
from projections.rebuild.run import run_rebuild
from projections.replay.worker_pool import WORKERS_MAX, default_worker_count, lower_priority
from projections.storage.bootstrap import LedgerStore
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say_error
from projections.transparency_log.checkpoints import derive_public_keys
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.run import overdue_grace, run_verify

PASSWORD_FILE = "LEDGER_DATABASE_PASSWORD_FILE"  # noqa: S105 - the name of a variable, not a password


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code, as `ledger` gives it.
    """
    options = _parser().parse_args(arguments)
    lower_priority()
    folder = Path(os.environ.get("LEDGER_DATA_DIR") or DEFAULT_DATA_DIR)
    for sentence in find_ignored_settings(folder / "secrets.env"):
        say_error(sentence)
    os.environ.update(_folder_environment(folder))
    try:
        database_url = _database_url()
    except ValueError as error:
        say_error(str(error))
        return ExitCode.USAGE
    if not database_url:
        say_error("no ledger is running on this folder: start it with `ledger up`, or set DATABASE_URL")
        return ExitCode.SERVICE
    try:
        check_schema(database_url)
        if options.command == "verify":
            return _verify(database_url, options)
        check_owner(database_url)
        only = _code_id(options.code) if options.code else None
    except (StorageUnavailableError, SchemaMismatchError, WrongKeysError, RolesMissingError) as error:
        say_error(str(error))
        return ExitCode.SERVICE
    except ValidationError as error:
        say_error(f"{error.error_count()} settings are missing or not valid (see `ledger doctor`); or use the code ID")
        return ExitCode.USAGE
    if options.code and only is None:
        say_error("there is no such code: enter the code as it was issued, or its ID")
        return ExitCode.USAGE
    workers = default_worker_count() if options.workers is None else options.workers
    rebuild_options = RebuildOptions(
        frozenset(options.projection or PROJECTIONS), only, options.apply, options.limit, workers=workers
    )
    return run_rebuild(database_url, rebuild_options, as_json=options.json, out=sys.stdout, err=sys.stderr)


def _database_url() -> str:
    """Return the URL of the tables' owner, who alone may swap tables; DATABASE_URL if no other owner is named."""
    for name, file in (("LEDGER_OWNER_DATABASE_URL", "LEDGER_OWNER_PASSWORD_FILE"), ("DATABASE_URL", PASSWORD_FILE)):
        if url := os.environ.get(name):
            return add_password(url, os.environ.get(file))
    return ""


def _verify(database_url: str, options: argparse.Namespace) -> int:
    lease_s, sweep_s = (_seconds(name) for name in ("lease_s", "sweep_s"))
    grace = overdue_grace(lease_s, sweep_s)
    published = Path(named) if (named := os.environ.get("LEDGER_CHECKPOINT_FILE")) else None
    how = {"workers": options.workers, "as_json": options.json}
    vault = None
    with suppress(ValidationError):
        vault = LedgerSettings.from_environment().open_vault()
    outside = ExternalEvidence(derive_public_keys(vault.rings["master"]) if vault else None, published, vault)
    return run_verify(database_url, grace, options.limit, outside, **how, out=sys.stdout, err=sys.stderr)


def _seconds(name: str) -> float:
    """Return one number of the settings; the other settings may be missing here."""
    return float(os.environ.get(f"LEDGER_{name.upper()}") or LedgerSettings.model_fields[name].default)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m projections", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rebuild = commands.add_parser(
        "rebuild", help="rebuild the read models from the event log; without --apply, only report the differences"
    )
    rebuild.add_argument("--projection", action="append", choices=list(PROJECTIONS), help="only this read model")
    rebuild.add_argument("--code", help="only this code (code or code ID)")
    rebuild.add_argument("--apply", action="store_true", help="apply the result")
    rebuild.add_argument(
        "--limit", type=int, default=LISTED_MAX, help="maximum number of differences to list; all are counted"
    )
    rebuild.add_argument("--json", action="store_true", help="print one JSON document")
    verify = commands.add_parser("verify", help="compare the read models with the event log, and check every rule")
    verify.add_argument("--limit", type=int, default=LISTED_MAX, help="maximum number of rows to list; all are counted")
    verify.add_argument("--json", action="store_true", help="print one JSON document")
    for command in (rebuild, verify):
        help_text = "number of processes that read a long log; default: one per CPU"
        command.add_argument("--workers", type=int, choices=range(WORKERS_MAX + 1), help=help_text)
    return parser


def _code_id(typed: str) -> UUID | None:
    """Find a code by its id, which needs no keys, or by its text."""
    with suppress(ValueError):
        return UUID(typed)
    with LedgerStore.open(LedgerSettings.from_environment(), pool_size=1) as storage:
        return Reader(storage).find_code(typed)


def _folder_environment(folder: Path) -> dict[str, str]:
    """Return the settings that a running stack stored in its data folder and the environment does not have."""
    environment: dict[str, str] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        environment["DATABASE_URL"] = str(json.loads((folder / "ledger.json").read_text("utf-8"))["database_url"])
    with suppress(OSError):
        lines = (line.partition("=") for line in (folder / "secrets.env").read_text("utf-8").splitlines())
        environment |= {
            name.strip(): value.strip() for name, equals, value in lines if equals and name.startswith("LEDGER_")
        }
    return {name: value for name, value in environment.items() if not os.environ.get(name)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
