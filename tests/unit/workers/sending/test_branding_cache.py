from domain.values.email_branding import DEFAULT_BRANDING, EmailBranding
from workers.sending.branding_cache import GROUPS_MAX, KEPT_S, BrandingCache

RED, BLUE = EmailBranding(accent="#b0301c"), EmailBranding(accent="#1f5fbf")


class Groups:
    def __init__(self) -> None:
        self.brandings: dict[str, EmailBranding] = {"red": RED}
        self.read: list[str] = []
        self.now = 0.0
        self.cache = BrandingCache(self.find, lambda: self.now)

    def find(self, group: str) -> EmailBranding:
        self.read.append(group)
        return self.brandings.get(group, DEFAULT_BRANDING)


def test_branding_is_read_once_until_it_may_have_changed() -> None:
    groups = Groups()
    first = [groups.cache.find(name) for name in ("red", "blue") * 3]
    groups.brandings["red"] = BLUE
    groups.now = KEPT_S - 0.1
    before = groups.cache.find("red")
    groups.now = KEPT_S
    after = groups.cache.find("red")

    assert first == [RED, DEFAULT_BRANDING] * 3
    assert (before, after) == (RED, BLUE)
    assert groups.read == ["red", "blue", "red"]


def test_branding_of_the_group_that_was_read_first_is_dropped() -> None:
    groups = Groups()
    names = [f"group {number}" for number in range(GROUPS_MAX + 1)]
    for name in names:
        groups.cache.find(name)
    groups.read.clear()
    groups.cache.find(names[1])
    groups.cache.find(names[0])

    assert groups.read == [names[0]]
