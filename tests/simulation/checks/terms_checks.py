"""Checks of the terms that admit a use: its code had started, and admits the domain of its recipient."""

from collections.abc import Iterator
from uuid import UUID

from domain.events.code import CodeIssued, CodeTermsChanged
from domain.events.code_terms import CodeTerms
from domain.events.reservation import UseReserved
from domain.values.email_domains import split_domains
from tests.simulation.actors.recipients import domain_of
from tests.simulation.checks.run_result import RunResult


def find_uses_against_terms(run: RunResult) -> Iterator[str]:
    """A use that is reserved here fits the terms as they are at that time; a correction may come before the start."""
    digests = {*run.store.recipient_ids, *run.store.former_ids}
    domains = {person: domain_of(digest) for digest in digests for person in run.store.ids_of(digest)}
    terms_by_code: dict[UUID, CodeTerms] = {}
    for fact in run.facts:
        event = fact.event
        if isinstance(event, CodeIssued | CodeTermsChanged):
            terms_by_code[fact.code_id] = event.terms
        if not isinstance(event, UseReserved) or event.actor == "import":
            continue
        terms, domain = terms_by_code[fact.code_id], domains[event.recipient_id]
        if terms.starts_at is not None and event.at < terms.starts_at and event.corrects is None:
            yield f"{event.reservation_id} was reserved before the code starts"
        if terms.allowed_domains is not None and domain not in split_domains(terms.allowed_domains):
            yield f"{event.reservation_id} is of {domain}, which the code does not allow"
        if terms.denied_domains is not None and any(
            domain.endswith(name.removeprefix("*")) for name in split_domains(terms.denied_domains)
        ):
            yield f"{event.reservation_id} is of {domain}, which the code denies"
