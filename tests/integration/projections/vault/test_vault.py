"""The vault and its keyrings: found by digest, opened by key, refused with the wrong ring."""

import base64
from uuid import UUID, uuid4

import psycopg
import pytest
from pydantic import SecretStr

from domain.values.identifiers import EmailAddress
from projections.database.errors import SchemaMismatchError, StorageUnavailableError, WrongKeysError
from projections.database.migrations import migrate
from projections.storage.bootstrap import LedgerStore
from projections.vault.key_ring import KeyRing, KeyRingError
from projections.vault.vault import DigestMismatchError, RowKind, SealBrokenError, SearchableRow, Vault
from tests.support.ledger.settings import settings_for

A, B = (base64.b64encode(key_byte * 32).decode() for key_byte in (b"a", b"b"))
ROW = UUID(int=7)


def vault(peppers: str = f"1:{A}", master: str = f"1:{A}") -> Vault:
    return Vault(KeyRing.parse(peppers), KeyRing.parse(master))


def test_encrypted_text_can_be_decrypted() -> None:
    """Sealing twice gives different bytes, both open to the same text."""
    one, two = (vault().seal("text", ROW, "秘密") for _ in range(2))

    assert one.sealed != two.sealed
    assert {vault().open_text(ROW, draft.sealed, draft.key_id) for draft in (one, two)} == {"秘密"}


@pytest.mark.parametrize(
    ("kind", "row", "flip"), [("code", ROW, False), ("text", UUID(int=8), False), ("text", ROW, True)]
)
def test_row_cannot_be_passed_off_as_another(kind: RowKind, row: UUID, flip: bool) -> None:
    """Another kind, another row or one flipped bit: it does not open."""
    draft = vault().seal(kind, ROW, "secret")
    sealed = draft.sealed[:-1] + bytes([draft.sealed[-1] ^ 1]) if flip else draft.sealed

    with pytest.raises(SealBrokenError):
        vault().open_text(row, sealed, draft.key_id)


def row_of(of: Vault, address: str, row_id: UUID = ROW) -> SearchableRow:
    draft = of.draft_recipient(EmailAddress.parse(address), row_id)
    sealed = draft.seal()
    return SearchableRow(row_id, draft.digests[0], draft.pepper_id, sealed.sealed, sealed.key_id)


def test_row_whose_digest_is_of_another_text_is_not_opened() -> None:
    """The digest decides whom a lookup finds, the text where emails go: both must be of one person."""
    mine, theirs = row_of(vault(), "Li.Wei@Example.com"), row_of(vault(), "mallory@example.com", UUID(int=8))

    assert vault().open("recipient", mine) == "Li.Wei@Example.com"
    with pytest.raises(DigestMismatchError):
        vault().open("recipient", mine._replace(digest=theirs.digest))


def test_row_under_an_older_pepper_is_opened_while_that_pepper_is_in_the_ring() -> None:
    """A pepper that was removed too early leaves a digest that can't be checked."""
    old = row_of(vault(), "li.wei@example.com")

    assert vault(peppers=f"2:{B},1:{A}").open("recipient", old) == "li.wei@example.com"
    with pytest.raises(SealBrokenError, match="pepper 1 is not in LEDGER_PEPPERS"):
        vault(peppers=f"2:{B}").open("recipient", old)
    with pytest.raises(DigestMismatchError):
        vault(peppers=f"2:{B},1:{A}").open("recipient", old._replace(pepper_id=2))


def test_keys_rotate_by_id() -> None:
    """A ring with a new first key seals with it and still opens what the old one encrypted."""
    old = vault().seal("text", ROW, "secret")
    rotated = vault(master=f"2:{B},1:{A}")

    assert rotated.open_text(ROW, old.sealed, old.key_id) == "secret"
    assert rotated.seal("text", ROW, "secret").key_id == 2
    with pytest.raises(SealBrokenError, match="master key 1"):
        vault(master=f"2:{B}").open_text(ROW, old.sealed, old.key_id)


