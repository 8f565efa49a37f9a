"""`ledger forget`, `ledger rotate-keys` and `ledger retention`: changes of rows in the vault, and what will change."""

import math
import time
from typing import Annotated, Final

import typer

from api.cli.arguments import parse_email
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, print_json
from api.cli.progress import CommandProgress
from api.settings import ApiSettings
from api.use_cases.privacy.erase_person import ErasureResult, PersonErasure, request_erasure
from domain.values.identifiers import EmailAddress
from projections.privacy.address_retention import AddressRetention
from projections.privacy.erasure import ErasedIdsFile, WhyKept
from projections.privacy.key_rotation import KeyRotation
from projections.repositories.audit_log import NO_REASON
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error
from projections.vault.vault import DigestMismatchError, SealBrokenError

LEASE_GRACE_S = 10
"""Extra seconds to wait for a lease: after them the sweep or this command has settled the reservation."""
POLL_S = 0.5


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(forget)
    app.command("rotate-keys")(rotate_keys)
    app.command()(retention)


def forget(
    context: typer.Context,
    email: Annotated[str, typer.Argument(help="Email address of the person.")],
    reason: Annotated[
        str, typer.Option(help="Reason, without the email address; stored encrypted in the vault.")
    ] = NO_REASON,
    json: JsonFlag = False,
) -> int:
    """Erase a person's data.

    Settles the person's pending reservations, disables their links, and deletes the email address and texts about them.
    Counts, balances and proofs do not change. LEDGER_FORGOTTEN_FILE, outside the database, lists the erased IDs, so
    that they are erased again after a backup was restored.

    Example: `ledger forget li.wei@example.com --reason "request of 2026-11-24"`
    """
    address = parse_email(email)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        forgetting = request_erasure(
            ledger.services,
            ledger.caller(),
            address,
            reason,
            forgotten=ErasedIdsFile(ledger.settings.erased_ids_path),
            mailbox=ApiSettings.from_environment().mailbox,
        )
        erasure = _erase_when_unleased(ledger, forgetting, address)
        if erasure.leased_until is not None:
            say_error("a message to this person is being sent: run this command again in a minute")
            return ExitCode.REFUSED
    if json:
        print_json({"forgotten": [str(key) for key in erasure.recipient_ids], "closed": erasure.closed})
    elif erasure.recipient_ids:
        say(f"erased; settled reservations: {erasure.closed}")
    else:
        say("no person has this email address; rejected requests with it were deleted")
    return 0


def _erase_when_unleased(ledger: OpenLedger, forgetting: PersonErasure, address: EmailAddress) -> ErasureResult:
    """Erase the person as soon as no message to them is being sent; wait for the end of one lease."""
    erasure, ends = forgetting.forget(address), math.inf
    while erasure.leased_until is not None and time.monotonic() < ends:
        remaining_s = (erasure.leased_until - ledger.create_context().now).total_seconds()
        ends = min(ends, time.monotonic() + remaining_s + LEASE_GRACE_S)
        time.sleep(POLL_S)
        again = forgetting.forget(address)
        erasure = ErasureResult(again.recipient_ids, erasure.closed + again.closed, again.leased_until)
    return erasure


def rotate_keys(context: typer.Context, json: JsonFlag = False) -> int:
    """Re-encrypt the vault with the first key of each keyring.

    Runs without downtime. First put a new key in front of LEDGER_PEPPERS or LEDGER_MASTER_KEYS and restart every
    process. An interrupted run continues when you run the command again.
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger, CommandProgress("re-encrypting") as steps:
        rotation = KeyRotation(ledger.storage)
        rewritten = 0
        steps.grow(rotation.count_remaining())
        try:
            for number in rotation.run():
                rewritten += number
                steps.at(rewritten)
        except DigestMismatchError:
            raise
        except SealBrokenError as error:
            say_error(f"{error}: put the old key back after the new one and run this command again")
            return ExitCode.REFUSED
        until = rotation.find_last_old_rejection()
        if rewritten:
            ledger.open_audit_log().record("rotated_keys", None, f"{rewritten} rows")
    if json:
        print_json({"rewritten": rewritten, "older_pepper_needed_by_refusals_until": until})
        return 0
    if not rewritten and all(len(ring.keys) == 1 for ring in ledger.storage.vault.rings.values()):
        say("nothing to do: each keyring has one key; first put a new key and a comma in front of it")
        return 0
    say(f"{rewritten} rows were re-encrypted; older master keys only verify the checkpoints that they signed")
    if until is None:
        say("only the first pepper is still needed")
    else:
        say(f"keep the older peppers in the keyring until the rejected requests up to {until:%Y-%m-%d} are deleted")
    return 0


_WHY_KEPT: Final[dict[WhyKept | None, str]] = {
    None: "are erased by the next runs",
    "accepted": "kept: they accepted something",
    "case": "kept: a case is open",
    "open": "kept: an invitation, an access or a line of a hand-out had not ended then",
    "code": "kept: a code that was sent to them could still be redeemed then",
    "limit": "kept: a campaign that had not ended then limits uses per person",
    "opt_out": "kept: they want no emails, or none can be delivered",
    "recent": "kept: the last change was since then",
}


@leaves_no_record(READS_ONLY)
def retention(
    context: typer.Context,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=36_500, help="Days after the last change. Default: LEDGER_UNACCEPTED_DAYS."),
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Show how many email addresses are past their retention.

    LEDGER_UNACCEPTED_DAYS erases them. Others are kept for the reasons shown. This command changes nothing.

    Example: `ledger retention --days 365`
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        days_kept = days or ledger.settings.unaccepted_days
        if not days_kept:
            say_error("no days are set: name some with --days, or set LEDGER_UNACCEPTED_DAYS")
            return ExitCode.USAGE
        counts = AddressRetention(ledger.storage, days_kept, ledger.services.new_id).count(ledger.create_context().now)
    if json:
        due = counts.pop(None, 0)
        print_json(
            {"days": days_kept, "is_on": days_kept == ledger.settings.unaccepted_days, "due": due, "kept": counts}
        )
        return 0
    say(f"email addresses, {days_kept} days after the last change:")
    for why, text in _WHY_KEPT.items():
        say(f"{counts[why]:>9,}  {text}")
    if days_kept != ledger.settings.unaccepted_days:
        say(f"nothing is erased unless LEDGER_UNACCEPTED_DAYS={days_kept} is set for the workers")
    return 0
