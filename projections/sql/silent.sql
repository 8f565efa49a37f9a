-- name: end_silent_writers
-- Whoever writes holds the entrance. One that says nothing in the middle of its statements is active for the server,
-- waits for its client, and falls under none of the server's time-outs for idle transactions.
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.classid = 1818518631 AND l.objid = 2 AND l.objsubid = 2
    AND l.mode = 'ShareLock' AND l.granted
    AND a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
    AND a.state = 'active' AND a.wait_event = 'ClientRead'
    AND a.state_change < clock_timestamp() - make_interval(secs => %s);
