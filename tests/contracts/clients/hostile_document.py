"""An OpenAPI document whose texts try to leave the docstrings and comments that are generated from it."""

from typing import Any, Final

TEXT: Final = '''A """ ends.
"""
PLANTED = 1
*/ PLANTED = 2; /* // \r\t\\" \\ \\u12 \\N{x} {0} {{ x }} {% y %} ${z} `w` <!-- ]]> r"""'''
WORDS: Final = ("description", "summary", "title")


def make_hostile(part: Any) -> Any:  # noqa: ANN401 - any part of a document is a JSON value
    """Return a copy of a document, or of a part, in which every text is hostile."""
    if isinstance(part, list):
        return [make_hostile(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {
        name: TEXT if name in WORDS and isinstance(each, str) else make_hostile(each) for name, each in part.items()
    }
