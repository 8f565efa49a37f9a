"""`ledger apply` and `ledger export config`: groups, webhooks, campaigns and keys as a file."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO
from uuid import UUID

import tomli_w
import typer
from pydantic import ValidationError

from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.limit_choices import say_limit_choices
from api.cli.output_file import OutputOption, open_output_file
from api.cli.printing import JsonFlag, NoteOption, format_timestamp, print_json
from api.errors import ApplicationError
from api.http.validation_errors import field_errors
from api.i18n.messages import refusal_detail
from api.use_cases.configuration.changes import PlanContext, PlannedChange
from api.use_cases.configuration.config_file import FILE_BYTES_MAX, ConfigFile, ConfigFileError, find_repeated
from api.use_cases.configuration.plan import export_config, plan_changes
from domain.events.campaign import Counting
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error
from workers.channels.registry import channel_kinds

VALUE_LENGTH_MAX: Final = 100
"""Characters of a value that a plan shows."""
CONTEXT_LENGTH: Final = 20
"""Characters that it repeats before the first difference of long values."""
NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(apply)


def register_export(export: typer.Typer) -> None:
    """Register the command in the group `export`."""
    export.command()(config)


def apply(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="File to apply, as `ledger export config` writes it; - for stdin.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes; otherwise only show them.")] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove what the file does not name, of the kinds that it has."),
    ] = False,
    counting: Annotated[
        Counting | None, typer.Option(help="Uses that changed limits count: all, or from_now.", show_default=False)
    ] = None,
    secrets: Annotated[Path | None, typer.Option(help="New file for new secrets (mode 600); default: stdout.")] = None,
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Change groups, webhooks, campaigns and API keys to what a file says.

    Shows each difference first, with what is in use and what changed limits would mean. Without --yes, nothing is
    changed. A second run with the same file changes nothing. If one change is not possible, none is made (exit code 4).

    Example: `ledger apply --file ledger.toml --yes --note "autumn sale"`
    """
    entries, outcome = _read_file(file), _Outcome()
    with Session(context.obj).open_ledger() as ledger:
        plan_context = PlanContext(
            services=ledger.services,
            caller=ledger.caller(),
            settings=ledger.settings,
            channel_kinds=channel_kinds(),
            language=ledger.language,
            counting=counting,
            note=note,
            prunes=prune,
        )
        changes = plan_changes(plan_context, entries)
        has_problems = any(change.problem for change in changes)
        if not json:
            _show_plan(changes)
        try:
            if yes and changes and not has_problems:
                _apply(ledger, changes, outcome, secrets, prints_secrets=not json)
        finally:  # a new secret is shown this once, also if the database went away after it
            if json:
                print_json({"changes": [_describe(change) for change in changes], **asdict(outcome)})
    if not json:
        _say_result(changes, outcome, is_applied=yes and not has_problems)
    return ExitCode.REFUSED if has_problems or outcome.refused else 0


@leaves_no_record(READS_ONLY)
def config(
    context: typer.Context,
    output: OutputOption = None,
    without_ids: Annotated[bool, typer.Option("--without-ids", help="Leave the ids out, for another ledger.")] = False,
) -> int:
    """Export groups, webhooks, campaigns and API keys as a file.

    `ledger apply` reads it. It holds no secret, no code and no personal data of customers. Ids are those of this
    ledger: with them a campaign can be renamed here, without them the file creates the same objects in another ledger.
    Without ids, two keys of one name or two webhooks of one URL are refused (exit code 4).

    Example: `ledger export config --output ledger.toml`
    """
    with Session(context.obj).open_ledger() as ledger:
        exported = export_config(ledger.storage, ledger.now())
    if without_ids:
        if repeated := _list_repeated(exported):
            say_error(
                f"without ids, a file cannot tell apart what has one name or URL: {', '.join(repeated)}; revoke, rename"
                " or remove all but one, or leave out --without-ids"
            )
            return ExitCode.REFUSED
        exported = {kind: [_drop_id(one) for one in entries] for kind, entries in exported.items()}
    document = {name: _plain(one) for name, one in exported.items()}
    with open_output_file(output) as file:
        file.write(tomli_w.dumps(document, multiline_strings=True).encode())
    return ExitCode.OK


