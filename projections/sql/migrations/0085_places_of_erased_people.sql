-- Places on waiting lists whose person was erased while an erasure left them. A place that is still on a list stays: the
-- campaign names it, and the email of its offer ends it.
-- depends: 0084_digests_in_doubt

DELETE FROM waiting_places p
WHERE NOT EXISTS (SELECT FROM recipients r WHERE r.recipient_id = p.recipient_id)
    AND NOT EXISTS (SELECT FROM campaigns c WHERE c.campaign_id = p.campaign_id AND strpos(c.waiting, p.place_id::text) > 0);
