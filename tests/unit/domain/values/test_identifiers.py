"""Normal forms of codes and addresses: part of identity, so they are pinned here forever."""

import random
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.values.identifiers import (
    CROCKFORD,
    NATIVE_LENGTH,
    TYPED_LENGTH_MAX,
    EmailAddress,
    MalformedCodeError,
    MalformedEmailError,
    candidate_codes,
    format_code,
    generate_code,
    is_native,
    normalize_code,
)

NATIVE = "MCM1PRY5KC9WVE1AS4PD"


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("abc123", "ABC123"),
        ("  abc-123 ", "ABC123"),
        ("ABC 123", "ABC123"),
        ("ＡＢＣ１２３", "ABC123"),
        ("abc\u2013123", "ABC123"),
        ("abc\u00a0123", "ABC123"),
        ("promo_2024!", "PROMO_2024!"),
        ("O0IL1", "O0IL1"),
        ("mcm1-pry5-kc9w-ve1a-s4pd", NATIVE),
        ("MCMI-PRY5-KC9W-VEIA-S4PD", NATIVE),
        ("mcml pry5 kc9w vela s4pd", NATIVE),
        ("夏日优惠", "夏日优惠"),
        ("e\u0301te", "\u00c9TE"),
        ("x" * 64, "X" * 64),
    ],
)
def test_spellings_of_a_code_share_one_form(typed: str, normal: str) -> None:
    assert normalize_code(typed) == normal


@pytest.mark.parametrize("typed", ["", " ", "---", "x" * 65, "a\x00b", "a\nb", "a\u200bb", "\ud800", "x" * 10_000])
def test_text_that_is_not_a_code_is_malformed(typed: str) -> None:
    with pytest.raises(MalformedCodeError):
        normalize_code(typed)


@given(st.text(max_size=70))
@example("E \u0304")
def test_normal_form_is_its_own_normal_form(typed: str) -> None:
    try:
        normal = normalize_code(typed)
    except MalformedCodeError:
        return
    assert normalize_code(normal) == normal


@pytest.mark.parametrize(
    ("typed", "candidates"),
    [
        (NATIVE, (NATIVE,)),
        ("FAIR" + NATIVE, ("FAIR" + NATIVE,)),
        ("FAIR" + NATIVE.replace("1", "I").replace("0", "O"), None),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", ("ABCDEFGHIJKLMNOPQRSTUVWXYZ",)),
        ("SHORT", ("SHORT",)),
        (NATIVE.replace("1", "I"), (NATIVE.replace("1", "I"),)),
    ],
)
def test_code_behind_a_prefix_may_be_stored_with_folded_characters(
    typed: str, candidates: tuple[str, ...] | None
) -> None:
    """Only where the folded form is a native code that differs from what was typed."""
    expected = (typed, "FAIR" + NATIVE) if candidates is None else candidates

    assert candidate_codes(typed) == expected


def test_typed_code_of_the_greatest_length_is_read() -> None:
    assert normalize_code("A" + " " * (TYPED_LENGTH_MAX - 1)) == "A"
    with pytest.raises(MalformedCodeError):
        normalize_code("A" + " " * TYPED_LENGTH_MAX)


def test_spaces_and_dashes_of_other_scripts_are_left_out() -> None:
    assert normalize_code("新\u00a0年\u3000快\u2013乐\u2014\u1680A") == "新年快乐A"


@given(st.integers())
def test_drawn_codes_are_native_and_read_back(seed: int) -> None:
    code = generate_code(random.Random(seed))

    assert is_native(code)
    assert len(code) == NATIVE_LENGTH
    assert normalize_code(format_code(code).lower().replace("0", "o").replace("1", "l")) == code


def test_one_wrong_character_is_noticed() -> None:
    """The check character finds any single wrong character (Crockford: the modulus is prime and above 32)."""
    for place in range(NATIVE_LENGTH - 1):
        for character in CROCKFORD:
            wrong = NATIVE[:place] + character + NATIVE[place + 1 :]
            assert is_native(wrong) == (wrong == NATIVE)


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Li.Wei@Example.COM", "li.wei@example.com"),
        ("  a+tag@example.com ", "a+tag@example.com"),
        ("a@bücher.example", "a@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@ＢÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@例子.测试", "a@xn--fsqu00a.xn--0zwm56d"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("o'neil@ab--cd.example", "o'neil@ab--cd.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("J\u030can@example.com", "\u01f0an@example.com"),
        ("o'neil!#$%&*/=?^_`{|}~-@a-b.example.com", "o'neil!#$%&*/=?^_`{|}~-@a-b.example.com"),
    ],
)
def test_address_has_one_normal_form(typed: str, normal: str) -> None:
    assert EmailAddress.parse(typed).normal == normal


