"""Variables in the texts of emails."""

from domain.values.text_variables import fill_variables, find_variables


def test_variable_is_filled_in_upper_and_lower_case() -> None:
    """Columns of lists are read in any letter case, so a text may name them as the file does."""
    text = "Dear {Name}, {NAME} of {city}: {Kode}{nope} { name } {{name}}"

    assert fill_variables(text, {"name": "Li {city}", "city": "Ulm"}) == (
        "Dear Li {city}, Li {city} of Ulm:  { name } {Li {city}}"
    )
    assert find_variables(text) == ["name", "city", "kode", "nope"]
