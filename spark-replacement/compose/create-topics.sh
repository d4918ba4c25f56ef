#!/usr/bin/env bash
# Creates the topics of topics.txt that are not there yet; what is there is left as it is.
set -euo pipefail
bootstrap=$1
file=$2
bin=/opt/kafka/bin

there=$("$bin/kafka-topics.sh" --bootstrap-server "$bootstrap" --list)
while read -r name partitions settings; do
  [[ -z $name || $name == \#* ]] && continue
  if grep -qxF "$name" <<<"$there"; then
    echo "topic $name: there"
    continue
  fi
  options=()
  for setting in $settings; do options+=(--config "$setting"); done
  "$bin/kafka-topics.sh" --bootstrap-server "$bootstrap" --create --if-not-exists \
    --topic "$name" --partitions "$partitions" --replication-factor 1 "${options[@]}"
done <"$file"
