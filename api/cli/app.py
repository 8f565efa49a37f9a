"""The command line itself: options that all commands share, and how errors end."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from api.cli import (
    acts,
    api_keys,
    cases,
    codes,
    container,
    doctor,
    forgetting,
    import_codes,
    keys,
    moving_in,
    outage,
    proof,
    receipts,
    serve,
    travel,
)
from api.cli.context import EXIT_REFUSED, EXIT_SERVICE, EXIT_USAGE, Session, complain, settings_sentence
from api.cli.production import UnsafeStartError
from domain.errors import Refusal
from projections.errors import (
    OlderStateError,
    RolesMissingError,
    SchemaMismatchError,
    StorageUnavailableError,
    WrongKeysError,
)

app = typer.Typer(
    name="ledger",
    help="Redeem codes, invitations, and an append-only ledger of what happened to each code.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def shared(
    context: typer.Context,
    data_dir: Annotated[
        Path, typer.Option(envvar="LEDGER_DATA_DIR", help="Folder of the embedded ledger.", show_envvar=True)
    ] = Path(".ledger"),
) -> None:
    """Options before the command."""
    context.obj = Session(data_dir.absolute())


serve.add_to(app)
container.add_to(app)
codes.add_to(app)
cases.add_to(app)
acts.add_to(app)
outage.add_to(app)
moving_in.add_to(app)
import_codes.add_to(app)
forgetting.add_to(app)
doctor.add_to(app)
proof.add_to(app)
receipts.add_to(app)
keys.add_to(app)
api_keys.add_to(app)
travel.add_to(app)


def main() -> None:
    """Run the command line; every expected trouble ends in one sentence and its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        0 ok, 1 found something, 2 usage, 3 can't reach a service, 4 refused by a rule, 130 interrupted.
    """
    try:
        outcome = typer.main.get_command(app).main(arguments, prog_name="ledger", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except typer.TyperException as usage:
        complain(usage.format_message())
        return EXIT_USAGE
    except typer.Exit as ended:
        return ended.exit_code
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        return 130
    except Refusal as refusal:
        complain(f"refused: {refusal.code}")
        return EXIT_REFUSED
    except (
        StorageUnavailableError,
        SchemaMismatchError,
        WrongKeysError,
        OlderStateError,
        RolesMissingError,
    ) as trouble:
        complain(str(trouble))
        return EXIT_SERVICE
    except (UnsafeStartError, ValidationError) as bad:
        complain(settings_sentence(bad) if isinstance(bad, ValidationError) else str(bad))
        return EXIT_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
