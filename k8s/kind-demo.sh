#!/usr/bin/env bash
# Six sagas as resources, how each of them stands in the end, and where to look at one. May be run again: what is there
# stays as it is.
set -euo pipefail
# shellcheck source=k8s/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

seconds=180
payment="deployment/$release-payment"
names=(order-confirmed order-declined order-out-of-stock order-orchestrated order-suspended order-timed-out)

fill_the_shelf() {
    say "put prod-1 to prod-10 on the shelf"
    kn exec --stdin "deployment/$release-inventory" --container inventory -- python - <<'PYTHON' >/dev/null
import httpx
for number in range(1, 11):
    httpx.put(f"http://127.0.0.1:3004/stock/prod-{number}", json={"quantity": 1000}, timeout=10).raise_for_status()
PYTHON
}

phase() { kn get ordersaga "$1" --output=jsonpath='{.status.phase}'; }
reason() { kn get ordersaga "$1" --output=jsonpath='{.status.reason}'; }
is() { [[ "$(phase "$1")" == "$2" ]]; }
undone() { [[ "$(phase "$1")" =~ ^(Compensating|Compensated)$ ]]; }

expect() { # NAME PHASE
    until_true "$seconds" "$1 is $2" is "$1" "$2"
    say "    $1 is $2 ($(reason "$1"))"
}

time_one_out() {
    if kn get ordersaga order-timed-out >/dev/null 2>&1; then
        return
    fi
    local replicas
    replicas=$(kn get "$payment" --output=jsonpath='{.spec.replicas}')
    say "take the payment service away until a deadline has passed"
    kn scale "$payment" --replicas=0 >/dev/null
    # shellcheck disable=SC2064 # the number of now
    trap "kn scale '$payment' --replicas=$replicas >/dev/null" EXIT
    kn wait --for=delete pod --selector="app.kubernetes.io/instance=$release,app.kubernetes.io/component=payment" --timeout="${seconds}s" >/dev/null
    kn apply --filename=k8s/samples/timeout.yaml >/dev/null
    until_true "$seconds" "order-timed-out is taken back" undone order-timed-out
    say "    its deadline has passed: it is $(phase order-timed-out); the payment service comes back"
    kn scale "$payment" --replicas="$replicas" >/dev/null
    trap - EXIT
    kn rollout status "$payment" --timeout="${seconds}s" >/dev/null
}

# No port of the cluster is published: another cluster, or compose.yaml, may have them on this machine.
where_to_look() {
    local forward="kubectl --context kind-$cluster --namespace $namespace port-forward" name=order-out-of-stock trace
    trace=$(kn get ordersaga "$name" --output=jsonpath='{.status.traceId}')
    printf '\nWhere to look, while the command behind the link runs:\n'
    if [[ -n "$trace" ]] && kn get service jaeger >/dev/null 2>&1; then
        printf 'trace       http://127.0.0.1:16686/trace/%s  (%s, %s)\n' "$trace" "$name" "$(phase "$name")"
        printf '            %s service/jaeger 16686\n' "$forward"
    fi
    printf 'dashboards  http://127.0.0.1:3005/  (what the orders come to)\n'
    printf '            %s service/%s-analytics 3005\n' "$forward" "$release"
    if kn get service grafana >/dev/null 2>&1; then
        printf '            http://127.0.0.1:3000/d/sagaplane-overview  (the sagas, in Grafana)\n'
        printf '            %s service/grafana 3000\n' "$forward"
    else
        printf '            in Grafana, where its image can be had, after: GRAFANA=1 make kind-up%s\n' "$same"
    fi
}

need kind kubectl
there || fail "there is no cluster $cluster: make kind-up$same"
fill_the_shelf
say "apply the samples"
kn apply --filename=k8s/samples/success.yaml --filename=k8s/samples/decline.yaml --filename=k8s/samples/out-of-stock.yaml \
    --filename=k8s/samples/orchestrated.yaml --filename=k8s/samples/suspended.yaml >/dev/null
expect order-confirmed Completed
expect order-declined Compensated
expect order-out-of-stock Compensated
expect order-orchestrated Completed
expect order-suspended Pending
time_one_out
expect order-timed-out Compensated
printf '\n$ kubectl --namespace %s get ordersagas\n' "$namespace"
kn get ordersagas "${names[@]}"
printf '\n$ kubectl --namespace %s describe ordersaga order-out-of-stock\n' "$namespace"
kn describe ordersaga order-out-of-stock
where_to_look
