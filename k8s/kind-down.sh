#!/usr/bin/env bash
# Take the shop away: the cluster too, if kind-up made it; from any other cluster only the release and its namespace.
set -euo pipefail
# shellcheck source=k8s/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

need kind kubectl helm
if ! there; then
    say "there is no cluster $cluster"
elif ours; then
    say "delete cluster $cluster, which kind-up made"
    kind delete cluster --quiet --name "$cluster"
elif ! answers; then
    fail "$silent"
else
    if h status "$release" >/dev/null 2>&1; then
        say "let the sagas end, and uninstall release $release"
        h uninstall "$release" --wait --timeout 5m >/dev/null
    fi
    say "delete namespace $namespace; cluster $cluster stays, for kind-up did not make it"
    k delete namespace "$namespace" --ignore-not-found --timeout=180s >/dev/null
fi
