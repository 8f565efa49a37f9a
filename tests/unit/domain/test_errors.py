"""Refusals are found by their code, and say what they were given."""

import pytest

from domain.errors import CodeUnknown, OutOfBounds, Refusal, RefusalWithReason, refusal_classes


def test_refusal_classes_are_those_with_a_code() -> None:
    kinds = list(refusal_classes())

    assert {CodeUnknown, OutOfBounds} <= set(kinds)
    assert not {Refusal, RefusalWithReason} & set(kinds)
    assert len(kinds) == len(set(kinds))
    assert list(refusal_classes(CodeUnknown)) == []


def test_refusal_is_its_code_and_keeps_its_facts() -> None:
    unknown = CodeUnknown(retry_after_s=7, taken=2)
    beyond = OutOfBounds("max_uses")

    assert (str(unknown), unknown.retry_after_s, unknown.facts) == ("CODE_INVALID", 7, {"taken": 2})
    assert (str(beyond), beyond.retry_after_s, beyond.facts) == ("OUT_OF_BOUNDS", None, {"why": "max_uses"})
    with pytest.raises(Refusal, match=r"^OUT_OF_BOUNDS$"):
        raise beyond
