from pathlib import Path

import pytest
from pydantic import ValidationError

from projections.config.settings import LedgerSettings
from projections.config.throwaway_list import VENDORED, load_throwaway_domains
from tests.support.ledger.settings import settings_for

KEYS = settings_for("postgresql://localhost/none").model_dump(exclude_unset=True)


def test_list_of_this_version_has_well_known_services_and_no_mail_provider() -> None:
    names = [line for line in VENDORED.read_text().splitlines() if line and not line.startswith("#")]
    listed = load_throwaway_domains(None)

    assert names == sorted(set(names))
    assert listed == {*names}
    assert {"mailinator.com", "guerrillamail.com", "yopmail.com", "10minutemail.com"} <= listed
    assert {"gmail.com", "outlook.com", "qq.com", "163.com", "proton.me", "example.com"} & listed == set()
    assert "As of 20" in VENDORED.read_text()


def test_file_of_the_operator_changes_the_list(tmp_path: Path) -> None:
    file = tmp_path / "domains.txt"
    file.write_text("-yopmail.com\nours.example\n")
    settings = LedgerSettings.model_validate({**KEYS, "throwaway_file": file})

    assert settings.policy.throwaway_domains == load_throwaway_domains(None) - {"yopmail.com"} | {"ours.example"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"a b\n", "line 1 is not a domain name"), (b"\xff\xff", "cannot be read")],
)
def test_file_that_is_no_list_stops_the_start(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "domains.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ValidationError, match=message):
        LedgerSettings.model_validate({**KEYS, "throwaway_file": file})
