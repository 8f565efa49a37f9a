"""Why a file cannot be imported, and why a record of it is rejected or left out."""

from typing import Literal, NamedTuple

FileProblem = Literal[
    "empty", "columns", "missing_column", "repeated_column", "unknown_columns", "misspelled_column", "encoding", "csv"
]
RecordProblem = Literal["columns", "csv", "json", "encoding", "length", "repeated", "exists", "active", "card"]
"""What can be wrong with a record of any file. An invalid cell of a code has the name of its column instead."""
CodeProblem = Literal[
    "code_column",
    "code_missing",
    "code_repeated",
    "code_unknown",
    "code_handed_out",
    "code_campaign",
    "code_over",
    "code_paused",
    "code_group",
    "code_used",
    "code_count",
]
CellProblem = Literal["email", "language", "count", "variable_name", "variables", "too_long", "not_a_line", "formula"]
ObjectProblem = Literal["json", "not_an_object", "no_variables", "twice", "not_a_text"]
AddressWarning = Literal["throwaway", "same_person", "same_person_listed"]
"""What is said about the address of a line that is added; a campaign may refuse throw-away addresses, too."""
SumProblem = Literal["too_many", "too_many_codes"]
ListProblem = Literal[
    CellProblem, ObjectProblem, CodeProblem, SumProblem, "domain", "repeated", "listed", AddressWarning
]
"""What can be wrong with a line of a list, in addition to what can be wrong with a record of any file."""
LegacyProblem = Literal["bad_code", "duplicate", "no_code", "already"]


class UnusableFileError(ValueError):
    """The file as a whole cannot be imported. The message is a sentence that says what to do.

    Attributes:
        reason: A stable word, which names the text of the page.
        facts: What the text of the page names, such as the column.
    """

    def __init__(self, reason: FileProblem, detail: str, **facts: str | int) -> None:
        super().__init__(detail)
        self.reason = reason
        self.facts = facts


class RejectedRecordError(ValueError):
    """A record cannot be imported. The message is an English sentence that leaves out the line.

    Attributes:
        reason: A stable word, which names the text of the page: the problem, or the invalid column.
        column: The column that the reason is about; empty if it is about the whole record.
        facts: What the text of the page names. Never a value of the record, which may be a code or about a person.
    """

    def __init__(
        self, problem: RecordProblem | ListProblem | LegacyProblem, detail: str, column: str = "", **facts: str | int
    ) -> None:
        super().__init__(detail)
        self.reason: str = problem
        self.column = column
        self.facts = facts


class InvalidCellError(RejectedRecordError):
    """A cell of a record is invalid."""

    def __init__(self, column: str, detail: str) -> None:
        ValueError.__init__(self, detail)
        self.reason, self.column, self.facts = column, column, {}


class SkippedRecordError(RejectedRecordError):
    """A valid record is left out: what it asks for exists already, or an earlier record asks for it."""


class FaultyLine(NamedTuple):
    """The line of a record that was rejected or left out, and why."""

    line: int
    fault: RejectedRecordError

    @property
    def why(self) -> str:
        """The English sentence."""
        return str(self.fault)
