#!/usr/bin/env bash
# Bring Prometheus, Jaeger and the collector into the namespace of a shop: `observability/kubernetes/apply.sh NAMESPACE`.
# With another word behind it (`delete`), take them away. KUBE_CONTEXT names the cluster where it is not the current one.
set -euo pipefail

kubectl() { command kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} "$@"; }

namespace=${1:?the namespace of the shop}
verb=${2:-apply}
here=$(dirname "$(readlink -f "$0")")

from_files() { # NAME FILE...
    local name=$1
    shift
    kubectl create configmap "$name" --namespace "$namespace" --dry-run=client --output yaml "${@/#/--from-file=}"
}

said=$({
    from_files seeing-prometheus "$here/prometheus.yml"
    echo ---
    from_files seeing-rules "$here"/../rules/*.yaml
    echo ---
    from_files seeing-collector "config.yaml=$here/../../compose/collector.yaml"
} | kubectl "$verb" --namespace "$namespace" --filename -)
printf '%s\n' "$said"
kubectl "$verb" --namespace "$namespace" --filename "$here/seeing.yaml"

if [ "$verb" = apply ]; then
    # Neither reads its configuration again by itself.
    if [[ "$said" == *" configured"* ]]; then
        kubectl rollout restart --namespace "$namespace" deployment/prometheus deployment/collector
    fi
    for name in prometheus collector jaeger; do
        kubectl rollout status --namespace "$namespace" --timeout 300s "deployment/$name"
    done
fi
