-- name: group_of_name
SELECT name, subject_zh, text_zh, subject_en, text_en, accept_target, channel, changed_at, channel_id, channel_url
FROM invite_groups WHERE name = %s;

-- name: upsert_group
INSERT INTO invite_groups AS old (name, subject_zh, text_zh, subject_en, text_en, accept_target, channel, changed_at)
VALUES (%s, %s, %s, %s, %s, %s, 'smtp', %s)
ON CONFLICT (name) DO UPDATE SET
    subject_zh = excluded.subject_zh, text_zh = excluded.text_zh, subject_en = excluded.subject_en,
    text_en = excluded.text_en, accept_target = excluded.accept_target,
    changed_at = excluded.changed_at;

-- name: names_of_groups
-- Names that codes carry, found by leaps over the index, and names that have settings; in order, from a name on.
WITH RECURSIVE leap (name, nth) AS (
    SELECT %(after)s::text, 0
    UNION ALL
    SELECT (
        SELECT b.group_name FROM code_balances b WHERE b.group_name > leap.name ORDER BY b.group_name LIMIT 1
    ), leap.nth + 1
    FROM leap WHERE leap.name IS NOT NULL AND leap.nth < %(limit)s
), named AS (
    SELECT name FROM leap WHERE nth > 0 AND name IS NOT NULL
    UNION
    (SELECT name FROM invite_groups WHERE name > %(after)s ORDER BY name LIMIT %(limit)s)
)
SELECT named.name, g.accept_target, g.channel, g.changed_at
FROM named LEFT JOIN invite_groups g USING (name) ORDER BY named.name LIMIT %(limit)s;
