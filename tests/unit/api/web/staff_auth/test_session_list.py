from datetime import UTC, datetime

import pytest

from api.i18n.catalogs import translator
from api.web.staff_auth.session_list import list_sessions
from projections.repositories.staff_sessions import Device, SessionRow

AT = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(("network", "shown"), [("203.0.113.0/24", "203.0.113.0/24"), (None, "-")])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_session_shows_its_network_or_a_dash(network: str | None, shown: str, language: str) -> None:
    (listed,) = list_sessions([SessionRow(b"x", Device(), network, AT, AT)], translator(language))

    assert listed.network == shown
