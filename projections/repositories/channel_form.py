"""What an admin chooses and fills in to give a group a channel: declared once for each kind, apart from how it sends.

The admin page renders its fields from here, the page and the API validate with the same model, and the repository
stores what the model accepts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from domain.webhooks.target_url import URL_LENGTH_MAX, Network, Target, TargetError, TargetFault

DEFAULT_CHANNEL: Final = "smtp"
"""Stored for a group that has no channel: its messages go out by the mail server of the settings."""


@dataclass(frozen=True, slots=True)
class FormField:
    """How a form asks for one setting.

    Attributes:
        input_type: Type of the HTML input.
        length_max: In characters.
    """

    input_type: Literal["text", "url"] = "text"
    length_max: int = 200


class ChannelSettings(BaseModel):
    """Settings of one kind of channel. Each field is a text, annotated with its `FormField`."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def _check_target(url: str, info: ValidationInfo) -> str:
    Target.parse(url, info.context or ())
    return url


def target_fault(error: Mapping[str, Any]) -> TargetFault | None:
    """Return why a URL may not be reached, from one of pydantic's errors; None for another error."""
    cause = error.get("ctx", {}).get("error")
    return cause.fault if isinstance(cause, TargetError) else None


TargetUrl = Annotated[
    str,
    Field(min_length=1, max_length=URL_LENGTH_MAX),
    AfterValidator(_check_target),
    FormField("url", URL_LENGTH_MAX),
]
"""A URL to send to, by the rules of `domain.webhooks.target_url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelForm:
    """A kind of channel as admins see it.

    The catalogs call it `page.admin.channel.NAME`; a field is `page.admin.field.channel_FIELD` with
    `page.admin.hint.channel_FIELD`. Kinds that share the name of a field share its input.

    Attributes:
        name: Stored with the group, and as `channel` in events.
        settings: What is filled in.
        is_signed: Its messages are signed with a secret of the channel, and callbacks are accepted.
    """

    name: str
    settings: type[ChannelSettings]
    is_signed: bool

    @property
    def fields(self) -> dict[str, FormField]:
        """The fields of the form by the names of the settings."""
        return {
            name: next((one for one in info.metadata if isinstance(one, FormField)), FormField())
            for name, info in self.settings.model_fields.items()
        }

    def parse(self, values: Mapping[str, Any], networks: Sequence[Network]) -> dict[str, str]:
        """Validate what was filled in.

        Args:
            values: By the names of the settings.
            networks: Those that may be reached in addition to the public internet.

        Raises:
            pydantic.ValidationError: A setting is missing, unknown or invalid.
        """
        return self.settings.model_validate(values, context=networks).model_dump()
