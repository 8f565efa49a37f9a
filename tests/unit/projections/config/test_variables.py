from pathlib import Path

import pytest

from projections.config.variables import Variable, find_faults, parse_variables, read_file_variables, read_variables


def test_secrets_file_has_comments_quotes_and_exports() -> None:
    text = "# keys\nA=1\n\nexport B = '2'\nC=\"3\"\nD=x==\nE=\nno variable\n  #F=1\nG='\n"

    assert parse_variables(text) == {"A": "1", "B": "2", "C": "3", "D": "x==", "E": "", "G": "'"}


def test_variables_name_the_source_that_takes_precedence(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("a=1\nB=2\nC=\n")

    assert read_variables({"LEDGER_SECRETS_FILE": str(file), "b": "3", "C": ""}) == {
        "A": Variable("1", str(file)),
        "B": Variable("3", "environment"),
        "LEDGER_SECRETS_FILE": Variable(str(file), "environment"),
    }
    assert read_file_variables(tmp_path / "none") == read_file_variables(None) == {}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("# A=$x\n\nexport A = 1\nB='$x # y'\n", ["line 4: the quotes are not part of the value of B"]),
        ("A=1\r\nB=2\r\n", ["the lines end in CRLF, which is not part of a value"]),
        ("A=1\na=2\nA=3\n", ["line 2 sets A again: line 1 has no effect", "line 3 sets A again: line 2 has no effect"]),
        ("A 1\nA: 1\n=1\n1A=1\n", [f"line {number} is not NAME=value: it has no effect" for number in range(1, 5)]),
        ("A='1\n", ["line 1: the quote that begins the value of A does not end on the line"]),
        ("A=x #y\n", ["line 1: Compose takes what follows # for a comment: write the value of A in single quotes"]),
        ("A=x#y\n", []),
        (
            'A="x$y"\n',
            [
                "line 1: the quotes are not part of the value of A",
                "line 1: Compose replaces $ and the name after it: write the value of A in single quotes",
            ],
        ),
    ],
)
def test_faults_of_a_file_are_named_by_line(text: str, sentences: list[str]) -> None:
    faults = list(find_faults(text))

    assert [fault.sentence for fault in faults] == sentences
    assert [fault.is_harmless for fault in faults] == ["quotes are" in one or "CRLF" in one for one in sentences]
