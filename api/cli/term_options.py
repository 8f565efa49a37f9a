"""Options of commands for the terms of codes and campaigns: one for each row of their tables in `api.schemas`."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from api.cli.context import OpenLedger
from api.code_import.new_groups import find_new_group
from api.schemas.code_terms import TERMS, Term, TermFormat
from api.schemas.parsing import InvalidInputError, parse_term
from projections.terminal.text import say_error

Command = Callable[..., int]
NamedTerms = Mapping[str, Term]
"""The terms that a command line names, by their names."""
NoNewGroups = Annotated[
    bool, typer.Option("--no-new-groups", help="Refuse a --group that the ledger does not have (exit code 4).")
]
_TERMS: Final = "terms"


def with_term_options(
    suffix: str = "", *, has_defaults: bool = True, formats: Sequence[TermFormat] = TERMS
) -> Callable[[Command], Command]:
    """Replace the argument `terms` of a command by an option for each term.

    Args:
        suffix: What every help text ends with.
        has_defaults: A term that is not named has a value all the same.
        formats: The terms.

    Returns:
        A decorator. The command gets `NamedTerms`; a text that cannot be read is a usage error with the option's name.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**arguments: Any) -> int:
            texts = {term: arguments.pop(term.name) for term in formats}
            terms = {term.name: _parse(term, text) for term, text in texts.items() if text is not None}
            return command(**arguments, **{_TERMS: terms})

        shown = signature(command, eval_str=True)
        options = [_option(term, suffix, has_defaults=has_defaults) for term in formats]
        parameters: list[Parameter] = []
        for parameter in shown.parameters.values():
            is_marker = parameter.name == _TERMS
            parameters += options if is_marker else [parameter]
        parameters.sort(key=lambda parameter: parameter.default is not Parameter.empty)
        run.__signature__ = shown.replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def may_name_group(ledger: OpenLedger, name: str | None, campaign_id: UUID | None, *, no_new_groups: bool) -> bool:
    """Say that a group is new, and which one is like it; return whether codes may name it all the same."""
    if (group := find_new_group(ledger.storage, name, campaign_id)) is not None:
        say_error(f"{group.why}: " + ("nothing was created" if no_new_groups else "these codes create it"))
    return group is None or not no_new_groups


def _option(term: TermFormat, suffix: str, *, has_defaults: bool) -> Parameter:
    bounds = f", {term.bounds.least} to {term.bounds.most}" if term.kind == "number" else ""
    word = f", or {term.none_word}" if term.none_word and not term.choices else ""
    default = f" Default: {term.default}." if has_defaults and term.default is not None else ""
    text = f"{term.means}{bounds}{word}{suffix}.{default}"
    option = Annotated[str | None, typer.Option(term.option, help=text, show_default=False)]
    return Parameter(term.name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option)


def _parse(term: TermFormat, text: str) -> Term:
    try:
        return parse_term(term, text)
    except InvalidInputError as error:
        raise typer.BadParameter(f"{text!a} {error.detail}", param_hint=f"'{term.option}'") from error
