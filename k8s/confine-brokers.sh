#!/usr/bin/env bash
# Give the containers of the brokers the security context that a restricted namespace asks for.
#
# Strimzi does that itself, as the chart's KafkaNodePool says. Where its resources are served by something that makes
# StatefulSets of them and does not pass `kafkaContainer` on, the fields are added beside its own, by server-side apply.
set -euo pipefail
# shellcheck source=k8s/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

selector="strimzi.io/cluster=$release"

made() { [[ -n "$(kn get statefulsets,pods --selector="$selector" --output=name)" ]]; }

kafka=$(kn get "kafkas.kafka.strimzi.io/$release" --ignore-not-found --output=name)
[[ -n "$kafka" ]] || exit 0
until_true 120 "the brokers of Kafka $release are made" made
for set in $(kn get statefulsets --selector="$selector" --output=name); do
    k apply --server-side --force-conflicts --field-manager=confine-brokers --filename=- >/dev/null <<SET
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ${set#*/}, namespace: $namespace}
spec:
  template:
    spec:
      containers:
        - name: kafka
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
SET
done
