"""The log events of the ledger's own code, read from its log calls, with what each tells an operator to do."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
ROOMS: Final = ("api", "domain", "projections", "workers")
LOG_CALL: Final = re.compile(r"(self\.)?_?log(ger)?\.(debug|info|warning|error|exception|critical)")
WRAPPER: Final = "log_setup.py"
"""Module of `FactLog`, which passes the texts of its callers on."""
LEVELS: Final = {"exception": "error"}
"""Levels of the methods that do not have the name of their level; they add the field `exception`, a traceback."""

GUIDANCE: Final = {
    "access cleanup": "Access grants were ended or removed; `counts` has the number of each step.",
    "addresses wait for busy senders": "Commands or senders were busy; nothing to do: the next run erases them. Day"
    " after day: look for a transaction that stays open in `pg_stat_activity`.",
    "another process relays": "Nothing: this `ledger relay` stands by, and takes over when the other one ends.",
    "scheduling done by another beat": "Nothing: this beat stands by and takes over within 10 s.",
    "asking a database server failed": "A bug: report it with the traceback. The process asks again after 0.5 s.",
    "batch of codes refused": "A rule refused its codes; `why` is the code of its refusal, such as"
    " `CAMPAIGN_ENDED`. Issued codes are kept.",
    "batch redeemed": "A batch of redeem requests was answered; the fields count its items by result.",
    "bounce mailbox": "Messages of the bounce mailbox were taken in; `counts` has how many of each kind"
    " ([bounces](../how-to/bounces.md)).",
    "callback refused": "An external system sent a callback that was not accepted; `reason` says why. Check its clock"
    " and its signing secret ([external system](../how-to/external-system.md)).",
    "code guessing detected": "Most recent codes do not exist. See [guessing](../how-to/runbook.md#guessing).",
    "component available again": "Nothing.",
    "component unavailable": "`component` is missing or unsafe; `why` says what that means and what to do. Redeeming"
    " still works.",
    "computing metrics failed": "A bug: report it with the traceback. Metrics of the database are stale until then.",
    "connecting to the database failed": "The process retries. If it continues, start PostgreSQL or correct"
    " `DATABASE_URL`.",
    "connecting to the standby failed": "The primary answered the report. Check the standby if it continues.",
    "database server unavailable": "`server` did not confirm a commit, or another one answers there; `why` says which."
    " Its connections were dropped. See [no commit](../how-to/runbook.md#no-commit).",
    "delivering to a webhook endpoint failed": "A bug: report it with the traceback. The next run retries.",
    "delivering webhooks failed": "The database is unavailable; the next run retries. Check PostgreSQL if it"
    " continues.",
    "direct route disabled": "Redeem requests are answered, at a higher CPU cost; `why` says what to change.",
    "ending stalled writers failed": "A bug: report it with the traceback. The process repeats it after 2 s.",
    "erasing a person failed": "The data was not erased, because `LEDGER_FORGOTTEN_FILE` cannot be used. Fix it, then"
    " repeat the request.",
    "exchanging rate limits failed": "Rate limits count in each process alone until the database is available again.",
    "executing a command failed": "A bug: report it with the traceback. The sweep retries the reservation.",
    "file import interrupted": "The database was unavailable. Imported codes are kept; upload the same file again.",
    "issuing a batch failed": "A bug: report it with the traceback. Issued codes are kept; the batch is marked as"
    " broken.",
    "logout token refused": "A request to end sessions came with a token that is not valid; `why` says why, and nothing"
    " ended. If it came from the identity provider, compare its clock and the settings `LEDGER_OIDC_…`.",
    "looking up a group's channel failed": "The database is unavailable; messages of the group wait. Check PostgreSQL.",
    "mail hook accepted": "A mail provider reported on `count` emails; `accepted` of them are recorded now.",
    "mail hook refused": "A request to the hook of the mail provider `kind` was refused; `reason` says why. Check"
    " `LEDGER_MAIL_HOOK_SECRET` and the clock ([bounces](../how-to/bounces.md#from-a-provider)).",
    "mail server available again": "Nothing.",
    "mail server refused a connection": "`reason` and `reply_code` say why; no attempt is spent. See [mail"
    " server](../how-to/runbook.md#mail-server).",
    "mail server unavailable": "Start `server`, or correct `LEDGER_SMTP_URL`. Invitations wait until their deadline.",
    "message": "A message was handed to a channel; `outcome` says with which result.",
    "metrics of child processes missing": "Set `PROMETHEUS_MULTIPROC_DIR` to an empty folder, else worker metrics are"
    " incomplete.",
    "opening a group's channel failed": "This version does not know the channel kind `kind`: upgrade the workers.",
    "publishing to the broker failed": "Nothing is lost: the sweep dispatches the reservations. Check the broker if it"
    " continues.",
    "reading the bounce mailbox failed": "`why` says why. The next run, a minute later, tries again; nothing is"
    " lost. Correct `LEDGER_BOUNCE_MAILBOX_URL` if it continues.",
    "reading batches failed": (
        "Batches continue when the cause is gone. A warning: the database is unavailable, check PostgreSQL."
        " An error: a bug, or a missing grant; the traceback names it."
    ),
    "reading metrics from the database failed": "`ledger_database_up` is 0. Check PostgreSQL.",
    "recording a late reply failed": "The database was unavailable. The email is sent again, see [slow mail"
    " servers](../how-to/mail.md#slow-mail-servers).",
    "removal": "A channel was asked to remove an access grant; `outcome` says with which result.",
    "relaying events continues": "Nothing: the target acknowledged a batch, after `count` failures.",
    "relaying events failed": "The target or the database did not answer, as `why` says; the relay sends the same batch"
    " again. If it continues, see [relay behind](../how-to/runbook.md#relay-behind).",
    "request": "An HTTP request was answered.",
    "request failed": "A bug: report it with the traceback. The caller received 500 and may retry.",
    "restored people erased again": "A restored backup contained `count` erased people. They were erased again.",
    "row differs from the log": "Run `ledger rebuild --apply`. See [differing rows](../how-to/runbook.md#drift).",
    "rule broken": "Run `ledger verify`, and report the event that it names.",
    "scheduling interrupted": "Beat cannot ask the database whether it may schedule, so it sends nothing. It"
    " retries each second. Check PostgreSQL if it continues.",
    "scheduling taken over": "Nothing: from now on this beat schedules, as holder number `fence` of the lease.",
    "sending a link to staff failed": "The database is unavailable, or a bug: see the traceback. The link can be sent"
    " again at `/admin/staff`, or requested again.",
    "sending failed": "The sweep retries them. With a traceback it is a bug: report it.",
    "metrics server failed": "Set `LEDGER_WORKER_METRICS_PORT` to a free port.",
    "extending the reservation map failed": "Receipts stay incomplete. Run `ledger rebuild --apply`.",
    "signing a checkpoint failed": "The database was restored from an older backup; `why` says more. See [older"
    " state](../how-to/backup.md#an-older-state-is-noticed).",
    "recording folded counts failed": "Requests of assistants for the audit log: `counts` has them. A later"
    " record holds them, too, unless the process ends. If it continues, check PostgreSQL, or report the traceback as"
    " a bug.",
    "recording the use of a key failed": "A later request records it. `kind` is `use` or `refusal`; check"
    " PostgreSQL if it continues.",
    "single sign-on refused": "A sign-in through the identity provider was refused; `why` says why ([single"
    " sign-on](../how-to/single-sign-on.md#refusals)).",
    "stalled transactions ended": "`count` transactions of stalled processes were rolled back. The processes try"
    " again.",
    "waits until times in the future interrupted": "The database's clock was ahead and went back; `counts` has the rows"
    " that a sweep made due, by table. Find out why the clock stepped ([clock](../how-to/runbook.md#clock)).",
    "standby available again": "Nothing: reports are read from the standby again.",
    "standby unavailable or too far behind": "The primary answers reports. Check the standby of"
    " `LEDGER_READ_DATABASE_URL`: `pg_stat_replication` on the primary shows its lag.",
    "storing blocks of a history failed": "The page was shown; the next process folds the history again. Check"
    " PostgreSQL if it continues.",
    "task": "A Celery task ended; `outcome` and `reason` say how. Failed tasks are retried by the sweep.",
    "vault row refused": "A row of the vault cannot be trusted or decrypted; `why` says why. See [vault"
    " altered](../how-to/runbook.md#vault-altered).",
    "work after a commit failed": "The request was answered as committed; the sweep repeats what was missed. Report the"
    " bug.",
    "threshold email interrupted": "A worker ended while it sent the email about thresholds, which is not repeated. The"
    " events `CodeThresholdReached` and `CampaignThresholdReached` of those positions say what it was about.",
    "unknown setting ignored": "`why` names a variable that has no effect, and the setting that it resembles. Correct"
    " the name or unset it; `ledger settings` lists every setting.",
    "webhook endpoint disabled": "Enable it at `/admin/webhooks` once its receiver works. See [webhook"
    " disabled](../how-to/runbook.md#webhook-given-up).",
}
"""What an operator does about each event."""


class LogCall(NamedTuple):
    """One log call.

    Attributes:
        place: File and line.
        level: As the line has it.
        text: The fixed text; empty if the call computes it.
        fields: Names of the fields that it adds, each with its value if that is a fixed word; empty if not.
        has_arguments: Whether it fills the text with arguments.
    """

    place: str
    level: str
    text: str
    fields: Mapping[str, str]
    has_arguments: bool


def log_calls_of(source: str, place: str) -> Iterator[LogCall]:
    """Yield the log calls of a module."""
    tree = ast.parse(source)
    fact_logs = {f"{name}.info" for name in _names_of_fact_logs(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        extras = [word.value for word in node.keywords if word.arg == "extra"]
        arguments = node.args
        if called in fact_logs:
            arguments, extras = node.args[:1], node.args[1:]
        elif not LOG_CALL.fullmatch(called):
            continue
        method = called.rpartition(".")[2]
        text = arguments[0].value if arguments and isinstance(arguments[0], ast.Constant) else ""
        fields: dict[str, str] = {}
        for name, word in (field for extra in extras for field in _fields_of(extra, tree)):
            fields[name] = word if fields.get(name, word) == word else ""
        yield LogCall(f"{place}:{node.lineno}", LEVELS.get(method, method), str(text), fields, len(arguments) > 1)


def log_calls() -> Iterator[LogCall]:
    """Yield every log call of the ledger."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            source = path.read_text("utf-8")
            if path.name != WRAPPER and ("FactLog" in source or LOG_CALL.search(source)):
                yield from log_calls_of(source, path.relative_to(ROOT).as_posix())


