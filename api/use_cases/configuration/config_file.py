"""The file that `ledger apply` reads and `ledger export config` writes: groups, webhooks, campaigns and keys in TOML.

An entry says everything about its object: what it leaves out has its usual value. No entry holds a secret.
"""

import base64
import binascii
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Self, TypeVar
from uuid import UUID

import orjson
from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from api.auth.scopes import SCOPES, Scope
from api.schemas.campaigns import CampaignRequest
from api.schemas.groups import (
    LOGO_LENGTH_MAX,
    TARGET_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    Subject,
    find_unknown_variables,
    is_redirect_target,
)
from api.schemas.ip_networks import parse_network_list
from api.schemas.parsing import SEVERAL_LINES
from api.schemas.resources import PRINTABLE, GroupName, StrictRequest
from api.schemas.timestamps import Timestamp
from api.schemas.webhooks import Concurrency, EventTypes, Format, Url
from domain.ports import Language
from domain.values.email_branding import parse_accent, parse_logo
from domain.values.group_name import NAME_LENGTH_MAX
from projections.config.staff_roles import Role

T = TypeVar("T")
FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""A larger file is not read: it holds some 350 groups with the largest logo, or 100,000 campaigns."""
CHANNEL_SETTINGS_MAX: Final = 20


class ConfigFileError(Exception):
    """A file is not a configuration. Its text says where and why."""


def _filled(text: str) -> str:
    if unknown := find_unknown_variables(text):
        raise ValueError(f"has the variable {{{unknown[0]}}}, but an invitation fills only {{group}}")
    return text


def _redirecting(text: str) -> str:
    if not is_redirect_target(text):
        raise ValueError("is not an absolute https URL")
    return text


def _decoded(text: str) -> str:
    try:
        parse_logo(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    return text


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("is not one line of printable characters")
    return text.strip()


class TextsEntry(StrictRequest):
    """Texts of a group's invitation in one language; the ledger's own text replaces an empty one."""

    subject: Annotated[Subject, AfterValidator(_filled)] = ""
    text: Annotated[str, Field(max_length=TEXT_LENGTH_MAX, pattern=SEVERAL_LINES), AfterValidator(_filled)] = ""

    @field_validator("text")
    @classmethod
    def _end_lines_as_stored(cls, text: str) -> str:
        return text.replace("\r\n", "\n")


class ChannelEntry(StrictRequest):
    """The channel of a group that is not mailed."""

    kind: Annotated[str, Field(max_length=NAME_LENGTH_MAX)] = "webhook"
    settings: dict[str, str] = Field(default_factory=dict, max_length=CHANNEL_SETTINGS_MAX)


class GroupEntry(StrictRequest):
    """A group: how its invitations look, and where they go."""

    name: GroupName
    accept_target: (
        Annotated[str, Field(max_length=TARGET_LENGTH_MAX, pattern=PRINTABLE), AfterValidator(_redirecting)] | None
    ) = None
    accepts_rebinds: bool = False
    logo: Annotated[str, Field(max_length=LOGO_LENGTH_MAX), AfterValidator(_decoded)] | None = None
    accent: Annotated[str, Field(max_length=20), AfterValidator(parse_accent)] | None = None
    texts: dict[Language, TextsEntry] = Field(default_factory=dict)
    channel: ChannelEntry | None = None

    @property
    def id(self) -> None:
        """A group has none: its name is what it is."""

    @property
    def entry_name(self) -> str:
        """Its name."""
        return self.name


class WebhookEntry(StrictRequest):
    """A webhook endpoint. Without `id`, the one with this URL is meant."""

    id: UUID | None = None
    url: Annotated[Url, AfterValidator(str.strip)]
    event_types: EventTypes = Field(default=[])
    concurrency: Concurrency = 1
    format: Format = "standard"

    @property
    def entry_name(self) -> str:
        """By which its endpoint is looked for."""
        return self.url


class CampaignEntry(CampaignRequest):
    """A campaign. Without `id`, the one with this name is meant."""

    id: UUID | None = None

    @property
    def entry_name(self) -> str:
        """By which its campaign is looked for."""
        return self.name


class KeyEntry(StrictRequest):
    """An API key without its secret. Without `id`, the valid one with this name is meant."""

    id: UUID | None = None
    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH_MAX), AfterValidator(_one_line)]
    role: Role | None = None
    scopes: list[Scope] = Field(default_factory=list)
    networks: list[str] = Field(default_factory=list)
    expires_at: Timestamp | None = None

    @field_validator("scopes")
    @classmethod
    def _order_scopes(cls, scopes: list[Scope]) -> list[Scope]:
        return [scope for scope in SCOPES if scope in scopes]

    @field_validator("networks")
    @classmethod
    def _read_networks(cls, networks: list[str]) -> list[str]:
        return list(parse_network_list(" ".join(networks)))

    @model_validator(mode="after")
    def _check_rights(self) -> Self:
        if (self.role is None) == (not self.scopes):
            raise ValueError("needs either role or scopes")
        return self

    @property
    def entry_name(self) -> str:
        """By which its key is looked for."""
        return self.name


Entry = GroupEntry | WebhookEntry | CampaignEntry | KeyEntry


def find_repeated(keys: Iterable[T]) -> list[T]:
    """Return what entries cannot be told apart by."""
    return [key for key, count in Counter(keys).items() if count > 1]


def _each_once(entries: list[Any]) -> list[Any]:
    if more := find_repeated(entry.id or entry.entry_name for entry in entries):
        raise ValueError(f"has two entries for {more[0]}: write the id of each")
    return entries


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is not a number")
    return number


class ConfigFile(StrictRequest):
    """A configuration. A kind that the file does not name is None: nothing of it is changed or removed."""

    groups: Annotated[list[GroupEntry], AfterValidator(_each_once)] | None = None
    webhooks: Annotated[list[WebhookEntry], AfterValidator(_each_once)] | None = None
    campaigns: Annotated[list[CampaignEntry], AfterValidator(_each_once)] | None = None
    keys: Annotated[list[KeyEntry], AfterValidator(_each_once)] | None = None

    @classmethod
    def read(cls, data: bytes, describe: Callable[[ValidationError], Iterable[str]]) -> Self:
        """Read a file.

        Args:
            data: Its bytes, in UTF-8.
            describe: Returns a sentence for each value that is wrong.

        Raises:
            ConfigFileError: It is too large, no TOML, or its values are wrong.
        """
        if len(data) > FILE_BYTES_MAX:
            raise ConfigFileError(f"the file has more than {FILE_BYTES_MAX:,} bytes")
        try:
            # Through JSON, so that each value is read as the API reads it.
            return cls.model_validate_json(orjson.dumps(tomllib.loads(data.decode("utf-8-sig"), parse_float=_finite)))
        except ValidationError as error:
            raise ConfigFileError("\n".join(describe(error))) from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ConfigFileError(f"the file is not TOML: {error}") from error


def document_of(entry: Entry | TextsEntry | ChannelEntry) -> dict[str, Any]:
    """Return an entry as the file has it: without what is None or empty."""
    return _without_empty(entry.model_dump())


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: _without_empty(one) if isinstance(one, Mapping) else one for name, one in values.items()}
    return {name: one for name, one in shown.items() if one not in (None, "", [], {}, False)}
