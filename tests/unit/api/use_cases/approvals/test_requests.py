from uuid import UUID

import msgspec
import pytest

from api.use_cases.approvals.requests import (
    ROLES,
    CodeConditions,
    RevokeCodes,
    RevokeLine,
    read_request,
    store_request,
)

KEY = UUID(int=1)
OF_A_BATCH = (
    '{"what":"revoke_codes","conditions":{"state":"","group":"","campaign":null,"kind":"","since":null,"until":null},'
    f'"batch_id":"{KEY}"}}'
)


def test_revocation_of_codes_is_stored_as_versions_before_stored_it() -> None:
    """So the same request is the same proposal after an upgrade."""
    request = RevokeCodes(CodeConditions(), KEY)

    assert (store_request(request), read_request(OF_A_BATCH)) == (OF_A_BATCH, request)


def test_revocation_of_a_line_has_a_name_of_its_own() -> None:
    """A version before does not read it as the revocation of all codes."""
    request = RevokeLine(KEY)
    stored = store_request(request)

    assert stored == f'{{"what":"revoke_line","line_id":"{KEY}"}}'
    assert (read_request(stored), request.subject_id) == (request, KEY)
    assert ROLES[request.KIND] == "admin"


def test_request_with_a_field_of_a_later_version_is_not_read() -> None:
    """The field may be what limits it."""
    with pytest.raises(msgspec.ValidationError, match="unknown field `shop_id`"):
        read_request(OF_A_BATCH.replace("batch_id", "shop_id"))
