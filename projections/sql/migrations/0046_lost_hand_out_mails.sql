-- Emails with handed-out codes that were requested by a process that ended before their row of the list was due. Events
-- that request an email make the row due in their own transaction now.
-- depends: 0045_taken_over_uploads

UPDATE hand_out_recipients r SET due_at = now(), attempts = 0, is_asked = h.reminder IS DISTINCT FROM h.mail
FROM handed_out_codes h
WHERE h.code_id = r.code_id AND h.mail_state = 'queued' AND r.due_at IS NULL;