def log_event_lines() -> Iterator[str]:
    """Yield a table of all events.

    Raises:
        ValueError: GUIDANCE lacks an event, or names one that no call logs.
    """
    levels: dict[str, set[str]] = defaultdict(set)
    fields: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for call in log_calls():
        levels[call.text].add(call.level)
        for name, word in call.fields.items():
            fields[call.text][name].add(word)
    fields["request"] = {name: {""} for name in _request_fields()}
    if wrong := sorted(levels.keys() ^ GUIDANCE.keys()):
        raise ValueError(f"docs/log_events.py: GUIDANCE and the log calls differ in {', '.join(map(repr, wrong))}")
    yield "| event | level | fields | meaning and remedy |"
    yield "|---|---|---|---|"
    for text in sorted(levels):
        names = " ".join(map(_show_field, fields[text], fields[text].values()))
        yield f"| `{text}` | {' or '.join(sorted(levels[text]))} | {names} | {GUIDANCE[text]} |"


def _show_field(name: str, words: set[str]) -> str:
    """Return a field as the table shows it: with its words, if it always has one of them."""
    return f"`{name}`" if "" in words else f"`{name}` ({', '.join(sorted(words))})"


def _names_of_fact_logs(tree: ast.Module) -> Iterator[str]:
    """Yield the variables of a module that hold a `FactLog`."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name(id="FactLog"))):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="FactLog"))):
                yield name
            case _:
                continue


def _request_fields() -> Iterator[str]:
    """Yield the fields of the line about a request, which the middleware names."""
    for node in ast.walk(ast.parse((ROOT / "api/http/middleware.py").read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._lines.add":
            yield from (str(keyword.arg) for keyword in node.keywords)


def _fields_of(node: ast.expr, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield fields with their fixed words: of a dict, a variable or a function's result; else the expression itself."""
    match node:
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                yield from _fields_of(value, tree) if key is None else [(ast.literal_eval(key), _word_of(value))]
        case ast.Name(id=name):
            yield from _fields_in_variable(name, tree)
        case ast.Call(func=ast.Name(id=name)):
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
            for inner in (node for function in functions for node in ast.walk(function)):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from _fields_of(inner.value, tree)
        case _:
            yield ast.unparse(node), ""


def _word_of(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _fields_in_variable(name: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the fields that a module puts into the dicts of this name."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield from _fields_of(value, tree)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                yield from _fields_of(value, tree)
            case ast.Assign(targets=[ast.Subscript(ast.Name(target), key)], value=value) if target == name:
                yield ast.literal_eval(key), _word_of(value)
