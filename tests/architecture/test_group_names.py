"""A group's name is checked by one rule at every door: it is stored in events, where no email address may be."""

import inspect
from collections.abc import Iterator, Sequence
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Annotated, Any, get_args, get_origin

import pytest
from msgspec import Struct
from pydantic import BaseModel

import api
import domain.commands
from api.schemas.resources import GroupName
from domain.values.group_name import NamesGroup

CHECKED = next(part for part in get_args(GroupName) if hasattr(part, "func"))
"""What the type of the schemas checks a name with."""
RESPONSES = {
    "BrandingView",
    "CampaignView",
    "_CampaignTermsView",
    "ChannelView",
    "CodeView",
    "IssuedView",
    "TermsView",
    "ReservationView",
}
"""Schemas of responses, which tell of what is stored."""
QUERIES = {"StatementParams"}
"""Queries of pages: there `group` is whether lines are grouped."""


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for listed in iter_modules(package.__path__, f"{package.__name__}."):
        if listed.name.startswith("api.cli.embedded") or listed.name == "api.main":
            continue
        module = import_module(listed.name)
        yield module
        if listed.ispkg:
            yield from modules(module)


def classes(package: ModuleType, base: type) -> set[Any]:
    return {
        kind
        for module in modules(package)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, base) and kind.__module__ == module.__name__
    }


def is_checked(annotation: object, metadata: Sequence[object]) -> bool:
    parts = [*metadata, *get_args(annotation)]
    inner = [part for part in get_args(annotation) if get_origin(part) is Annotated]
    return CHECKED in parts or any(CHECKED in get_args(part) for part in inner)


def test_each_command_that_names_a_group_checks_it() -> None:
    """The last door: no route, page, command, task or import gets past it."""
    naming = {
        kind for kind in classes(domain.commands, Struct) if {"group", "terms", "changes"} & kind.__annotations__.keys()
    }
    reading = {kind for kind in naming if kind.__name__ == "ReserveUse"}

    assert {kind.__name__ for kind in naming if not issubclass(kind, NamesGroup)} == {kind.__name__ for kind in reading}
    assert len(naming) > len(reading)


def test_each_request_schema_with_a_group_checks_it() -> None:
    """A new schema with a field of that name has the type, or is named above with what it is."""
    fields = {
        kind.__name__: kind.model_fields["group"] for kind in classes(api, BaseModel) if "group" in kind.model_fields
    }
    unchecked = {name for name, field in fields.items() if not is_checked(field.annotation, field.metadata)}

    assert unchecked <= RESPONSES | QUERIES
    assert {
        "ChannelRequest",
        "IssueRequest",
        "TermsRequest",
        "WholeTerms",
        "RebindRequest",
    } <= fields.keys() - unchecked


@pytest.mark.parametrize("name", ["li.wei@example.com", " VIP", "VIP ", "two\nlines", "x" * 201])
def test_command_with_a_text_that_may_not_name_a_group_cannot_be_made(name: str) -> None:
    """Whatever door forgot to look."""

    class Command(NamesGroup, frozen=True, kw_only=True):
        group: str

    with pytest.raises(ValueError, match="a group's name"):
        Command(group=name)
    assert Command(group="VIP").group == "VIP"
