"""An OpenAPI document whose texts try to leave the docstrings and comments that are generated from it."""

from typing import Final

from tests.contracts.clients.strict_decoder import Document

TEXT: Final = '''A """ ends.
"""
PLANTED = 1
*/ PLANTED = 2; /* // \r\t\\" \\ \\u12 \\N{x} {0} {{ x }} {% y %} ${z} `w` <!-- ]]> r"""'''
WORDS: Final = ("description", "summary", "title")


def make_hostile(document: Document) -> Document:
    """Return a copy of a document, or of an object in it, in which every text is hostile."""
    return {name: TEXT if name in WORDS and isinstance(each, str) else _change(each) for name, each in document.items()}


def _change(part: object) -> object:
    if isinstance(part, list):
        return [_change(each) for each in part]
    return make_hostile(part) if isinstance(part, dict) else part
