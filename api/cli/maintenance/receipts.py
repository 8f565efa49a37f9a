"""`ledger receipt`, `consistency`, `check-receipt`, `public-key`: proofs of events as of a checkpoint."""

import base64
import binascii
from pathlib import Path
from typing import Annotated

import typer

from api.cli.arguments import number_parser, parse_reservation_id
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, print_json
from domain.values.number_bounds import CHECKPOINTS
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error
from projections.transparency_log.checkpoints import derive_public_keys
from projections.transparency_log.proof_check import KEY_BYTES, ReceiptError, check_proof
from projections.transparency_log.receipts import NotYetSignedError, read_consistency, read_receipt


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(receipt)
    app.command("check-receipt")(check)
    app.command()(consistency)
    app.command("public-key")(public_key)


@leaves_no_record(READS_ONLY)
def receipt(context: typer.Context, reservation: Annotated[str, typer.Argument(help="Reservation ID.")]) -> int:
    """Print a receipt that proves a reservation's events, as JSON.

    Anyone can check it with `ledger check-receipt`.
    """
    reservation_id = parse_reservation_id(reservation)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        try:
            document = read_receipt(ledger.storage, reservation_id)
        except NotYetSignedError as error:
            say_error(str(error))
            return ExitCode.REFUSED
    if document is None:
        raise typer.BadParameter("there is no such reservation")
    print_json(document)
    return 0


@leaves_no_record(READS_ONLY)
def check(
    file: Annotated[
        Path, typer.Argument(help="File with the receipt or the proof.", exists=True, dir_okay=False, readable=True)
    ],
    public_key: Annotated[
        str, typer.Option(help="The ledger's Ed25519 public key in base64, from a source that you trust.")
    ],
    json: JsonFlag = False,
) -> int:
    """Check a receipt or a consistency proof, offline.

    Exit code 1: the file proves nothing.

    Example: `ledger check-receipt receipt.json --public-key Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=`
    """
    try:
        key = base64.b64decode(public_key, validate=True)
    except binascii.Error as error:
        raise typer.BadParameter("--public-key must be base64, as `ledger public-key` prints it") from error
    if len(key) != KEY_BYTES:
        raise typer.BadParameter("--public-key must have 32 bytes in base64, as `ledger public-key` prints it")
    try:
        says, why = check_proof(file.read_text("utf-8"), key), None
    except (ReceiptError, UnicodeDecodeError) as error:
        says, why = None, str(error)
    if json:
        print_json({"valid": why is None, "says": says, "why": why})
    elif says:
        say(says)
    else:
        say_error(f"not valid: {why}")
    return ExitCode.FINDINGS if why else 0


@leaves_no_record(READS_ONLY)
def consistency(
    context: typer.Context,
    old: Annotated[int, typer.Argument(parser=number_parser(CHECKPOINTS), help="Number of the earlier checkpoint.")],
    new: Annotated[int, typer.Argument(parser=number_parser(CHECKPOINTS), help="Number of the later checkpoint.")],
) -> int:
    """Print the proof that a checkpoint extends an earlier one, as JSON.

    Anyone can check it with `ledger check-receipt`.
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        document = read_consistency(ledger.storage, old, new)
    if document is None:
        raise typer.BadParameter("there are no such checkpoints, or they are not in this order")
    print_json(document)
    return 0


@leaves_no_record(READS_ONLY)
def public_key(context: typer.Context, json: JsonFlag = False) -> int:
    """Print the public keys that verify checkpoints, current key first.

    Publish them outside the ledger, so that others can check receipts.
    """
    session = Session(context.obj)
    keys = [
        base64.b64encode(key).decode()
        for key in derive_public_keys(session.read_settings().open_vault().rings["master"])
    ]
    if json:
        print_json({"public_keys": keys})
    else:
        say(*keys)
    return 0
