"""Batches of codes and group settings: each change with its entry in the audit log."""

from uuid import UUID

from projections.repositories.audit_log import AuditLog, AuditRecorder, describe_changes, describe_values
from projections.repositories.groups import GroupRepository, InviteGroup
from projections.repositories.issue_batches import BatchRepository, NewBatch


def start_batch(audit_log: AuditLog, batches: BatchRepository, new_batch: NewBatch) -> bool:
    """Insert a batch to be issued or imported; False if it exists already."""

    def change(record: AuditRecorder) -> bool:
        is_new = batches.insert(new_batch, audit_log.now)
        if is_new:
            group = new_batch.terms.group
            if new_batch.kind == "import":  # how many of its lines are valid is not known yet
                record("imported_codes", new_batch.batch_id, describe_values(lines=new_batch.wanted, group=group))
            else:
                record("issued_codes", new_batch.batch_id, describe_values(count=new_batch.wanted, group=group))
        return is_new

    return audit_log.perform(change)


def stop_batch(audit_log: AuditLog, batches: BatchRepository, batch_id: UUID, reason: str) -> None:
    """Stop a batch; codes that are issued stay issued."""

    def change(record: AuditRecorder) -> None:
        if batches.finish(batch_id, "stopped", audit_log.now):
            record("stopped_batch", batch_id, reason)

    audit_log.perform(change)


def save_group(audit_log: AuditLog, groups: GroupRepository, group: InviteGroup) -> None:
    """Store a group's settings, except its channel."""

    def change(record: AuditRecorder) -> None:
        before, took = groups.find(group.name) or InviteGroup(name=group.name), groups.accepts_rebinds(group.name)
        groups.save(group, audit_log.now)
        groups.set_accepts_rebinds(group.name, allowed=group.takes_rebinds)
        details = describe_changes(
            target=(before.accept_target, group.accept_target),
            takes_rebinds=(took, group.takes_rebinds),
            subject_zh=(before.zh.subject, group.zh.subject),
            subject_en=(before.en.subject, group.en.subject),
            text_zh=(before.zh.text, group.zh.text),
            text_en=(before.en.text, group.en.text),
        )
        record("changed_group", None, "; ".join(filter(None, (describe_values(group=group.name), details))))

    audit_log.perform(change)
