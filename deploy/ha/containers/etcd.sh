#!/bin/sh
# A member of etcd; its name is the first argument.
set -eu
exec etcd --name="$1" --data-dir=/data/etcd --log-level=warn \
    --listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls="http://$1:2379" \
    --listen-peer-urls=http://0.0.0.0:2380 --initial-advertise-peer-urls="http://$1:2380" \
    --initial-cluster=etcd1=http://etcd1:2380,etcd2=http://etcd2:2380,etcd3=http://etcd3:2380 \
    --initial-cluster-token=ledger --initial-cluster-state=new \
    --heartbeat-interval=200 --election-timeout=2000 --enable-v2=true
