"""What the doors offer: for each action the use case behind it, and its route, its command and its page.

Texts in braces are names of what a case is `Names`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

from api.schemas.hand_outs import HandOutOrder
from api.use_cases import campaign_actions, code_actions, reservation_actions
from api.use_cases.hand_outs import given_codes, hand_out_actions
from api.use_cases.services import Caller, Services
from api.use_cases.use_case import UseCase
from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.events.code_terms import SINGLE_USE
from domain.values.identifiers import EmailAddress
from projections.hand_outs.hand_out_lists import ListRow
from tests.contracts.doors.world import LATER, NOTE, STAFF, Names
from tests.support.ledger.code_terms import make_campaign_terms, make_terms

Person: Final = Caller(actor="person")
Use = Callable[[Services, Names], object]
"""The use case: it returns the command to execute, or executes it and raises what it refuses."""


class Action(NamedTuple):
    """One action, and its doors; an empty text is no door.

    Attributes:
        use: The use case.
        http: Method and path of the route.
        body: Its body.
        headers: Its headers besides the key of an admin.
        cli: The command line.
        page: The path that the form is sent to; of the public, if it does not begin with /support or /admin.
        form: The fields of the form.
        refused_form: Status of the form that comes back with a refusal; 0: that of the refusal.
        task: Arguments of the task that is called by hand.
    """

    use: Use
    http: str = ""
    body: Mapping[str, object] = {}
    headers: Mapping[str, str] = {}
    cli: str = ""
    page: str = ""
    form: Mapping[str, str] = {}
    refused_form: int = 0
    task: Mapping[str, object] = {}


def on_code(name: str, use_case: UseCase[..., Any]) -> Action:
    """Return an action about a code that has no fields but the reason."""
    return Action(
        use=lambda services, names: use_case.command(services, STAFF, UUID(names["code_id"]), note=NOTE),
        http=f"POST /api/v1/codes/{{code_id}}/{name}",
        body={"note": NOTE},
        cli=f"{name} {{code_id}} --note {NOTE}",
        page=f"/support/codes/{{code_id}}/acts/{name}",
        form={"note": NOTE},
    )


def change_terms(changes: Mapping[str, Any], options: str, form: Mapping[str, str]) -> Action:
    """Return a change of terms. The form has all terms: what it leaves empty has no bound."""
    return Action(
        use=lambda services, names: code_actions.change_terms.command(
            services, STAFF, UUID(names["code_id"]), changes, note=NOTE
        ),
        http="PATCH /api/v1/codes/{code_id}",
        body={**{name: [value] if "domains" in name else value for name, value in changes.items()}, "note": NOTE},
        cli=f"terms {{code_id}} {options} --note {NOTE}",
        page="/support/codes/{code_id}/acts/terms",
        form={"note": NOTE, **form},
    )


def on_reservation(
    name: str,
    use_case: UseCase[..., Any],
    *,
    page: str = "",
    body: Mapping[str, object] | None = None,
    options: str = "",
    form: Mapping[str, str] | None = None,
    **named: Any,
) -> Action:
    """Return an action about a reservation; `named` are its arguments, which are not those of the doors."""
    return Action(
        use=lambda services, names: use_case.command(services, STAFF, UUID(names["reservation"]), note=NOTE, **named),
        http=f"POST /api/v1/reservations/{{reservation}}/{name}",
        body={"note": NOTE, **(body or {})},
        cli=f"{name} {{reservation}} {options} --note {NOTE}",
        page=f"/support/reservations/{{reservation}}/acts/{page or name}",
        form={"note": NOTE, **(form or {})},
    )


def refund_with(access: str, *, revoke: bool) -> Action:
    """Return the refund that says what becomes of the access."""
    return on_reservation(
        "refund",
        reservation_actions.refund,
        revoke_access=revoke,
        body={"revoke_access": revoke},
        options=f"--{access}-access",
        form={"access": access},
    )


def resolve(how: str) -> Action:
    """Return the action that decides a case."""
    return on_reservation(
        "resolve",
        reservation_actions.resolve,
        resolution=how,
        body={"as": how},
        options=f"--as {how}",
        page=f"resolve-{how}",
    )


def on_campaign(name: str, use: Callable[..., object]) -> Action:
    """Return an action about a campaign that has no fields but the reason."""
    return Action(
        use=lambda services, names: use(services, STAFF, UUID(names["campaign"]), note=NOTE),
        http=f"POST /api/v1/campaigns/{{campaign}}/{name}",
        body={"note": NOTE},
        cli=f"campaign {name} {{campaign}} --note {NOTE}",
        page=f"/admin/campaigns/{{campaign}}/{name}",
        form={"reason": NOTE},
    )


def change_campaign(changes: Mapping[str, object], options: str, **counting: Any) -> Action:
    """Return an action that changes terms of a campaign. Its page asks for all of them, and is no door of the table."""
    return Action(
        use=lambda services, names: campaign_actions.change_campaign(
            services, STAFF, UUID(names["campaign"]), changes, **counting
        ),
        http="PATCH /api/v1/campaigns/{campaign}",
        body={**changes, **counting},
        cli=f"campaign terms {{campaign}} {options}",
    )


def on_hand_out(name: str, use: Callable[..., object]) -> Action:
    """Return an action about a hand-out that has no fields but the reason."""
    return Action(
        use=lambda services, names: use(services, STAFF, UUID(names["hand_out"]), note=NOTE),
        http=f"POST /api/v1/hand-outs/{{hand_out}}/{name}",
        body={"note": NOTE},
        cli=f"hand-out {name} {{hand_out}} --note {NOTE}",
        page=f"/admin/hand-outs/{{hand_out}}/{name}",
        form={"reason": NOTE},
    )


def on_line(name: str, use: Callable[..., object]) -> Action:
    """Return an action about one recipient of a hand-out."""
    return Action(
        use=lambda services, names: use(services, STAFF, UUID(names["hand_out"]), UUID(names["line"])),
        http=f"POST /api/v1/hand-outs/{{hand_out}}/recipients/{{line}}/{name}",
        cli=f"hand-out {name} {{hand_out}} {{line}}",
        page=f"/support/hand-outs/{{hand_out}}/recipients/{{line}}/{name}",
        form={"reason": NOTE},
    )


def _redeem(services: Services, names: Names, again: UUID | None = None) -> object:
    vault = services.storage.vault
    address, typed = EmailAddress.parse(names["email"]), vault.typed_code(names["code"])
    return services.drafts.draft_reserve_use(services.context(Person), address, typed, language="en", again=again)


def _redeem_again(services: Services, names: Names) -> object:
    return _redeem(services, names, UUID(names["reservation"]))


def _wait(services: Services, names: Names) -> object:
    return JoinWaitingList(redeem=_redeem(services, names))  # type: ignore[arg-type]  # what `_redeem` drafts


def _correct_own(services: Services, names: Names) -> object:
    typed, key = services.storage.vault.typed_code(names["code"]), UUID(names["reservation"])
    token_of = None if names["token"] == "-" else key
    address = EmailAddress.parse(names["other"])
    return services.drafts.draft_correct_recipient(
        services.context(Person), address, key, code=typed, token_of=token_of
    )


def _move_own(services: Services, names: Names) -> object:
    typed, address = services.storage.vault.typed_code(names["code"]), EmailAddress.parse(names["email"])
    token_of = None if names["token"] == "-" else UUID(names["reservation"])
    return services.drafts.draft_request_rebind(
        services.context(Person), address, typed, "blue", language="en", token_of=token_of
    )


def _move_own_as_operator(services: Services, names: Names) -> object:
    typed, address = services.storage.vault.typed_code(names["code"]), EmailAddress.parse(names["email"])
    return services.drafts.draft_request_rebind(services.context(STAFF), address, typed, "blue", language="en")


def _correct(services: Services, names: Names) -> object:
    address, key = EmailAddress.parse(names["other"]), UUID(names["reservation"])
    return reservation_actions.correct_recipient.command(services, STAFF, key, address, note=NOTE)


def _give(services: Services, names: Names) -> object:
    row = ListRow(EmailAddress.parse(names["email"]), "en", {})
    return given_codes.hand_out_existing_code(services, STAFF, UUID(names["hand_out"]), names["code"], row)


TYPED: Final = {"email": "{email}", "code": "{code}"}
ACTIONS: Final = {
    "pause_code": on_code("pause", code_actions.pause),
    "resume_code": on_code("resume", code_actions.resume),
    "revoke_code": on_code("revoke", code_actions.revoke),
    "set_limit_9": change_terms({"max_uses": 9}, "--max-uses 9", {"max_uses": "9"}),
    "set_limit_1": change_terms({"max_uses": 1}, "--max-uses 1", {"max_uses": "1"}),
    "exclude_all_domains": change_terms(
        {"allowed_domains": "example.com", "denied_domains": "example.com"},
        "--allowed-domains example.com --denied-domains example.com",
        {"max_uses": "1", "allowed_domains": "example.com", "denied_domains": "example.com"},
    ),
    "change_seen_terms": Action(
        use=lambda services, names: code_actions.change_terms.command(
            services, STAFF, UUID(names["code_id"]), {"max_uses": 9}, expected=make_terms(max_uses=8)
        ),
        http="PATCH /api/v1/codes/{code_id}",
        body={"max_uses": 9},
        headers={"If-Match": '"another"'},
    ),
    "note_on_code": Action(
        use=lambda services, names: code_actions.add_note.command(services, STAFF, UUID(names["code_id"]), note=NOTE),
        http="POST /api/v1/codes/{code_id}/notes",
        body={"note": NOTE},
        cli=f"note {{code_id}} {NOTE}",
        page="/support/codes/{code_id}/notes",
        form={"note": NOTE, "nonce": "{code_id:.8}"},
    ),
    "join_campaign": Action(
        use=lambda services, names: code_actions.join_campaign.command(
            services, STAFF, UUID(names["code_id"]), UUID(names["campaign"])
        ),
        http="POST /api/v1/codes/{code_id}/join-campaign",
        body={"campaign": "{campaign}"},
        cli="campaign add {campaign} {code_id}",
        page="/admin/campaigns/{campaign}/codes",
        form={"code": "{code}", "confirmed": "yes"},
        refused_form=422,
    ),
    "refund": on_reservation("refund", reservation_actions.refund),
    "refund_and_revoke": refund_with("revoke", revoke=True),
    "refund_and_keep": refund_with("keep", revoke=False),
    "cancel": on_reservation("cancel", reservation_actions.cancel),
    "resend": on_reservation("resend", reservation_actions.resend),
    "move_to_blue": on_reservation(
        "rebind",
        reservation_actions.rebind,
        group="blue",
        body={"group": "blue"},
        options="--group blue",
        form={"group": "blue"},
    ),
    "resolve_sent": resolve("sent"),
    "resolve_refunded": resolve("refunded"),
    "resolve_retry": resolve("retry"),
    "correct": Action(
        use=_correct,
        http="POST /api/v1/reservations/{reservation}/correct-recipient",
        body={"email": "{other}", "note": NOTE},
        cli=f"correct-recipient {{reservation}} {{other}} --note {NOTE}",
        page="/support/reservations/{reservation}/acts/correct",
        form={"email": "{other}", "note": NOTE},
    ),
    "note_on_reservation": Action(
        use=lambda services, names: reservation_actions.add_note.command(
            services, STAFF, UUID(names["reservation"]), note=NOTE
        ),
        http="POST /api/v1/reservations/{reservation}/notes",
        body={"note": NOTE},
        cli=f"note {{reservation}} {NOTE}",
        page="/support/reservations/{reservation}/notes",
        form={"note": NOTE, "nonce": "{reservation:.8}"},
    ),
    "reveal_link": Action(
        use=lambda services, names: reservation_actions.record_reveal.command(
            services, STAFF, UUID(names["reservation"]), note=NOTE
        ),
        http="POST /api/v1/reservations/{reservation}/reveal-link",
        body={"reason": NOTE},
    ),
    "report_bounce": Action(
        use=lambda services, names: reservation_actions.record_bounce.command(
            services, STAFF, UUID(names["reservation"]), delivery=1, reason="other"
        ),
        http="POST /api/v1/reservations/{reservation}/bounce",
        body={"delivery": 1},
    ),
    "report_late_bounce": Action(
        use=lambda services, names: reservation_actions.record_bounce.command(
            services, STAFF, UUID(names["reservation"]), delivery=1, reason="other", occurred_at=LATER
        ),
        http="POST /api/v1/reservations/{reservation}/bounce",
        body={"occurred_at": LATER.isoformat()},
    ),
    "pause_campaign": on_campaign("pause", campaign_actions.pause_campaign),
    "resume_campaign": on_campaign("resume", campaign_actions.resume_campaign),
    "end_campaign": on_campaign("end", campaign_actions.end_campaign),
    "limit_campaign_to_1": change_campaign({"max_uses": 1}, "--max-uses 1"),
    "give_2_to_each": change_campaign({"max_per_person": 2}, "--max-per-person 2"),
    "count_all_uses": change_campaign({}, "--counting all", counting="all"),
    "change_seen_campaign": Action(
        use=lambda services, names: campaign_actions.change_campaign(
            services, STAFF, UUID(names["campaign"]), {"max_uses": 9}, expected=make_campaign_terms(max_uses=8)
        ),
        http="PATCH /api/v1/campaigns/{campaign}",
        body={"max_uses": 9},
        headers={"If-Match": '"another"'},
    ),
    "create_hand_out": Action(
        use=lambda services, names: hand_out_actions.create_hand_out(
            services, STAFF, UUID(names["campaign"]), HandOutOrder(name="News", terms=SINGLE_USE, named=(), texts={})
        ),
        http="POST /api/v1/hand-outs",
        body={"campaign": "{campaign}", "name": "News"},
        cli="hand-out create {campaign} News",
        page="/admin/campaigns/{campaign}/hand-outs",
        form={"name": "News", "bound": "yes", "max_uses": "1"},
    ),
    "pause_hand_out": on_hand_out("pause", hand_out_actions.pause_hand_out),
    "resume_hand_out": on_hand_out("resume", hand_out_actions.resume_hand_out),
    "end_hand_out": on_hand_out("end", hand_out_actions.end_hand_out),
    "resend_handed_out": on_line("resend", hand_out_actions.resend_to_person),
    "report_bounce_of_handed_out": on_line("bounce", hand_out_actions.record_bounce),
    "give_code": Action(
        use=_give,
        http="POST /api/v1/hand-outs/{hand_out}/codes",
        body=TYPED,
        cli="hand-out give {hand_out} {code} {email}",
    ),
    "redeem": Action(
        use=_redeem,
        http="POST /api/v1/public/redeem",
        body=TYPED,
        page="/invite",
        form={**TYPED, "asked": "{email}"},
        task={"email": "{email}", "redeem_code": "{code}"},
    ),
    "redeem_by_key": Action(use=_redeem, http="POST /api/v1/redemptions", body=TYPED),
    "redeem_again": Action(
        use=_redeem_again, http="POST /api/v1/public/redeem", body={**TYPED, "again": "{reservation}"}
    ),
    "join_waiting_list": Action(
        use=_wait, http="POST /api/v1/public/waiting-list", body=TYPED, page="/waiting", form=TYPED
    ),
    "correct_own": Action(
        use=_correct_own,
        http="POST /api/v1/public/redemptions/{reservation}/correct-recipient",
        body={"email": "{other}", "code": "{code}", "correction_token": "{token}"},
        page="/r/{reservation}/correct",
        form={"email": "{other}", "code": "{code}", "asked": "{other}"},
    ),
    "move_own_to_blue": Action(
        use=_move_own,
        http="POST /api/v1/public/rebind",
        body={**TYPED, "group": "blue", "correction_token": "{token}"},
        page="/r/{reservation}/move",
        form={"code": "{code}", "group": "blue"},
    ),
    "move_by_task": Action(
        use=_move_own_as_operator,
        task={"email": "{email}", "redeem_code": "{code}", "group_id": "blue", "is_rebind": True},
    ),
    "accept": Action(
        use=lambda services, names: reservation_actions.accept_invite.command(
            services, Person, UUID(names["reservation"]), delivery=1
        ),
        page="/a/{link}",
    ),
}
