"""Which logos and colors emails of a group may have."""

from collections.abc import Callable

import pytest

from domain.values.email_branding import (
    CONTRAST_MIN,
    BrandingError,
    BrandingFault,
    Logo,
    MediaType,
    contrast,
    parse_accent,
    parse_logo,
    text_color_on,
)
from tests.support.images import make_gif, make_jpeg, make_png

PNG, GIF, JPEG = make_png(240, 64), make_gif(240, 64), make_jpeg(240, 64)


def fault_of(data: bytes) -> tuple[BrandingFault, str]:
    with pytest.raises(BrandingError) as error:
        parse_logo(data)
    return error.value.fault, error.value.number


@pytest.mark.parametrize(("data", "media_type"), [(PNG, "image/png"), (GIF, "image/gif"), (JPEG, "image/jpeg")])
def test_logo_is_read_from_its_bytes(data: bytes, media_type: MediaType) -> None:
    assert parse_logo(data) == Logo(data, media_type, 240, 64)


@pytest.mark.parametrize("make", [make_png, make_gif, make_jpeg])
def test_logo_is_accepted_up_to_its_limits(make: Callable[[int, int], bytes]) -> None:
    assert parse_logo(make(600, 200)).width == 600
    assert fault_of(make(601, 1)) == ("logo_pixels", "601 × 1")
    assert fault_of(make(1, 201)) == ("logo_pixels", "1 × 201")
    assert fault_of(make(0, 64)) == ("logo", "")


def test_logo_has_at_most_65_536_bytes() -> None:
    spare = 65_536 - len(make_png(1, 1, b"x"))

    assert len(parse_logo(make_png(1, 1, b"x" * (spare + 1))).data) == 65_536
    assert fault_of(make_png(1, 1, b"x" * (spare + 2))) == ("logo_bytes", "65,537")
    assert fault_of(b"x" * 65_537) == ("logo_bytes", "65,537")


@pytest.mark.parametrize(
    "data", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xd9"]
)
def test_logo_of_another_format_is_refused(data: bytes) -> None:
    assert fault_of(data) == ("logo", "")


@pytest.mark.parametrize("data", [PNG, GIF, JPEG])
def test_cut_logo_is_refused(data: bytes) -> None:
    assert {fault_of(data[:length])[0] for length in range(len(data))} == {"logo"}
    assert fault_of(data + b"<script>") == ("logo", "")


@pytest.mark.parametrize("text", ["", "red", "#12345", "#1234567", "123456", "#12345g", "rgb(1,2,3)", "#1f5fbf;x"])
def test_accent_of_another_form_is_refused(text: str) -> None:
    """Nothing else gets into a style."""
    with pytest.raises(BrandingError) as error:
        parse_accent(text)

    assert error.value.fault == "accent"


@pytest.mark.parametrize(
    ("color", "text"),
    [("#1f5fbf", "#ffffff"), ("#000000", "#ffffff"), ("#ffd400", "#172033"), ("#ffffff", "#172033")],
)
def test_accent_has_text_that_is_readable(color: str, text: str) -> None:
    assert parse_accent(f" {color.upper()} ") == color
    assert text_color_on(color) == text
    assert contrast(color, text) >= CONTRAST_MIN


@pytest.mark.parametrize(("color", "number"), [("#e0527a", "4.38"), ("#808080", "4.11")])
def test_accent_without_readable_text_is_refused(color: str, number: str) -> None:
    with pytest.raises(BrandingError, match=rf"has a contrast of {number} with white or dark text") as error:
        parse_accent(color)

    assert (error.value.fault, error.value.number) == ("accent_contrast", number)


def test_contrast_is_that_of_the_standard() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == round(contrast("#ffffff", "#000000"), 2) == 21
    assert contrast("#777777", "#777777") == 1
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54
