"""Which operations the clients repeat after a lost answer: those that are named, and no other."""

from copy import deepcopy
from pathlib import Path

import pytest

from tests.contracts.clients.strict_decoder import Document
from tests.packaging.client_operations import REPEATABLE, list_operations
from tests.packaging.python_client import write_client
from tests.packaging.typescript_client import write_sources

KEYED = {"public_redeem", "redemptions_redeem_for", "codes_issue", "campaigns_create", "hand_outs_create"}


def test_only_operations_without_a_further_effect_are_repeated(document: Document) -> None:
    """All that reads, what has an `Idempotency-Key`, and what is named."""
    operations = {each.described["operationId"]: each for each in list_operations(document)}

    assert {name for name, each in operations.items() if each.takes_key} == KEYED
    assert {name for name, each in operations.items() if each.is_repeatable and each.method != "GET"} == {
        *(*KEYED, "redemptions_redeem_codes", "public_correct_recipient", "public_rebind"),
        *("codes_replace_terms", "channels_delete_channel", "webhooks_remove_webhook"),
    }
    assert all(each.is_repeatable for each in operations.values() if each.method == "GET")
    assert [name for name, each in operations.items() if each.gone_is_done] == ["webhooks_remove_webhook"]


@pytest.mark.parametrize("name", sorted(REPEATABLE))
def test_build_of_a_client_fails_if_a_named_operation_is_gone(document: Document, tmp_path: Path, name: str) -> None:
    """Both say which, before they write anything."""
    changed = deepcopy(document)
    for methods in changed["paths"].values():
        for operation in methods.values():
            operation["operationId"] = operation["operationId"].replace(name, "renamed")
    for write in (write_client, write_sources):
        with pytest.raises(ValueError, match=f"no operation {name}"):
            write(changed, tmp_path)

    assert list(tmp_path.iterdir()) == []
