#!/bin/sh
# Patroni runs this once, on the first primary, with the superuser's URL: the role that owns the schema, and its database.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=password="$(cat "$LEDGER_OWNER_PASSWORD_FILE")" "$1" <<'SQL'
CREATE ROLE ledger LOGIN CREATEROLE REPLICATION PASSWORD :'password' IN ROLE pg_monitor;
CREATE DATABASE ledger OWNER ledger;
SQL
