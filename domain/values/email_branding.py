"""How the emails of a group look: a logo and a color. Each is checked before it is stored.

A logo is shown by many mail programs, so its bytes decide what it is: a PNG, JPEG or GIF image that is complete. SVG
images may hold scripts, and mail programs do not show them.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

LOGO_BYTES_MAX: Final = 65_536
LOGO_WIDTH_MAX: Final = 600
LOGO_HEIGHT_MAX: Final = 200
CONTRAST_MIN: Final = 4.5
"""Least contrast of text and background (WCAG 2.2, success criterion 1.4.3)."""
LIGHT_TEXT: Final = "#ffffff"
DARK_TEXT: Final = "#172033"

MediaType = Literal["image/png", "image/jpeg", "image/gif"]
BrandingFault = Literal["logo", "logo_bytes", "logo_pixels", "accent", "accent_contrast"]
"""Not a complete image; too large a file; too large an image; not a color; no text is readable on the color."""

_COLOR: Final = re.compile("#[0-9a-f]{6}")
_PNG: Final = re.compile(rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR(.{4})(.{4}).*\0\0\0\0IEND\xaeB`\x82", re.DOTALL)
_GIF: Final = re.compile(rb"GIF8[79]a(..)(..).*;", re.DOTALL)
_JPEG: Final = re.compile(rb"\xff\xd8\xff.*\xff\xd9", re.DOTALL)
_JPEG_START: Final = 2
_JPEG_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of the segments that begin an image, SOF0 to SOF15 (ITU-T T.81, table B.1)."""
_JPEG_MARKER: Final = 0xFF
_LINEAR_MAX: Final = 0.04045
"""Channels up to here are dark enough for a line instead of a power (IEC 61966-2-1)."""


class BrandingError(ValueError):
    """A logo or a color is not accepted. Its text says why, without its subject.

    Attributes:
        fault: Which rule it breaks.
        number: What breaks the rule, for the text of the fault; empty if the text needs none.
    """

    def __init__(self, fault: BrandingFault, text: str, number: str = "") -> None:
        super().__init__(text)
        self.fault: BrandingFault = fault
        self.number = number


@dataclass(frozen=True, slots=True)
class Logo:
    """An image that was accepted, and its size in pixels."""

    data: bytes
    media_type: MediaType
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class EmailBranding:
    """How the emails of a group look; what is None is as in all emails.

    Attributes:
        logo: Shown at the top, instead of the name of the ledger.
        accent: Color of the button and of the line at the top, as `#rrggbb` in lower case.
    """

    logo: Logo | None = None
    accent: str | None = None


DEFAULT_BRANDING: Final = EmailBranding()


def parse_logo(data: bytes) -> Logo:
    """Read the type and the size of an image.

    Raises:
        BrandingError: It is not a complete PNG, JPEG or GIF image, or it is too large.
    """
    if len(data) > LOGO_BYTES_MAX:
        raise BrandingError("logo_bytes", f"has {len(data):,} bytes, more than {LOGO_BYTES_MAX:,}", f"{len(data):,}")
    logo = _read_image(data)
    if logo is None or not logo.width or not logo.height:
        raise BrandingError("logo", "is not a complete PNG, JPEG or GIF image")
    if logo.width > LOGO_WIDTH_MAX or logo.height > LOGO_HEIGHT_MAX:
        size = f"{logo.width} × {logo.height}"
        limit = f"{LOGO_WIDTH_MAX} × {LOGO_HEIGHT_MAX}"
        raise BrandingError("logo_pixels", f"has {size} pixels, more than {limit}", size)
    return logo


def parse_accent(text: str) -> str:
    """Return a color as `#rrggbb` in lower case. White or dark text is readable on it.

    Raises:
        BrandingError: It is not a color in this form, or neither text has enough contrast.
    """
    color = text.strip().lower()
    if _COLOR.fullmatch(color) is None:
        raise BrandingError("accent", "is not a color of # and six hexadecimal digits, such as #1f5fbf")
    best = max(contrast(color, LIGHT_TEXT), contrast(color, DARK_TEXT))
    if best < CONTRAST_MIN:
        # Rounded down: 4.49 is not enough.
        number = f"{int(best * 100) / 100:.2f}"
        why = f"has a contrast of {number} with white or dark text, less than {CONTRAST_MIN}"
        raise BrandingError("accent_contrast", f"{why}: choose a darker or lighter color", number)
    return color


def text_color_on(color: str) -> str:
    """Return the color of text on a background, white or dark, which has more contrast."""
    return max(LIGHT_TEXT, DARK_TEXT, key=lambda text: contrast(color, text))


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colors (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`."""
    red, green, blue = (_linear(int(color[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= _LINEAR_MAX else ((channel + 0.055) / 1.055) ** 2.4


def _read_image(data: bytes) -> Logo | None:
    if (png := _PNG.fullmatch(data)) is not None:
        return Logo(data, "image/png", int.from_bytes(png[1]), int.from_bytes(png[2]))
    if (gif := _GIF.fullmatch(data)) is not None:
        return Logo(data, "image/gif", int.from_bytes(gif[1], "little"), int.from_bytes(gif[2], "little"))
    if _JPEG.fullmatch(data) is not None and (size := _read_jpeg_size(data)) is not None:
        return Logo(data, "image/jpeg", *size)
    return None


def _read_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height, from the segment that begins the image; None if there is none."""
    at = _JPEG_START
    while at + 9 <= len(data) and data[at] == _JPEG_MARKER:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in _JPEG_SIZES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + length
    return None
