import pytest

from projections.config.staff_roles import highest_role, parse_group_roles, parse_required_roles


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("", {}),
        ("ledger-admins=admin", {"ledger-admins": "admin"}),
        (" a = admin , b=viewer,", {"a": "admin", "b": "viewer"}),
    ],
)
def test_groups_have_the_roles_that_are_written(text: str, roles: dict[str, str]) -> None:
    assert parse_group_roles(text) == roles


@pytest.mark.parametrize(
    "text", ["admins", "admins=owner", "=admin", "a=admin;b=viewer", "a=admin b=viewer,c", "cn=admin,ou=x=admin"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ledger-admins=admin,helpdesk=support"):
        parse_group_roles(text)


def test_highest_role_counts() -> None:
    assert highest_role(["viewer", "admin", "support"]) == "admin"
    assert highest_role([]) is None


@pytest.mark.parametrize(
    ("text", "roles"), [("off", set()), ("", set()), ("admin", {"admin"}), (" admin , support", {"admin", "support"})]
)
def test_roles_that_need_a_second_factor_are_those_that_are_written(text: str, roles: set[str]) -> None:
    assert parse_required_roles(text) == roles


@pytest.mark.parametrize("text", ["on", "admin;support", "off,admin", "admin,", "owner"])
def test_other_roles_that_need_a_second_factor_are_refused(text: str) -> None:
    """A misspelled role would silently leave accounts without one."""
    with pytest.raises(ValueError, match="write off, or roles as admin,support"):
        parse_required_roles(text)
