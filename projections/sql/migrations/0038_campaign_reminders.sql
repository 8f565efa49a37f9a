-- Terms of campaigns about reminders of unaccepted invitations.
-- depends: 0037_campaigns

ALTER TABLE campaigns ADD COLUMN remind_days bigint, ADD COLUMN quiet_hours text;
