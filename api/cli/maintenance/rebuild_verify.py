"""`ledger rebuild`, `verify`, `explain`: recomputes, checks and explains balances from the log."""

import sys
from typing import Annotated

import typer

from api.cli.arguments import number_parser, parse_time_option
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.i18n.catalogs import Translator, translator
from api.use_cases.explain_balance import ExplainedReservation, Explanation, explanation_of
from domain.values.number_bounds import VERSIONS, Bounds
from projections.database.migrations import check_schema
from projections.database.roles import check_owner
from projections.definitions.registry import PROJECTIONS
from projections.rebuild.rebuild import LISTED_MAX, RebuildOptions
from projections.rebuild.run import run_rebuild
from projections.replay.worker_pool import WORKERS_MAX, default_worker_count, lower_priority
from projections.storage.key_check import verify_key_rings
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import PlainTable, show, styled, table
from projections.terminal.text import say_error
from projections.transparency_log.checkpoints import derive_public_keys
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.run import overdue_grace, run_verify

WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        parser=number_parser(Bounds(0, WORKERS_MAX)),
        help="Number of processes that read a long log; default: one per CPU.",
    ),
]
LimitOption = Annotated[
    int,
    typer.Option(
        "--limit", parser=number_parser(Bounds(0, 10**9)), help="Maximum number of rows to list; all are counted."
    ),
]


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(rebuild)
    app.command()(verify)
    app.command()(explain)


@leaves_no_record("it computes read models from the log, and changes no fact")
def rebuild(
    context: typer.Context,
    projection: Annotated[
        list[str] | None, typer.Option(help=f"Only this read model: {', '.join(PROJECTIONS)}. May be repeated.")
    ] = None,
    code: Annotated[str | None, typer.Option(help="Only this code (code or code ID).")] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Apply the result; otherwise only report what differs.")
    ] = False,
    limit: LimitOption = LISTED_MAX,
    workers: WorkersOption = None,
    json: JsonFlag = False,
) -> int:
    """Rebuild the read models from the event log, without downtime.

    Without --apply, only reports the rows that differ (exit code 1 if there are any) and changes nothing.

    Example: `ledger rebuild --projection code_balances --apply`
    """
    names = frozenset(projection or PROJECTIONS)
    if unknown := sorted(names - set(PROJECTIONS)):
        raise typer.BadParameter(f"there is no read model {unknown[0]}: use {', '.join(PROJECTIONS)}")
    lower_priority()
    session = Session(context.obj)
    database_url = session.read_settings().owner_url
    check_schema(database_url)
    check_owner(database_url)
    only = None
    if code:
        with session.open_ledger() as ledger:
            only = ledger.find_code_id(code)
    options = RebuildOptions(names, only, apply, limit, workers=default_worker_count() if workers is None else workers)
    return run_rebuild(database_url, options, as_json=json, out=sys.stdout, err=sys.stderr)


@leaves_no_record("it stores only its own result, for the metrics")
def verify(
    context: typer.Context,
    limit: LimitOption = LISTED_MAX,
    workers: WorkersOption = None,
    json: JsonFlag = False,
) -> int:
    """Compare every row with the event log, and check every rule.

    Exit code 1: something is wrong.
    """
    lower_priority()
    session = Session(context.obj)
    settings = session.read_settings()
    database_url = settings.database_url.get_secret_value()
    check_schema(database_url)
    grace = overdue_grace(settings.lease_s, settings.sweep_s)
    vault = settings.open_vault()
    verify_key_rings(database_url, vault)
    outside = ExternalEvidence(derive_public_keys(vault.rings["master"]), settings.checkpoint_file, vault)
    return run_verify(database_url, grace, limit, outside, workers, as_json=json, out=sys.stdout, err=sys.stderr)


@leaves_no_record(READS_ONLY)
def explain(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code or code ID.")],
    as_of: Annotated[str | None, typer.Option(help="Show the code as of this time (ISO 8601, UTC by default).")] = None,
    version: Annotated[
        int | None, typer.Option(parser=number_parser(VERSIONS), help="Show the code as of this version.")
    ] = None,
    json: JsonFlag = False,
) -> int:
    """Explain the balance of a code, use by use.

    Names each use that counts, and says why every other reservation does not.
    """
    as_of_time = parse_time_option(as_of, "--as-of") if as_of else None
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        code_id = ledger.find_code_id(code)
        explanation = explanation_of(
            ledger.reader, code_id, ledger.now(), ledger.language, as_of=as_of_time, version=version
        )
        translate = translator(ledger.language)
    if explanation is None:
        say_error(f"the code did not exist yet at {as_of}")
        return ExitCode.REFUSED
    if json:
        print_json(explanation.model_dump())
    else:
        _print_explanation(explanation, translate)
    return 0


def _print_explanation(explanation: Explanation, translate: Translator) -> None:
    show(styled(explanation.sentence, "bold"))
    show(*(f"#{reached.version}: {reached.sentence}" for reached in explanation.thresholds))
    if explanation.openings:
        show("", styled(translate("explain.head.openings"), "bold"))
        show(*(f"{opening.uses}  {opening.sentence}" for opening in explanation.openings))
    for title, items in (
        (translate("explain.head.uses"), explanation.uses),
        (translate("explain.head.held"), explanation.held),
        (translate("explain.head.not_counted"), explanation.not_counted),
    ):
        if items:
            show("", styled(title, "bold"), _table(items))
    if explanation.left_out:
        show(translate("explain.left_out", left_out=explanation.left_out))


def _table(items: list[ExplainedReservation]) -> PlainTable:
    rows = table("number", "reservation", "what happened", fixed=("number", "reservation"), header=False)
    for number, reservation in enumerate(items, start=1):
        rows.add_row(f"{number}.", str(reservation.reservation_id), reservation.sentence)
        for attempt in reservation.attempts:
            began = format_timestamp(attempt.began_at) if attempt.began_at else ""
            what = attempt.sentence or attempt.outcome
            rows.add_row("", "", f"  {attempt.delivery}.{attempt.attempt}  {began}  {what}")
    return rows
