"""Rotating the vault's keys while rows of both generations are asked for."""

import base64
import random
from collections.abc import Iterator
from itertools import islice
from uuid import uuid4

import pytest

from domain.results import CommandResult
from domain.values.identifiers import EmailAddress
from projections.config.settings import LedgerSettings
from projections.privacy import key_rotation
from projections.privacy.key_rotation import KeyRotation
from projections.repositories.staff_accounts import StaffAccountRepository
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from projections.storage.bootstrap import LedgerStore
from projections.vault.vault import SealBrokenError
from tests.support.ledger.ledger_bench import LedgerBench, assert_no_drift, done
from tests.support.ledger.settings import settings_for

NEW = "2:" + base64.b64encode(b"n" * 32).decode()


def ringed(database_url: str, *, old_too: bool = True) -> LedgerSettings:
    """Settings with new keys in front of the old ones, or with the new ones alone."""
    old = settings_for(database_url)
    rings = {
        "peppers": f"{NEW},{old.peppers.get_secret_value()}" if old_too else NEW,
        "master_keys": f"{NEW},{old.master_keys.get_secret_value()}" if old_too else NEW,
    }
    return LedgerSettings.model_validate({"DATABASE_URL": database_url, "secret_key": "test", **rings})


@pytest.fixture
def filled(bench: LedgerBench) -> LedgerBench:
    for number in range(3):
        code = bench.issue(2, bound=False)
        reservation_id = done(bench.redeem(code, f"person{number}@example.com")).require_reservation().reservation_id
        bench.attempt(reservation_id)
    return bench


@pytest.fixture
def rotating(filled: LedgerBench) -> Iterator[LedgerBench]:
    with LedgerStore.open(ringed(filled.database_url)) as storage:
        yield LedgerBench(storage, filled.database_url, random.Random(8))


def test_people_and_codes_are_found_before_during_and_after(
    rotating: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known person stays one person, whichever key their row is under; and new rows use the new keys at once."""
    monkeypatch.setattr(key_rotation, "BATCH", 1)
    rotation = KeyRotation(rotating.storage)
    people = rotating.rows("SELECT recipient_id FROM recipients ORDER BY 1")
    list(islice(rotation.run(), 4))
    left = rotation.count_remaining()

    assert 0 < left < 6
    for number in range(3):
        address = f"Person{number}@example.com"
        code = rotating.issue(1)
        assert isinstance(rotating.redeem(code, address), CommandResult)
    assert people == rotating.rows("SELECT recipient_id FROM recipients ORDER BY 1")

    assert sum(rotation.run()) == left
    assert rotation.count_remaining() == 0
    assert_no_drift(rotating)


def test_afterwards_the_old_keys_are_not_needed(rotating: LedgerBench) -> None:
    """With the new ring alone everything opens, and everybody is found."""
    ids = rotating.rows("SELECT recipient_id FROM recipients ORDER BY 1")
    assert sum(KeyRotation(rotating.storage).run()) == 6

    with LedgerStore.open(ringed(rotating.database_url, old_too=False)) as storage:
        alone = LedgerBench(storage, rotating.database_url, random.Random(9))
        code = alone.issue(5, bound=False)
        for number in range(3):
            alone.redeem(code, f"person{number}@example.com")
        (reservation_id,) = alone.rows("SELECT min(reservation_id::text)::uuid FROM reservations")[0]

        assert ids == alone.rows("SELECT recipient_id FROM recipients ORDER BY 1")
        assert alone.reader.find_email_addresses([reservation_id])


def test_without_the_old_key_it_stops_and_says_which(filled: LedgerBench) -> None:
    """Nothing is lost: put back, the next run continues."""
    ring = ringed(filled.database_url)
    forgetful = ring.model_copy(update={"master_keys": ringed(filled.database_url, old_too=False).master_keys})
    vault = forgetful.open_vault()
    with LedgerStore.open(ring) as storage:
        object.__setattr__(storage, "vault", vault)
        with pytest.raises(SealBrokenError, match="master key 1 is not in LEDGER_MASTER_KEYS"):
            list(KeyRotation(storage).run())

        assert KeyRotation(storage).count_remaining() == 6


def test_refusals_keep_the_older_pepper(rotating: LedgerBench) -> None:
    """Only digests of addresses are kept of refused tries, so they age out instead."""
    rotation = KeyRotation(rotating.storage)
    assert rotation.find_last_old_rejection() is None
    with LedgerStore.open(settings_for(rotating.database_url)) as storage:
        before = LedgerBench(storage, rotating.database_url, random.Random(9))
        code = before.issue(1)
        before.attempt(done(before.redeem(code, f"{uuid4()}@example.com")).require_reservation().reservation_id)
        before.redeem(code, "somebody@example.com")

    assert rotation.find_last_old_rejection() is not None


def test_second_factor_opens_with_the_new_key_alone_after_the_rotation(
    filled: LedgerBench, rotating: LedgerBench
) -> None:
    """Else its user would be locked out when the old key is gone."""
    draft = filled.storage.vault.draft_staff(EmailAddress.parse("mei@staff.example.com"), uuid4())
    now = filled.storage.recorder.clock.now()
    staff_id = StaffAccountRepository(filled.storage).insert(draft, "hash", "viewer", now)
    assert staff_id is not None
    content = FactorContent(staff_id, "Phone", secret="JBSWY3DPEHPK3PXP")
    assert StaffFactorRepository(filled.storage).insert(NewFactor(uuid4(), "totp", content, counter=0), now)

    list(KeyRotation(rotating.storage).run())

    with LedgerStore.open(ringed(rotating.database_url, old_too=False)) as storage:
        (factor,) = StaffFactorRepository(storage).list_of(staff_id)
    assert factor.content == content
    assert KeyRotation(rotating.storage).count_remaining() == 0
