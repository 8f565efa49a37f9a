"""The id of a filled-in form becomes the request id of its events."""

import pytest

from api.web.forms import new_nonce, request_id_from_nonce


def test_form_id_made_by_a_page_names_its_act() -> None:
    """With the prefix that tells it from a request's."""
    nonce = new_nonce()

    assert request_id_from_nonce(nonce) == f"form:{nonce}"


@pytest.mark.parametrize("typed", ["", "n1", "13812345678", "LiWei", "x" * 32, "T6Z7Z16GK5WAXPK11EX3"])
def test_form_id_that_no_page_made_names_no_act(typed: str) -> None:
    """A form that was sent by hand may hold a name, a phone number or a code."""
    assert request_id_from_nonce(typed) is None
