-- Statements of the limits on guessing: what each backend tells the others, second by second.

-- name: exchange_limit_reports
-- Writes one report, if there is something to tell, and gives what others wrote lately, oldest first.
WITH told AS (
    INSERT INTO limit_reports (process_id, number, unknown, redeemed, limits, keys, counts)
    SELECT %(process_id)s, %(number)s, %(unknown)s, %(redeemed)s, %(limits)s, %(keys)s, %(counts)s
    WHERE %(unknown)s + %(redeemed)s + cardinality(%(counts)s::int[]) > 0
)
SELECT process_id, number, unknown, redeemed, limits, keys, counts,
    extract(epoch FROM clock_timestamp() - at)::float8 AS age_s
FROM limit_reports
WHERE process_id <> %(process_id)s AND at > clock_timestamp() - make_interval(secs => %(since_s)s)
ORDER BY at, process_id, number LIMIT %(most)s;

-- name: prune_limit_reports
DELETE FROM limit_reports WHERE at < clock_timestamp() - make_interval(secs => %s);

-- name: tries_lately
-- What all backends have told each other.
SELECT coalesce(sum(unknown), 0)::int AS unknown, coalesce(sum(redeemed), 0)::int AS redeemed
FROM limit_reports WHERE at > clock_timestamp() - make_interval(secs => %s);
