# What the scripts beside this one share: which cluster, and how it is spoken to. Read, not run.
# shellcheck shell=bash

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

cluster="${KIND_CLUSTER:-sagaplane}"
namespace="${KIND_NAMESPACE:-sagaplane}"
# shellcheck disable=SC2034 # for whoever reads this
release=sagaplane
marker=made-by-kind-up
# shellcheck disable=SC2034 # how a command that comes next names the same shop
same="${KIND_CLUSTER:+ KIND_CLUSTER=$cluster}${KIND_NAMESPACE:+ KIND_NAMESPACE=$namespace}"
# shellcheck disable=SC2034
silent="cluster $cluster does not answer: docker start $cluster-control-plane; or, if it is yours to delete: kind delete cluster --name $cluster"

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
k() { kubectl --context "kind-$cluster" "$@"; }
kn() { k --namespace "$namespace" "$@"; }
h() { helm --kube-context "kind-$cluster" --namespace "$namespace" "$@"; }

need() { # COMMAND...
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || fail "$command is not on PATH; see docs/kubernetes.md"
    done
}

there() {
    local all
    all=$(kind get clusters 2>&1) || fail "kind: $all"
    [[ $'\n'"$all"$'\n' == *$'\n'"$cluster"$'\n'* ]]
}

answers() { k get --raw=/readyz >/dev/null 2>&1; }

ours() { k --namespace kube-system get configmap "$marker" >/dev/null 2>&1; }

# Run a question again until it is answered with yes.
until_true() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || fail "$what: not in time; see kubectl --context kind-$cluster --namespace $namespace get pods,events"
        sleep 1
    done
}