@dataclass(slots=True)
class _Outcome:
    """What was done: names of objects by kind and name, why others were refused, and new secrets."""

    applied: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)


def _read_file(path: Path) -> ConfigFile:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        return ConfigFile.read(data, _describe_faults)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read ({error.strerror})", param_hint="'--file'") from error
    except ConfigFileError as error:
        raise typer.BadParameter(str(error), param_hint="'--file'") from error


def _describe_faults(error: ValidationError) -> list[str]:
    return [f"{fault['where']}: {fault['what']}" for fault in field_errors(map(dict, error.errors()))]


def _apply(
    ledger: OpenLedger, changes: Sequence[PlannedChange], outcome: _Outcome, file: Path | None, *, prints_secrets: bool
) -> None:
    with _open_secrets(file) as secrets:
        for change in changes:
            name = f"{change.kind} {change.name}"
            try:
                secret = change.perform()
            except ApplicationError as error:
                outcome.refused[name] = refusal_detail(error.code, ledger.language, **error.facts)
                continue
            outcome.applied.append(name)
            if secret is None:
                continue
            if secrets is not None:
                say(f"{name}: {secret}", to=secrets)
            elif prints_secrets:
                say(f"secret of {name}: {secret}")
            else:
                outcome.secrets[name] = secret


@contextmanager
def _open_secrets(path: Path | None) -> Iterator[TextIO | None]:
    """Open the file for secrets before anything is changed; each is written as soon as it is made."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, NEW_FILE, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be created ({error.strerror})", param_hint="'--secrets'") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield file
        os.fsync(descriptor)


def _show_plan(changes: Sequence[PlannedChange]) -> None:
    for change in changes:
        live = ", ".join(f"{name} {_show(value)}" for name, value in change.live.items())
        say(f"{change.action} {change.kind} {change.name}" + (f" (now: {live})" if live else ""))
        for one in change.differences:
            before, after = _shorten(_show(one.before), _show(one.after))
            say(f"  {one.field}: {after}" if change.action == "create" else f"  {one.field}: {before} -> {after}")
        if change.then:
            say("  then: " + ", ".join(f"{name} {_show(value)}" for name, value in change.then.items()))
        say_limit_choices(change.choices, "  if limits count ")
        if change.problem is not None:
            say(f"  not possible: {change.problem}")


def _show(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, datetime):
        return f"{format_timestamp(value)} UTC"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shorten(before: str, after: str) -> tuple[str, str]:
    """Return two values from where they begin to differ, if they are long."""
    if max(len(before), len(after)) <= VALUE_LENGTH_MAX:
        return before, after
    same = next(
        (place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other),
        min(len(before), len(after)),
    )
    start = max(0, same - CONTEXT_LENGTH)
    first, second = (f"{'...' if start else ''}{text[start : start + VALUE_LENGTH_MAX]}" for text in (before, after))
    return first, second


def _say_result(changes: Sequence[PlannedChange], outcome: _Outcome, *, is_applied: bool) -> None:
    problems = sum(change.problem is not None for change in changes)
    for name, why in outcome.refused.items():
        say_error(f"{name}: {why}")
    if not changes:
        say_error("nothing to change: the ledger is as the file says")
    elif problems:
        say_error(f"{problems} of {len(changes)} changes are not possible; nothing was changed")
    elif is_applied:
        say_error(f"{len(outcome.applied)} of {len(changes)} changes were made")
    else:
        say_error(f"{len(changes)} changes; nothing was changed: add --yes to make them")


def _describe(change: PlannedChange) -> dict[str, Any]:
    shown = {"kind": change.kind, "name": change.name, "action": change.action, "problem": change.problem}
    choices = [choice.model_dump() for choice in change.choices]
    return {
        **shown,
        "live": change.live,
        "then": change.then,
        "differences": [one._asdict() for one in change.differences],
        "limits": choices,
    }


def _list_repeated(exported: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return the kinds and names by which `apply` would not tell entries apart."""
    return [
        f"{kind} {name}"
        for kind, entries in exported.items()
        for name in find_repeated(str(entry.get("url") or entry["name"]) for entry in entries)
    ]


def _drop_id(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "id"}


def _plain(value: object) -> object:
    """Return a document in the types of TOML: an id is a text."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, UUID) else value