def test_person_is_found_under_an_old_pepper() -> None:
    """Digests are given for every pepper, the current one's first."""
    address = EmailAddress.parse("li.wei@example.com")
    old = vault().draft_recipient(address, uuid4())
    new = vault(peppers=f"2:{B},1:{A}").draft_recipient(address, uuid4())

    assert new.pepper_id == 2
    assert old.digests[0] == new.digests[1] != new.digests[0]


def test_code_and_a_person_of_the_same_text_differ() -> None:
    """A digest says of what kind it is."""
    assert vault().compute_digests("code", "x") != vault().compute_digests("recipient", "x")


def test_long_free_text_is_cut() -> None:
    """A server may say anything, at any length; a cut inside a character leaves no half of it."""
    draft = vault().seal_text("é" * 10_000, uuid4(), ROW)

    text = vault().open_text(draft.text_id, draft.content.sealed, draft.content.key_id)
    assert text == "é" * 2048


@pytest.mark.parametrize(
    "text", ["", "x", f"0:{A}", f"1:{A},1:{B}", "1:abc", f"1{A}", f"1:{A}x", f"99999:{A}", f"1:{A},"]
)
def test_text_that_is_not_a_key_ring_is_refused(text: str) -> None:
    """The error says the form, and nothing of the content."""
    with pytest.raises(KeyRingError, match="id:base64") as caught:
        KeyRing.parse(text)

    assert A not in str(caught.value)


@pytest.mark.parametrize("variable", ["LEDGER_PEPPERS", "LEDGER_MASTER_KEYS"])
@pytest.mark.parametrize("key_id", [1, 9])
def test_process_with_the_wrong_ring_refuses_to_start(database_url: str, variable: str, key_id: int) -> None:
    """Another key under the same id, or no key in shared_app: one sentence that names the variable."""
    LedgerStore.open(settings_for(database_url)).close()
    field = variable.removeprefix("LEDGER_").lower()
    wrong = settings_for(database_url).model_copy(update={field: SecretStr(f"{key_id}:{B}")})

    with pytest.raises(WrongKeysError, match=variable):
        LedgerStore.open(wrong)


def test_key_ring_with_one_more_key_does_not_raise(database_url: str) -> None:
    """Rotation adds a key: the database takes its check value."""
    settings = settings_for(database_url)
    LedgerStore.open(settings).close()
    more = settings.model_copy(update={"peppers": SecretStr(f"2:{B}," + settings.peppers.get_secret_value())})

    LedgerStore.open(more).close()
    LedgerStore.open(more).close()


def test_older_schema_is_refused_with_the_command_to_migrate(postgres_url: str) -> None:
    """An empty database: run `ledger migrate`, then it opens."""
    name = f"empty_{uuid4().hex}"
    url = _create(postgres_url, name)
    with pytest.raises(SchemaMismatchError, match="ledger migrate"):
        LedgerStore.open(settings_for(url))
    first, second = migrate(url), migrate(url)

    assert first
    assert second == []
    LedgerStore.open(settings_for(url)).close()


def test_newer_schema_is_refused(database_url: str) -> None:
    """Old code never writes into a schema that it does not know."""
    with psycopg.connect(database_url) as conn:
        conn.execute(
            "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
            " VALUES ('x', '9999_future', now())"
        )

    with pytest.raises(SchemaMismatchError, match="newer"):
        LedgerStore.open(settings_for(database_url))


def test_unavailable_database_is_named_without_its_password() -> None:
    """The sentence names the address that did not answer."""
    with pytest.raises(StorageUnavailableError, match=r"127\.0\.0\.1:1/none") as caught:
        LedgerStore.open(settings_for("postgresql://ledger:hidden@127.0.0.1:1/none"))

    assert "hidden" not in str(caught.value)


def _create(server: str, name: str) -> str:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    return server.rpartition("/")[0] + f"/{name}"
