"""Logo and color of a group's emails at the command line: the same rules and answers as by API."""

import base64
from pathlib import Path

import pytest

from tests.support.clients.terminal import Terminal
from tests.support.images import make_png


def test_group_command_changes_what_its_options_name(terminal: Terminal, tmp_path: Path) -> None:
    data = make_png(240, 64)
    (file := tmp_path / "logo.png").write_bytes(data)
    changed = terminal.ledger("group", "branding", "VIP", "--logo", str(file), "--accent", "#1F5FBF", "--json").json
    terminal.ledger("group", "branding", "VIP", "--accent", "none")
    words = terminal.ledger("group", "show", "VIP").out
    removed = terminal.ledger("group", "branding", "VIP", "--logo", "none", "--json").json
    logo = {
        "media_type": "image/png",
        "width": 240,
        "height": 64,
        "bytes": len(data),
        "data": base64.b64encode(data).decode(),
    }

    assert changed == {"group": "VIP", "logo": logo, "accent": "#1f5fbf"}
    assert words == f"logo: image/png, 240 × 64 pixels, {len(data)} bytes\ncolor: none\n"
    assert removed == {"group": "VIP", "logo": None, "accent": None}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), "name what changes: --logo or --accent"),
        (("--accent", "blue"), "'blue' is not a color of # and six hexadecimal digits"),
        (("--accent", "#808080"), "'#808080' has a contrast of 4.11 with white or dark text, less than 4.5"),
        (("--logo", "nothing/there.png"), "'nothing/there.png' cannot be read (No such file or directory)"),
        (("--logo", __file__), "is not a complete PNG, JPEG or GIF image"),
        (("--logo", "/dev/zero"), "'/dev/zero' has 65,537 bytes, more than 65,536"),
    ],
)
def test_group_command_says_what_is_wrong(terminal: Terminal, options: tuple[str, ...], why: str) -> None:
    ended = terminal.ledger("group", "branding", "VIP", *options)

    assert ended.status == 2
    assert why in " ".join(ended.err.replace("│", " ").split())
