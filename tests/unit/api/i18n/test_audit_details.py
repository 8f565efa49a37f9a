import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final, get_args

import pytest

from api.i18n.audit_details import VALUE_NAMES, describe_details
from api.i18n.catalogs import translator
from api.i18n.languages import LANGUAGES
from domain.ports import Language
from projections.repositories.audit_log import (
    NO_REASON,
    AuditAction,
    describe_changes,
    describe_reason,
    describe_values,
)
from tests.architecture.sources import find, parse
from workers.channels.registry import channel_kinds

ROOT: Final = Path(__file__).parents[4]
DESCRIBING: Final = {"describe_values", "describe_changes", "describe_reason"}
URL: Final = "https://team.example.com/in"
DECISIONS: Final[tuple[AuditAction, ...]] = ("proposed", "approved", "rejected", "withdrew", "let_expire")
EXAMPLES: Final[dict[AuditAction, tuple[str, str, str]]] = {
    "signed_in": (describe_values(how="break_glass"), "by the break-glass account", "方式：应急账号"),
    "proved_identity": (describe_values(how="password"), "by password", "方式：密码"),
    "proof_failed": (
        describe_values(why="not_proved"),
        "reason: the sign-in service did not ask for a new proof",
        "原因：统一登录服务没有重新验证身份",
    ),
    "added_factor": (
        describe_values(factor="totp", sessions=2),
        "second factor: authenticator app; ended sessions: 2",
        "验证方式：验证器应用；结束的会话：2",
    ),
    "renamed_factor": (describe_values(factor="passkey"), "second factor: passkey", "验证方式：通行密钥"),
    "removed_factor": (describe_values(factor="passkey"), "second factor: passkey", "验证方式：通行密钥"),
    "removed_factors": (
        describe_reason("lost phone", factors=2, sessions=1),
        "lost phone; removed: 2; ended sessions: 1",
        "lost phone；移除：2；结束的会话：1",
    ),
    "refused_factor": (
        describe_values(factor="recovery_code", why="recovery_used"),
        "second factor: recovery code; reason: recovery code used before",
        "验证方式：恢复码；原因：恢复码已使用",
    ),
    "signed_out": (describe_values(how="provider"), "by single sign-on", "方式：统一登录"),
    "sign_on_refused": (
        describe_values(why="token_invalid", what="aud"),
        "reason: invalid token; details: aud",
        "原因：令牌无效；详情：aud",
    ),
    "issued_codes": (describe_values(count=5, group="VIP"), "number of codes: 5; group: VIP", "数量：5；群组：VIP"),
    "imported_codes": (describe_values(count=7, lines=9), "number of codes: 7; lines: 9", "数量：7；行数：9"),
    "exported_codes": (
        describe_reason("for Ann; they called: twice", group="VIP"),
        "for Ann; they called: twice; group: VIP",
        "for Ann; they called: twice；群组：VIP",
    ),
    "changed_codes": (
        describe_reason("leaked", action="pause", count=5, until=None),
        "leaked; action: Pause all codes; number of codes: 5",
        "leaked；操作：暂停全部兑换码；数量：5",
    ),
    **{
        action: (
            describe_reason("asked; twice", kind="end_campaign", approval="A1"),
            "asked; twice; action: End a campaign; proposal: A1",
            "asked; twice；操作：结束活动；提议：A1",
        )
        for action in DECISIONS
    },
    "exported_audit": (
        describe_reason("yearly", who="operator", action="made_key", until="2026-11-24T09:00:00+00:00"),
        "yearly; actor: operator; action: created an API key; until: 2026-11-24 09:00 UTC",
        "yearly；操作者：运维；操作：创建了 API 密钥；截止：2026-11-24 09:00 UTC",
    ),
    "removed_webhook": (
        describe_reason("they moved", url="https://a.example.com/in"),
        "they moved; URL: https://a.example.com/in",
        "they moved；URL：https://a.example.com/in",
    ),
    "exported_emails": (NO_REASON, "no reason was given", "未填写原因"),
    "asked_question": (
        describe_values(tool="find", asked="text=text of 5 characters"),
        "tool: find; arguments: text=text of 5 characters",
        "工具：find；参数：text=text of 5 characters",
    ),
    "other_questions": (
        describe_values(listed=1, malformed=2, over_limit=30, tools=["find"]),
        "lists of tools: 1; malformed questions: 2; requests over the limit: 30; tools: find",
        "工具列表：1；格式错误的查询：2；超出限制的请求：30；涉及的工具：find",
    ),
    "exported_person": ("role: the customer asked", "role: the customer asked", "role: the customer asked"),
    "made_key": (
        describe_values(name="reports", scopes=["codes:read", "cases:read"], days=30),
        "name: reports; scopes: codes:read cases:read; expires after (days): 30",
        "名称：reports；权限范围：codes:read cases:read；有效天数：30",
    ),
    "replaced_key": (
        describe_values(by="6f9619ff", until="2026-12-08T09:00:00+00:00"),
        "by: 6f9619ff; until: 2026-12-08 09:00 UTC",
        "新密钥：6f9619ff；截止：2026-12-08 09:00 UTC",
    ),
    "changed_key": (
        f"moved; {describe_changes(networks=([], ['203.0.113.0/24', '2001:db8::/48']))}",
        "moved; allowed networks: any → 203.0.113.0/24 2001:db8::/48",
        "moved；允许的网络：不限 → 203.0.113.0/24 2001:db8::/48",
    ),
    "refused_key": (describe_values(network="198.51.100.0/24"), "network: 198.51.100.0/24", "网络：198.51.100.0/24"),
    "added_staff": (describe_values(role="viewer"), "role: Viewer", "角色：只读"),
    "changed_role": (
        f"moved; {describe_changes(role=('admin', 'viewer'))}; {describe_values(sessions=2, keys=1)}",
        "moved; role: Administrator → Viewer; ended sessions: 2; revoked API keys: 1",
        "moved；角色：管理员 → 只读；结束的会话：2；吊销的 API 密钥：1",
    ),
    "removed_staff": (describe_reason("left", sessions=1), "left; ended sessions: 1", "left；结束的会话：1"),
    "revoked_invitation": (describe_reason("left", keys=1), "left; revoked API keys: 1", "left；吊销的 API 密钥：1"),
    "ended_sessions": (describe_values(sessions=3), "ended sessions: 3", "结束的会话：3"),
    "changed_group": (
        f"group: VIP; {describe_changes(takes_rebinds=(False, True), text_en=('', 'Welcome: read this; enjoy'))}",
        "group: VIP; customers may move their access here: no → yes; English text: none → Welcome: read this; enjoy",
        "群组：VIP；客户可将访问权限转入该群组：否 → 是；英文正文：无 → Welcome: read this; enjoy",
    ),
    "changed_channel": (
        f"group: VIP; {describe_changes(url=('mail', URL), channel=('smtp', 'webhook'))}",
        f"group: VIP; URL: email → {URL}; channel: email → external system (webhook)",
        f"群组：VIP；URL：邮件 → {URL}；发送渠道：邮件 → 群组对接系统（webhook）",
    ),
    "made_webhook": (
        describe_values(url=URL, events="all", concurrency=1, format="cloudevents"),
        f"URL: {URL}; events: all; concurrency: 1; format: cloudevents",
        f"URL：{URL}；事件：全部；并发数：1；格式：cloudevents",
    ),
    "changed_webhook": (
        describe_changes(events=(["CodeIssued"], []), state=("enabled", "disabled")),
        "events: CodeIssued → all; state: enabled → disabled",
        "事件：CodeIssued → 全部；状态：已启用 → 已停用",
    ),
    "erased_unaccepted": (
        describe_values(people=2, after_days=365),
        "people: 2; after (days): 365",
        "人数：2；期限（天）：365",
    ),
    "rotated_secret": ("VIP", "VIP", "VIP"),
    "redelivered": (
        describe_values(failed=2, since="2026-11-28T07:00:00+00:00"),
        "failed messages: 2; since: 2026-11-28 07:00 UTC",
        "失败的消息：2；起始时间：2026-11-28 07:00 UTC",
    ),
    "sent_test": (
        describe_values(url=URL, outcome="timeout"),
        f"URL: {URL}; result: response timed out",
        f"URL：{URL}；结果：响应超时",
    ),
    "uploaded_recipients": (
        describe_values(lines=9, added=8, count=27),
        "lines: 9; added recipients: 8; number of codes: 27",
        "行数：9；新增收件人：8；数量：27",
    ),
    "sent_hand_out_test": (describe_values(outcome="sent"), "result: sent", "结果：已发送"),
    "rotated_keys": ("1200 rows", "1,200 rows", "1,200 行"),
    "moved_relay": (
        describe_values(name="orders", url="kafka://b/orders", position=1200),
        "name: orders; URL: kafka://b/orders; position: 1200",
        "名称：orders；URL：kafka://b/orders；位置：1200",
    ),
    "removed_relay": (describe_values(name="orders"), "name: orders", "名称：orders"),
}
"""Details as they are stored, in English, and in Chinese."""


