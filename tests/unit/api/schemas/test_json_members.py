import json

import orjson
import pytest

from api.schemas.json_members import NAME_LENGTH_MAX, RepeatedMemberError, check_members


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"email":"a","email":"b"}', "email"),
        ('{"email":"a","\\u0065mail":"a"}', "email"),
        ('{"a":1,"variables":{"b":1,"b":1}}', "b"),
        ('{"a":[{"b":{"c":1}},{"d":1,"d":2}]}', "d"),
        ('[{"a":1},{"a":2},{"":1,"":2}]', ""),
        ('{"a":":","b":1,"a":":"}', "a"),
        (json.dumps({"x" * 99: 1})[:-1] + ',"' + "x" * 99 + '":2}', "x" * NAME_LENGTH_MAX),
    ],
)
def test_repeated_member_is_named(text: str, name: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(RepeatedMemberError) as caught:
            check_members(form, orjson.loads(text))
        assert caught.value.name == name


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"b":{"a":1}}', '{"a":"b:c:d","A":1}', '[{"a":1},{"a":1}]', '{"a":' + "9" * 300 + ',"b":":"}', "7"],
)
def test_document_without_repeated_members_is_accepted(text: str) -> None:
    check_members(text, orjson.loads(text))


def test_document_that_is_nested_too_deeply_is_reported() -> None:
    """Python 3.12 and later read ten times as deep as earlier ones."""
    with pytest.raises(RecursionError):
        check_members('{"a":' * 100_000 + "1" + "}" * 100_000, None)
