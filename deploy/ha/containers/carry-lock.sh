#!/bin/sh
# Clusters of former releases kept their lock in etcd's newer interface. Copies once what Patroni must know of them: the shared
# settings, the system's identifier, and which nodes have every commit. On an empty store the first node to start would lead.
set -eu
keys=v2/keys/service/ledger
member=

answers() { curl -fsS --max-time 5 --output /dev/null "$@" 2>/dev/null; }
encode() { printf '/service/ledger/%s' "$1" | base64 --wrap=0; }
# Prints what the newer interface has under a key, or under all keys from one up to another.
ask_newer() { curl -fsS --max-time 5 --data "{\"key\":\"$(encode "$1")\",\"range_end\":\"${2:+$(encode "$2")}\"}" "$member/v3/kv/range"; }

until [ -n "$member" ]; do
    for host in $(echo "$PATRONI_ETCD_HOSTS" | tr ',' ' '); do
        if answers "http://$host/health"; then member=http://$host; break; fi
    done
    [ -n "$member" ] || sleep 1
done
! answers "$member/$keys/initialize?quorum=true" || exit 0
# An answer that fails must end the script: it does not in a pipeline, or in a condition.
answer=$(ask_newer initialize)
case $answer in *'"kvs"'*) ;; *) exit 0 ;; esac

echo 'carry-lock: the lock of this cluster is in the newer interface of etcd: waiting until no node uses it'
# A node writes a key that lasts for ttl (20 s). Its name begins with "members/", and "0" comes after "/".
answer=$(ask_newer members/ members0)
while [ "${answer#*'"kvs"'}" != "$answer" ]; do
    sleep 1
    answer=$(ask_newer members/ members0)
done
for key in config history sync initialize; do
    answer=$(ask_newer "$key")
    value=$(printf %s "$answer" | sed -n 's/.*"value":"\([^"]*\)".*/\1/p' | base64 --decode)
    [ -n "$value" ] || continue
    status=$(curl -sS --max-time 5 --output /dev/null --write-out '%{http_code}' --request PUT \
        --data-urlencode "value=$value" "$member/$keys/$key?prevExist=false")
    # 412: another node was first.
    [ "$status" = 201 ] || [ "$status" = 412 ] || { echo "carry-lock: etcd answered $status for $key" >&2; exit 1; }
done
echo 'carry-lock: the lock is in the older interface from now on'