@pytest.mark.parametrize("action", EXAMPLES)
def test_details_of_an_entry_are_in_the_language_of_the_reader(action: AuditAction) -> None:
    stored, english, chinese = EXAMPLES[action]

    assert describe_details(action, stored, translator("en")) == english
    assert describe_details(action, stored, translator("zh")) == chinese


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_action_and_every_name_of_a_value_has_its_text(language: Language) -> None:
    t = translator(language)
    missing = [action for action in get_args(AuditAction) if not t.knows(f"page.support.audit.{action}")]
    stored = {action: describe_values(**dict.fromkeys(names, "-")) for action, names in VALUE_NAMES.items()}
    described = {action: describe_details(action, details, t) for action, details in stored.items()}

    untranslated = {action: text for action, text in described.items() if "page.support" in text}
    assert (missing, untranslated) == ([], {}), "add the keys to api/i18n/locales/*/LC_MESSAGES/audit_details.po"
    assert sorted(VALUE_NAMES.keys() - EXAMPLES.keys()) == [], "add what is stored and shown to EXAMPLES in this file"
    assert language == "en" or not any(re.search(r"[a-z_]+: ", text) for text in described.values())


def recorded_names() -> dict[str, set[str]]:
    """Names of values that functions record, by action; those of functions that record no written action by ""."""
    names: dict[str, set[str]] = defaultdict(set)
    functions = [
        node
        for room in ("api", "projections", "workers")
        for path in sorted((ROOT / room).rglob("*.py"))
        if "describe_" in (source := path.read_text("utf-8"))
        for node in find(parse(source), ast.FunctionDef, ast.AsyncFunctionDef)
    ]
    for function in functions:
        calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
        named = {call: getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls}
        firsts = [call.args[0] for call, name in named.items() if name == "record" and call.args]
        actions = {str(first.value) for first in firsts if isinstance(first, ast.Constant)} & {*get_args(AuditAction)}
        described = (call for call, name in named.items() if name in DESCRIBING)
        values = {keyword.arg for call in described for keyword in call.keywords if keyword.arg is not None}
        for action in actions or {""}:
            names[action] |= values
    return names


def test_every_recorded_value_has_its_name() -> None:
    """Readers see others untranslated. Add a name to VALUE_NAMES in api/i18n/audit_details.py, under its action."""
    recorded = recorded_names()
    listed: dict[str, set[str]] = {action: {*names} for action, names in VALUE_NAMES.items()}
    listed[""] = set().union(*listed.values())
    unknown = {action: names - listed.get(action, set()) for action, names in recorded.items()}

    assert {"scopes", "role"} <= recorded["made_key"]
    assert {action: names for action, names in unknown.items() if names} == {}


def test_settings_of_every_kind_of_channel_have_names() -> None:
    """A change of a group's channel records them. Add one to VALUE_NAMES in api/i18n/audit_details.py."""
    assert {field for kind in channel_kinds().values() for field in kind.fields} <= {*VALUE_NAMES["changed_channel"]}


def test_details_of_any_form_are_shown() -> None:
    t = translator("zh")

    assert describe_details("changed_channel", "group: A; ", t) == "群组：A"
    assert describe_details("changed_channel", "mailed again", t) == "mailed again"
    assert describe_details("redelivered", "since: last week", t) == "起始时间：last week"
    assert describe_details("signed_in", "", t) == ""
