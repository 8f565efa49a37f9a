"""`ledger approvals`: list the proposals that wait for a second person, and reject one."""

from typing import Annotated

import typer

from api.cli.arguments import parse_id
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.schemas.approvals import ApprovalView
from api.use_cases.approvals.decide import reject
from projections.config.approvals import KINDS
from projections.read_models.pagination import OLDEST, read_to_end
from projections.repositories.approvals import ApprovalRepository
from projections.terminal.tables import show, table
from projections.terminal.text import say


def register(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(rich_markup_mode=None, help="List and reject proposals that wait for a second person.")
    group.command("list")(list_proposals)
    group.command("reject")(reject_proposal)
    app.add_typer(group, name="approvals")


@leaves_no_record(READS_ONLY)
def list_proposals(
    context: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="Also list closed proposals.")] = False,
    json: JsonFlag = False,
) -> int:
    """List the proposals that wait for a second person, oldest first.

    Members of staff approve them on their pages. No command does, because an operator has no staff account.
    """
    with Session(context.obj).open_ledger() as ledger:
        repository, now = ApprovalRepository(ledger.storage), ledger.now()
        proposals = list(
            read_to_end(
                lambda place, limit: repository.list_page(place, limit, "oldest", KINDS, is_open=not closed),
                OLDEST,
                lambda each: (each.proposed_at, each.approval_id),
            )
        )
    views = [ApprovalView.of(each, now) for each in proposals]
    if json:
        print_json([view.model_dump(mode="json") for view in views])
    elif not views:
        say("no proposal is open" if not closed else "there are no proposals")
    else:
        names = ("proposal", "action", "state", "proposed (UTC)", "expires (UTC)")
        rows = table(*names, fixed=names[:3])
        for view in views:
            times = (format_timestamp(view.proposed_at), format_timestamp(view.expires_at))
            rows.add_row(str(view.id), view.kind, view.outcome or view.state, *times)
        show(rows)
    return 0


def reject_proposal(
    context: typer.Context,
    proposal: Annotated[str, typer.Argument(help="ID of the proposal.")],
    note: Annotated[str, typer.Option(help="Reason; stored encrypted in the vault.")],
    json: JsonFlag = False,
) -> int:
    """Reject a proposal that waits for a second person.

    Exit code 4: it was decided before, or has expired.

    Example: `ledger approvals reject 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --note "wrong campaign"`
    """
    approval_id = parse_id(proposal, "proposal", "is not the ID of a proposal: `ledger approvals list` shows it")
    with Session(context.obj).open_ledger() as ledger:
        reject(ledger.services, approval_id, ledger.caller(), note)
    if json:
        print_json({"id": approval_id, "state": "rejected"})
    else:
        say("rejected")
    return 0