@pytest.mark.parametrize("spaces", [0, 66])
def test_address_of_the_greatest_length_is_read(spaces: int) -> None:
    """254 octets, in a text of up to 320 characters; one more of either is not read."""
    address = f"{'a' * 62}'a@{'b' * 63}.{'c' * 63}.{'d' * 57}.com"
    typed = " " * spaces + address

    assert (len(address), EmailAddress.parse(typed).normal) == (254, address)
    with pytest.raises(MalformedEmailError):
        EmailAddress.parse(typed.replace("d.com", "dd.com"))
    with pytest.raises(MalformedEmailError):
        EmailAddress.parse(" " * 67 + address)


def test_typed_form_is_kept_for_mail() -> None:
    """Mail goes to what was typed; identity is the normal form."""
    assert EmailAddress.parse(" Li.Wei@Example.com ").typed == "Li.Wei@Example.com"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "x",
        "@example.com",
        "a@",
        "a@b",
        "a@localhost",
        "a b@example.com",
        "a@exa mple.com",
        "a@example.com, b@example.com",
        "a@example.com;b@example.com",
        "a@b@example.com",
        "a@example.com\r\nBcc: z@example.com",
        "a\r\nBcc:z@example.com",
        "a\x00@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        '"a b"@example.com',
        "a@-example.com",
        "a@example..com",
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "<a@example.com>",
        "x" * 65 + "@example.com",
        "x" * 64 + "@" + "y" * 60 + "." + "z" * 60 + "." + "w" * 60 + "." + "v" * 60 + ".example.com",
        "x" * 400 + "@example.com",
        "\ud800@example.com",
        "a\u037eb@example.com",
        "a@xn--zzzzzzzzzz--.com",
        "a@xn--abc.example",
        "A@XN--ABC.example",
        "o'neil@xn--abc.example",
    ],
)
def test_text_that_is_not_one_email_address_is_malformed(typed: str) -> None:
    """Anything but exactly one address is refused, long before it could reach a header."""
    with pytest.raises(MalformedEmailError):
        EmailAddress.parse(typed)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_malformed(typed: str) -> None:
    try:
        address = EmailAddress.parse(typed)
    except MalformedEmailError:
        return
    assert EmailAddress.parse(address.normal).normal == address.normal
    assert "\r" not in address.typed
    assert "\n" not in address.typed


def _read(parse: Callable[[str], EmailAddress], typed: str) -> EmailAddress | None:
    try:
        return parse(typed)
    except MalformedEmailError:
        return None


_WORDS = st.text(st.sampled_from("aZ09._+-"), max_size=70)
_ODD = st.sampled_from(["", " ", ".", "..", "-", "ü", "xn--", "@", "\u212a", "\n"])


@given(st.builds(lambda *parts: "".join(parts), _ODD, _WORDS, _ODD, st.just("@"), _WORDS, _ODD, st.just(".com"), _ODD))
@example("a@b.com\n")
@example("A.b+c@XN--80ak6aa92e.com")
@example(f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 60}.com")
def test_fast_path_of_an_address_equals_the_full_one(typed: str) -> None:
    assert _read(EmailAddress.parse, typed) == _read(EmailAddress._parse_any, typed)


@pytest.mark.parametrize(
    ("normal", "shown"),
    [
        (NATIVE, "MCM1-PRY5-KC9W-VE1A-S4PD"),
        ("FAIR" + NATIVE, "FAIR-MCM1-PRY5-KC9W-VE1A-S4PD"),
        ("ABC123", "ABC123"),
        (NATIVE + "X", NATIVE + "X"),
    ],
)
def test_native_code_is_shown_in_groups_behind_its_prefix(normal: str, shown: str) -> None:
    assert format_code(normal) == shown
