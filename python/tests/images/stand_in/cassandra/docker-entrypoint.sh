#!/usr/bin/env bash
# The environment of the public image into cassandra.yaml, as far as a single node asks for it.
set -euo pipefail

setting() { # KEY VALUE: replaces a top-level setting
  local lines
  lines=$(sed -E "s|^$1:.*|$1: $2|" "$CASSANDRA_CONF/cassandra.yaml")
  printf '%s\n' "$lines" >"$CASSANDRA_CONF/cassandra.yaml"
}

if [[ ${1:-} == cassandra ]]; then
  own=$(ip -4 -o address show scope global | awk '{sub("/.*", "", $4); print $4; exit}')
  listen=${CASSANDRA_LISTEN_ADDRESS:-auto}
  [[ $listen == auto ]] && listen=$own
  setting listen_address "$listen"
  setting broadcast_address "${CASSANDRA_BROADCAST_ADDRESS:-$listen}"
  setting rpc_address "${CASSANDRA_RPC_ADDRESS:-0.0.0.0}"
  setting broadcast_rpc_address "${CASSANDRA_BROADCAST_ADDRESS:-$listen}"
  setting "      - seeds" "\"${CASSANDRA_SEEDS:-$listen}\""
  [[ -z ${CASSANDRA_CLUSTER_NAME:-} ]] || setting cluster_name "$CASSANDRA_CLUSTER_NAME"
  [[ -z ${CASSANDRA_NUM_TOKENS:-} ]] || setting num_tokens "$CASSANDRA_NUM_TOKENS"
fi
exec "$@"
