import json

import pytest

from api.cli.backup.backup_error import BackupError
from api.cli.backup.sealed_keys import check_passphrase, open_keys, seal_keys

VALUES = {"LEDGER_PEPPERS": "1:abc=", "LEDGER_SECRET_KEY": "x # y"}
PASSPHRASE = "four words are enough"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost is for those who guess."""
    monkeypatch.setattr("api.cli.backup.sealed_keys.COST", 2**4)


def test_only_the_passphrase_opens_the_keys() -> None:
    sealed = seal_keys(VALUES, PASSPHRASE)

    assert open_keys(sealed, PASSPHRASE) == VALUES
    assert b"abc" not in sealed
    with pytest.raises(BackupError, match="is not the passphrase of this backup"):
        open_keys(sealed, PASSPHRASE + ".")


@pytest.mark.parametrize(
    "change", [{"salt": "AAAA"}, {"sealed": "AAAA"}, {"cost": 2**40}, {"cost": 3}, {"block_size": 0}]
)
def test_altered_file_is_refused(change: dict[str, object]) -> None:
    document = {**json.loads(seal_keys(VALUES, PASSPHRASE)), **change}

    with pytest.raises(BackupError, match=r"altered|is not the passphrase"):
        open_keys(json.dumps(document).encode(), PASSPHRASE)


def test_short_passphrase_is_refused() -> None:
    check_passphrase("x" * 16)
    with pytest.raises(BackupError, match="at least 16 characters"):
        check_passphrase("x" * 15)
