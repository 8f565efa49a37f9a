from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from api.auth.sealed_state import OpenedState, open_state, seal_state
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault

NOW = datetime(2026, 12, 1, tzinfo=UTC)
VAULT = Vault(KeyRing(1, {1: b"p" * 32}), KeyRing(1, {1: b"m" * 32}))
STATE = OpenedState(uuid4(), ["a", None, True], NOW + timedelta(minutes=10))


def test_state_is_opened_as_it_was_sealed() -> None:
    assert open_state(VAULT, "assert", seal_state(VAULT, "assert", STATE), NOW) == STATE


def test_state_is_not_opened_for_another_purpose_or_after_its_time() -> None:
    sealed = seal_state(VAULT, "register", STATE)

    assert open_state(VAULT, "assert", sealed, NOW) is None
    assert open_state(VAULT, "register", sealed, STATE.expires_at) is None


@pytest.mark.parametrize(
    "text", ["", "x", "..", "0.1.", f"{UUID(int=1).hex}.1.AAAA", f"{UUID(int=1).hex}.9.AAAA", "é.1.é"]
)
def test_other_text_is_no_state(text: str) -> None:
    assert open_state(VAULT, "assert", text, NOW) is None
    moved = seal_state(VAULT, "assert", STATE).replace(STATE.state_id.hex, uuid4().hex)
    assert open_state(VAULT, "assert", moved, NOW) is None
