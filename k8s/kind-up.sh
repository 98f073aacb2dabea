#!/usr/bin/env bash
# The shop on a kind cluster: the cluster, Strimzi, both images, the chart. What is there already is used.
set -euo pipefail
# shellcheck source=k8s/cluster.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

image="${KIND_IMAGE:-kindest/node:v1.34.4}"
strimzi="${STRIMZI_VERSION:-1.2.0}"
ready_seconds="${KIND_READY_SECONDS:-420}"

make_cluster() {
    if there; then
        say "1/6 cluster $cluster is there"
    else
        say "1/6 make cluster $cluster of $image"
        # A cluster that is half made has no mark yet, and kind-down would not take it for ours.
        trap 'say "interrupted: delete cluster $cluster"; kind delete cluster --quiet --name "$cluster"; exit 130' INT TERM HUP
        kind create cluster --quiet --name "$cluster" --image "$image" --config k8s/kind.yaml --wait 120s
        k --namespace kube-system create configmap "$marker" >/dev/null
        trap - INT TERM HUP
    fi
    (until_true 60 "the API server answers" answers) 2>/dev/null || fail "$silent"
}

install_strimzi() {
    local served
    # No pipe into `grep -q`: it leaves at the first match, and whoever writes on into a closed pipe fails.
    served=$(k get crd kafkas.kafka.strimzi.io --ignore-not-found --output=name)
    if [[ -n "$served" ]]; then
        say "2/6 Strimzi's resources are served"
        return
    fi
    say "2/6 install Strimzi $strimzi"
    local releases=https://github.com/strimzi/strimzi-kafka-operator/releases/download
    helm --kube-context "kind-$cluster" upgrade --install strimzi \
        "$releases/$strimzi/strimzi-kafka-operator-helm-3-chart-$strimzi.tgz" \
        --namespace strimzi --create-namespace --set watchAnyNamespace=true --wait --timeout 5m >/dev/null
}

build_images() {
    say "3/6 build sagaplane:dev and sagaplane-operator:dev"
    # An attestation would be a part of the image that `kind load` may not find.
    export BUILDX_NO_DEFAULT_ATTESTATIONS=1
    docker build --quiet --file services/Dockerfile --tag sagaplane:dev . >/dev/null
    docker build --quiet --file operator/Dockerfile --tag sagaplane-operator:dev . >/dev/null
}

load_images() {
    say "4/6 load them into the cluster"
    local version images=(sagaplane:dev sagaplane-operator:dev) image
    # The chart's defaults name its version.
    version=$(sed -n 's/^appVersion: //p' charts/sagaplane/Chart.yaml)
    for image in sagaplane sagaplane-operator; do
        docker tag "$image:dev" "$image:$version"
        images+=("$image:$version")
    done
    kind load docker-image --quiet --name "$cluster" "${images[@]}" >/dev/null
    # What this machine has not, the node pulls by itself; and what cannot be loaded: in containerd's image store a pulled
    # image has one platform only, and `kind load` wants all.
    if docker image inspect postgres:15 >/dev/null 2>&1; then
        kind load docker-image --quiet --name "$cluster" postgres:15 >/dev/null 2>&1 || say "    postgres:15 is left to the node to pull"
    fi
}

# The tag stays the same, so that a pod learns of another image by an annotation.
digest() { docker image inspect --format '{{.Id}}' "$1" | cut -c8-19; }

install_chart() {
    say "5/6 install the chart into namespace $namespace, which admits restricted pods only"
    k create namespace "$namespace" --dry-run=client --output=yaml | k apply --server-side --field-manager=kind-up --filename=- >/dev/null
    k label --overwrite namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
    h upgrade --install "$release" charts/sagaplane --values charts/sagaplane/values-kind.yaml --take-ownership \
        --set-string "serviceDefaults.podAnnotations.sagaplane\.io/image=$(digest sagaplane:dev)" \
        --set-string "operator.podAnnotations.sagaplane\.io/image=$(digest sagaplane-operator:dev)" \
        "$@" >/dev/null
    k8s/confine-brokers.sh
}

waiting() {
    kn get deployments,statefulsets --selector="app.kubernetes.io/instance=$release" --no-headers \
        --output=custom-columns='NAME:.metadata.name,WANT:.spec.replicas,GEN:.metadata.generation,SEEN:.status.observedGeneration,NEW:.status.updatedReplicas,READY:.status.readyReplicas,ALL:.status.replicas' |
        awk '{for (i = 2; i <= NF; i++) if ($i == "<none>") $i = 0} $3 != $4 || $2 != $5 || $2 != $6 || $2 != $7 {print $1}' | tr '\n' ' '
}

until_ready() {
    say "6/6 wait until everything is ready"
    local end=$((SECONDS + ready_seconds)) still said=""
    # An API server that does not answer is waited for like the rest.
    while ! still=$(waiting) || [[ -n "$still" ]]; do
        still=${still:-the API server}
        [[ "$still" == "$said" ]] || say "    waiting for $still"
        said=$still
        ((SECONDS < end)) || { kn get pods; fail "not ready in $ready_seconds s: $still"; }
        sleep 2
    done
}

need docker kind kubectl helm
helm_version=$(helm version --template '{{.Version}}' 2>/dev/null) || true
case "$helm_version" in v2.* | v3.?.* | v3.1[0-6].*) fail "helm $helm_version is older than 3.17; see docs/kubernetes.md" ;; esac
SECONDS=0
make_cluster
install_strimzi
build_images
load_images
install_chart "$@"
say "    and what shows it: Prometheus, Jaeger, a collector"
KUBE_CONTEXT="kind-$cluster" observability/kubernetes/apply.sh "$namespace" >/dev/null
until_ready
say "ready after $SECONDS s"
cat <<NEXT

  make kind-demo$same      six sagas, and how each ends
  kubectl --context kind-$cluster --namespace $namespace get ordersagas --watch
  helm --kube-context kind-$cluster --namespace $namespace test $release
  make kind-down$same
NEXT
