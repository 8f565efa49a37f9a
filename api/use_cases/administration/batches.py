"""Batches of codes and group settings: each change with its line in the audit log."""

from uuid import UUID

from projections.repositories.audit_log import Act, Action, Recorder, changed, told
from projections.repositories.groups import Group, Groups
from projections.repositories.issue_batches import Batches, NewBatch


def start_batch(action: Action, batches: Batches, wanted: NewBatch) -> bool:
    """Enter a batch to be issued or imported; False if it was entered before."""

    def change(record: Recorder) -> bool:
        is_new = batches.start(wanted, action.now)
        if is_new:
            act: Act = "imported_codes" if wanted.kind == "import" else "issued_codes"
            record(act, wanted.batch_id, told(count=wanted.wanted, group=wanted.group))
        return is_new

    return action.perform(change)


def stop_batch(action: Action, batches: Batches, batch_id: UUID) -> None:
    """Stop a batch; what is issued stays issued."""

    def change(record: Recorder) -> None:
        if batches.end(batch_id, "stopped", action.now):
            record("stopped_batch", batch_id)

    action.perform(change)


def save_group(action: Action, groups: Groups, group: Group) -> None:
    """Keep a group's settings, but for its channel."""

    def change(record: Recorder) -> None:
        before, took = groups.find(group.name) or Group(name=group.name), groups.takes_rebinds(group.name)
        groups.save(group, action.now)
        groups.set_accepts_rebinds(group.name, allowed=group.takes_rebinds)
        details = changed(
            target=(before.accept_target, group.accept_target),
            takes_rebinds=(took, group.takes_rebinds),
            subject_zh=(before.zh.subject, group.zh.subject),
            subject_en=(before.en.subject, group.en.subject),
            text_zh=(before.zh.text, group.zh.text),
            text_en=(before.en.text, group.en.text),
        )
        record("changed_group", None, "; ".join(filter(None, (told(group=group.name), details))))

    action.perform(change)
