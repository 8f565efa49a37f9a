#!/bin/sh
# Patroni with PostgreSQL; the node's name is the first argument.
set -eu
PATRONI_NAME=$1
PATRONI_POSTGRESQL_CONNECT_ADDRESS=$1:5432
PATRONI_RESTAPI_CONNECT_ADDRESS=$1:8008
PATRONI_SUPERUSER_PASSWORD=$(cat /db-secret/superuser)
PATRONI_REPLICATION_PASSWORD=$(cat /db-secret/replication)
PATRONI_REWIND_PASSWORD=$(cat /db-secret/rewind)
export PATRONI_NAME PATRONI_POSTGRESQL_CONNECT_ADDRESS PATRONI_RESTAPI_CONNECT_ADDRESS
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
/containers/carry-lock.sh
# Left by a container that was killed: process ids repeat.
rm -f /data/postgres/postmaster.pid
exec patroni /etc/patroni/patroni.yml
