"""What a group may be set to: texts of its invitations, where an accepted one leads, and the branding of its emails."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from api.errors import malformed
from api.schemas.parsing import ONE_LINE
from api.schemas.resources import GroupName, StrictRequest
from domain.values.email_branding import (
    LOGO_BYTES_MAX,
    LOGO_HEIGHT_MAX,
    LOGO_WIDTH_MAX,
    BrandingError,
    EmailBranding,
    Logo,
    MediaType,
    parse_accent,
    parse_logo,
)
from domain.values.text_variables import find_variables

BODY_BYTES_MAX: Final = 2 * LOGO_BYTES_MAX
"""A larger body is refused before it is read: base64 takes a third more than the logo."""


LOGO_LENGTH_MAX: Final = 4 * -(-LOGO_BYTES_MAX // 3)
"""Characters of the largest logo in base64 (RFC 4648, section 4)."""


SUBJECT_LENGTH_MAX: Final = 200
TEXT_LENGTH_MAX: Final = 5_000
TARGET_LENGTH_MAX: Final = 2_000
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that may be reached without TLS, because nothing leaves the machine."""
_TARGET: Final = re.compile(r"[!-~]+")

Subject = Annotated[
    str, Field(max_length=SUBJECT_LENGTH_MAX, pattern=ONE_LINE, description="Subject of the email, one line.")
]


def is_redirect_target(text: str) -> bool:
    """Return whether accepted invitations may lead there: an absolute https URL, or http on this machine only."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
    return bool(_TARGET.fullmatch(text)) and is_safe and bool(host) and "@" not in parts.netloc and "\\" not in text


def find_unknown_variables(text: str) -> list[str]:
    """Return the variables of a text of an invitation that no invitation fills, in alphabetical order."""
    return sorted({*find_variables(text)} - {"group"})


class BrandingRequest(StrictRequest):
    """What changes in how the emails of a group look."""

    group: GroupName
    logo: Annotated[
        str | None,
        Field(
            max_length=LOGO_LENGTH_MAX,
            description=f"PNG, JPEG or GIF image in base64: at most {LOGO_BYTES_MAX:,} bytes and {LOGO_WIDTH_MAX} × "
            f"{LOGO_HEIGHT_MAX} pixels. `null` removes the logo.",
            examples=["R0lGODlhAQABAIAAALAwHP///ywAAAAAAQABAAACAkQBADs="],
        ),
    ] = None
    accent: Annotated[
        str | None,
        Field(
            max_length=20,
            description="Color of the button and of the line at the top, on which white or dark text is readable. "
            "`null` removes the color.",
            examples=["#1f5fbf"],
        ),
    ] = None

    def changes(self) -> dict[str, object]:
        """Return what the request names, by the name of the attribute of `EmailBranding`.

        Raises:
            ApplicationError: MALFORMED, the logo or the color is not accepted.
        """
        changes: dict[str, object] = {}
        if "logo" in self.model_fields_set:
            changes["logo"] = None if self.logo is None else _parse("logo", self.logo, _parse_base64)
        if "accent" in self.model_fields_set:
            changes["accent"] = None if self.accent is None else _parse("accent", self.accent, parse_accent)
        return changes


class LogoView(BaseModel):
    """The logo of a group."""

    media_type: Annotated[MediaType, Field(description="Type of the image, by its bytes.")]
    width: Annotated[int, Field(description="In pixels of the image. Emails show it at most 240 pixels wide.")]
    height: Annotated[int, Field(description="In pixels of the image. Emails show it at most 64 pixels high.")]
    bytes: Annotated[int, Field(description="Size of the image.")]
    data: Annotated[str, Field(description="The image in base64.")]


class BrandingView(BaseModel):
    """How the emails of a group look. What is null is as in all emails."""

    group: str
    logo: Annotated[LogoView | None, Field(description="Shown at the top of each email.")]
    accent: Annotated[str | None, Field(description="Color of the button and of the line at the top.")]


def view_of_branding(group: str, branding: EmailBranding) -> BrandingView:
    """Return a branding as responses show it."""
    logo = branding.logo and LogoView(
        media_type=branding.logo.media_type,
        width=branding.logo.width,
        height=branding.logo.height,
        bytes=len(branding.logo.data),
        data=base64.b64encode(branding.logo.data).decode(),
    )
    return BrandingView(group=group, logo=logo, accent=branding.accent)


def _parse(field: str, text: str, parse: Callable[[str], object]) -> object:
    try:
        return parse(text)
    except BrandingError as error:
        raise malformed(f"body.{field}", str(error)) from error
    except binascii.Error as error:
        raise malformed(f"body.{field}", "is not base64") from error


def _parse_base64(text: str) -> Logo:
    return parse_logo(base64.b64decode(text, validate=True))
