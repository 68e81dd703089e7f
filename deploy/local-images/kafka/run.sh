#!/usr/bin/env bash
# Formats the log directories under CLUSTER_ID, unless that is done, and becomes the broker.
set -euo pipefail
readonly config=/mnt/shared/config/server.properties

java_of() {
  # shellcheck disable=SC2206  # several words on purpose
  local heap=(${KAFKA_HEAP_OPTS:--Xmx512m})
  printf '%s\n' java "${heap[@]}" -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile=/opt/kafka/log4j2.properties -cp '/opt/kafka/libs/*'
}
mapfile -t java < <(java_of)

"${java[@]}" kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:?name the cluster}" -c $config
exec "${java[@]}" kafka.Kafka $config
