#!/usr/bin/env bash
# Bring Prometheus, Jaeger and the collector into the namespace of a shop: `observability/kubernetes/apply.sh NAMESPACE`.
# With another word behind it (`delete`), take them away. KUBE_CONTEXT names the cluster where it is not the current one.
# GRAFANA=1 brings Grafana too, where its image can be had; what is taken away is all of it in any case.
set -euo pipefail

kubectl() { command kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} "$@"; }

namespace=${1:?the namespace of the shop}
verb=${2:-apply}
here=$(dirname "$(readlink -f "$0")")
configured="$here/../../compose"

names=(prometheus collector jaeger)
manifests=(--filename "$here/seeing.yaml")
flags=(--namespace "$namespace")
if [ "$verb" = delete ]; then
    flags+=(--ignore-not-found)
fi
if [ "$verb" = delete ] || [ "${GRAFANA:-0}" = 1 ]; then
    names+=(grafana)
    manifests+=(--filename "$here/grafana.yaml")
fi

from_files() { # NAME FILE...
    local name=$1
    shift
    echo ---
    kubectl create configmap "$name" --namespace "$namespace" --dry-run=client --output yaml "${@/#/--from-file=}"
}

configurations() {
    from_files seeing-prometheus "$here/prometheus.yml"
    from_files seeing-rules "$here"/../rules/*.yaml
    from_files seeing-collector "config.yaml=$configured/collector.yaml"
    if [[ " ${names[*]} " == *" grafana "* ]]; then
        from_files seeing-sources "$configured/grafana/datasources/sagaplane.yaml"
        from_files seeing-providers "$configured/grafana/dashboards/sagaplane.yaml"
    fi
}

said=$(configurations | kubectl "$verb" "${flags[@]}" --filename -)
printf '%s\n' "$said"
kubectl "$verb" "${flags[@]}" "${manifests[@]}"

if [ "$verb" = apply ]; then
    # None of these reads its configuration again by itself; Jaeger has none.
    for name in prometheus collector grafana; do
        if [[ "$said" == *" configured"* && " ${names[*]} " == *" $name "* ]]; then
            kubectl rollout restart --namespace "$namespace" "deployment/$name"
        fi
    done
    for name in "${names[@]}"; do
        kubectl rollout status --namespace "$namespace" --timeout 300s "deployment/$name"
    done
fi
