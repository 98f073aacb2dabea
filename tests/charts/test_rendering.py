"""What holds of every manifest, whatever the values are."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from tests.charts.rendering import (
    CASES,
    NAMED,
    NAMESPACE,
    ROOT,
    Case,
    containers,
    manifests,
    of_kind,
    pods,
    template,
    text,
)

from onebox.layout import PORTS
from onebox.wiring import ALL_ACCESS, ALL_TOPICS

pytestmark = pytest.mark.charts

every_case = pytest.mark.parametrize("name", NAMED)
WITH_TOKEN = {"Deployment sagaplane-operator", "Job sagaplane-drain"}
TEXTS = {
    *("labels", "annotations", "matchLabels", "nodeSelector", "namespace", "name", "value", "key", "class"),
    *("secretName", "storageClassName", "priorityClassName"),
}
SCRATCH_MEBIBYTES = 64
"""What may be in /tmp, which most never fill."""
CLUSTERED = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def test_without_strimzi_the_defaults_are_refused_in_one_sentence_that_names_both_settings() -> None:
    done = template(Case("x", strimzi=False))
    assert done.returncode != 0
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert "kafka.bootstrapServers" in sentence
    assert "postgresql.existingSecret" in sentence


@pytest.mark.parametrize("release", ["1shop", "shop.eu"])
def test_a_release_whose_name_can_begin_no_names_of_services_needs_another_in_its_place(release: str) -> None:
    done = template(Case("x"), release)
    assert done.returncode != 0
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert f"{release}-sagaplane cannot begin the names of Services" in sentence
    assert "fullnameOverride" in sentence
    assert template(Case("x", values={"fullnameOverride": "shop"}), release).returncode == 0


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"services": {"payments": {}}},
        {"services": {"payment": {"replica": 1}}},
        {"kafka": {"inside": {"storage": {"sizes": "1Gi"}}}},
        {"kafka": {"bootstrapServers": "no-port"}},
        {"operator": {"materialize": {"mode": "Sometimes"}}},
        {"operator": {"replicas": "2"}},
        {"serviceDefaults": {"settings": {"lower-case": "1"}}},
        {"postgresql": {"port": 70_000}},
        {"images": {"services": {"digest": "latest"}}},
        {"networkPolicy": {"clients": [{"pods": {}}]}},
        {"traces": {"sample": 2}},
        {"fullnameOverride": "1shop"},
        {"fullnameOverride": "shop.eu"},
    ],
    ids=str,
)
def test_a_value_that_means_nothing_is_refused(values: Mapping[str, Any]) -> None:
    done = template(Case("x", values=values))
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


@every_case
def test_no_resource_is_made_twice(name: str) -> None:
    made = Counter(
        (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"]) for found in manifests(name)
    )
    assert [key for key, times in made.items() if times > 1] == []


@every_case
def test_every_resource_says_where_it_belongs(name: str) -> None:
    for found in manifests(name):
        metadata = found["metadata"]
        assert metadata["labels"]["app.kubernetes.io/instance"] == "sagaplane"
        assert ("namespace" in metadata) == (found["kind"] not in CLUSTERED), metadata["name"]


@every_case
def test_every_pod_may_run_where_only_restricted_pods_may(name: str) -> None:
    for told, pod, _ in pods(name):
        assert pod["securityContext"]["runAsNonRoot"] is True, told
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, told
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), told
        for container in containers(pod):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, told
            assert security["capabilities"] == {"drop": ["ALL"]}, told
            assert security["readOnlyRootFilesystem"] is True, told
        assert {kind for volume in pod.get("volumes", ()) for kind in volume if kind != "name"} <= {
            "configMap",
            "emptyDir",
            "secret",
        }, told


@every_case
def test_every_pod_has_an_account_of_its_own_component_and_a_token_only_where_it_asks_the_api(name: str) -> None:
    accounts = {found["metadata"]["name"] for found in of_kind(name, "ServiceAccount")}
    for told, pod, _ in pods(name):
        assert pod["serviceAccountName"] in accounts, told
        assert pod["automountServiceAccountToken"] is (told in WITH_TOKEN), told
        assert pod["enableServiceLinks"] is False, told


@every_case
def test_every_container_says_what_it_asks_of_a_node(name: str) -> None:
    for told, pod, _ in pods(name):
        for container in containers(pod):
            for said in ("requests", "limits"):
                assert container["resources"][said].keys() >= {"cpu", "memory", "ephemeral-storage"}, told


@every_case
def test_a_pod_may_keep_as_much_as_its_volumes_may_hold(name: str) -> None:
    for told, pod, _ in pods(name):
        asked = [container["resources"] for container in pod["containers"]]
        requested, limit = (
            sum(_mebibytes(its[said]["ephemeral-storage"]) for its in asked) for said in ("requests", "limits")
        )
        kept = [volume["emptyDir"] for volume in pod.get("volumes", ()) if "emptyDir" in volume]
        sizes = [_mebibytes(its["sizeLimit"]) for its in kept if its.get("medium") != "Memory"]
        assert sum(sizes) < limit, told
        assert max(sizes, default=0) <= max(requested, SCRATCH_MEBIBYTES), told


def test_brokers_that_keep_all_they_have_in_their_pods_ask_for_nodes_with_room_for_it() -> None:
    (pool,) = of_kind("nothing kept", "KafkaNodePool")
    assert pool["spec"]["storage"]["volumes"][0]["sizeLimit"] == "10Gi"
    assert pool["spec"]["resources"]["requests"]["ephemeral-storage"] == "10Gi"
    assert "ephemeral-storage" not in pool["spec"]["resources"]["limits"]


def _mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


@pytest.mark.parametrize("name", ["defaults", "cluster", "scaled by lag"])
def test_the_values_of_a_release_from_before_some_were_there_can_be_used_again(name: str) -> None:
    case = NAMED[name]
    without = {"kafka": {"caSecret": None, "clientSecret": None}, "postgresql": {"caSecret": None}}
    done = template(Case("x", case.files, {**case.values, **without}, case.strimzi))
    assert done.returncode == 0, done.stderr


@every_case
def test_every_service_finds_the_pods_of_its_component(name: str) -> None:
    labels = [labels for _, _, labels in pods(name)]
    for service in of_kind(name, "Service", "PodDisruptionBudget"):
        selector = service["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        assert any(selector.items() <= its.items() for its in labels), service["metadata"]["name"]


@every_case
def test_every_port_that_a_service_names_is_one_of_a_container(name: str) -> None:
    named = {
        port["name"]
        for _, pod, _ in pods(name)
        for container in pod["containers"]
        for port in container.get("ports", ())
    }
    for service in of_kind(name, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


@every_case
def test_every_mounted_volume_is_there(name: str) -> None:
    for told, pod, _ in pods(name):
        there = {volume["name"] for volume in pod.get("volumes", ())}
        mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", ())}
        assert mounted - there <= {"data"}, told


@pytest.mark.parametrize("case", [case for case in CASES if not case.values.get("operator", {}).get("clusterWide")])
def test_without_cluster_wide_there_is_no_right_in_the_whole_cluster(case: Case) -> None:
    assert [*of_kind(case.name, "ClusterRole", "ClusterRoleBinding")] == []


def test_the_operator_may_do_what_it_does_and_no_more() -> None:
    (role,) = [found for found in of_kind("defaults", "Role") if found["metadata"]["name"] == "sagaplane-operator"]
    rights = {f"{resource}": set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert rights == {
        "ordersagas": {"get", "list", "watch", "create", "patch", "delete"},
        "sagadefinitions": {"get", "list", "watch"},
        "ordersagas/status": {"patch"},
        "sagadefinitions/status": {"patch"},
        "events": {"create"},
    }


def test_the_resources_for_strimzi_that_stand_alone_are_those_of_the_chart() -> None:
    kinds = ("Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser")
    alone = yaml.safe_load_all((ROOT / "k8s/strimzi/kafka.yaml").read_text())
    assert [*alone] == [*of_kind("defaults", *kinds)], "run `make chart`"


def test_kafka_inside_has_every_topic_with_its_partitions() -> None:
    topics = {found["spec"]["topicName"]: found["spec"] for found in of_kind("defaults", "KafkaTopic")}
    assert topics.keys() == {topic.name for topic in ALL_TOPICS}
    assert {spec["partitions"] for spec in topics.values()} == {12}
    compacted = {name for name, spec in topics.items() if spec["config"]["cleanup.policy"] == "compact"}
    assert compacted == {topic.name for topic in ALL_TOPICS if topic.compacted}


@pytest.mark.parametrize("user", ALL_ACCESS)
def test_each_user_may_do_in_kafka_what_its_service_needs_and_no_more(user: str) -> None:
    (found,) = [one for one in of_kind("defaults", "KafkaUser") if one["metadata"]["name"] == f"sagaplane-{user}"]
    rules = [*_rules(found["spec"]["authorization"]["acls"])]
    access = ALL_ACCESS[user]
    for operation, topics in {"Read": access.reads, "Write": access.writes, "Delete": access.prunes}.items():
        assert {name for kind, name, its in rules if kind == "topic" and its == operation} == set(topics)
    assert {name for kind, name, its in rules if kind == "group" and its == "Read"} == set(access.groups)
    assert {its for _, _, its in rules} <= {"Read", "Write", "Delete", "Describe"}


def _rules(acls: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for acl in acls:
        resource = acl["resource"]
        name = resource["name"] + ("*" if resource["patternType"] == "prefix" else "")
        yield from ((resource["type"], name, operation) for operation in acl["operations"])


@pytest.mark.parametrize("service", PORTS)
def test_each_service_shows_only_its_own_passwords(service: str) -> None:
    (spec,) = [pod for told, pod, _ in pods("cluster") if told == f"Deployment sagaplane-{service}"]
    keys = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for container in containers(spec)
        for variable in container["env"]
        if "valueFrom" in variable
    }
    assert keys == {f"{service}-username", f"{service}-password", f"{service}-url"}


def test_every_pod_of_ours_is_shut_off_and_the_brokers_are_not() -> None:
    (deny,) = [found for found in of_kind("defaults", "NetworkPolicy") if found["metadata"]["name"] == "sagaplane-deny"]
    chosen = deny["spec"]["podSelector"]["matchLabels"]
    assert all(chosen.items() <= labels.items() for _, _, labels in pods("defaults"))
    of_strimzi = {"app.kubernetes.io/name": "kafka", "app.kubernetes.io/instance": "sagaplane"}
    assert not chosen.items() <= of_strimzi.items()
    assert set(deny["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert not {"ingress", "egress"} & deny["spec"].keys()


def test_a_job_of_the_same_name_is_the_same_job_for_none_can_be_changed() -> None:
    made: dict[str, Any] = {}
    for name in NAMED:
        for job in of_kind(name, "Job"):
            if "helm.sh/hook" not in job["metadata"].get("annotations", {}):
                assert made.setdefault(job["metadata"]["name"], job["spec"]) == job["spec"], name
    assert {name.rpartition("-")[0] for name in made} == {"sagaplane-tables-1", "sagaplane-topics-1"}


def test_another_image_under_the_same_tag_makes_the_tables_anew() -> None:
    told = ({"serviceDefaults": {"podAnnotations": {"sagaplane.io/image": image}}} for image in ("one", "two"))
    names = {
        line
        for values in told
        for line in template(Case("x", values=values)).stdout.splitlines()
        if "-tables-1-" in line
    }
    assert len(names) == 2


@every_case
def test_keda_finds_what_it_is_to_show_the_brokers(name: str) -> None:
    shown = {found["metadata"]["name"]: found["spec"] for found in of_kind(name, "TriggerAuthentication")}
    asked = {
        trigger["authenticationRef"]["name"]
        for found in of_kind(name, "ScaledObject")
        for trigger in found["spec"]["triggers"]
        if "authenticationRef" in trigger
    }
    assert asked == shown.keys()
    assert all(shown.values())


def test_the_manifests_of_the_same_values_are_the_same_but_for_passwords() -> None:
    done = template(NAMED["cluster"])
    assert done.stdout == text("cluster")


@pytest.mark.parametrize("operator", [{}, {"watchNamespaces": ["no", "5"]}, {"clusterWide": True}], ids=str)
def test_names_that_look_like_numbers_or_truths_stay_names(operator: Mapping[str, Any]) -> None:
    named = {"fullnameOverride": "y", "nameOverride": "7", "commonLabels": {"team": "8"}, "priorityClassName": "9"}
    secret, scaled = {"name": "1234", "key": "5"}, {"keda": {"enabled": True}}
    kafka = {"existingSecret": "1234", "caSecret": secret, "clientSecret": {**secret, "certificate": "6"}}
    postgresql = {"existingSecret": "1234", "caSecret": secret}
    ours = {"crds": {"enabled": False}, "operator": operator, "serviceDefaults": scaled}
    case = Case("x", NAMED["cluster"].files, {**named, **ours, "kafka": kafka, "postgresql": postgresql}, strimzi=False)
    done = template(case, release="12345678", namespace="no")
    assert done.returncode == 0, done.stderr
    for found in yaml.safe_load_all(done.stdout):
        assert [path for path, name in _names(found) if not isinstance(name, str)] == []


def test_a_class_of_disks_that_looks_like_a_number_stays_a_name() -> None:
    inside = {"inside": {"storage": {"class": "7"}}}
    done = template(Case("x", values={"crds": {"enabled": False}, "kafka": inside, "postgresql": inside}))
    assert done.returncode == 0, done.stderr
    for found in yaml.safe_load_all(done.stdout):
        assert [path for path, name in _names(found) if not isinstance(name, str)] == []


def _names(found: object, path: str = "", *, named: bool = False) -> Iterator[tuple[str, object]]:
    """Yield what Kubernetes wants as a text, and where it stands: `TEXTS`, and whatever labels and annotations hold."""
    if isinstance(found, dict):
        for key, inner in found.items():
            yield from _names(inner, f"{path}.{key}", named=key in TEXTS or named)
    elif isinstance(found, list):
        for inner in found:
            yield from _names(inner, f"{path}[]")
    elif named:
        yield path, found


def test_another_release_in_the_same_namespace_shares_nothing_but_the_custom_resource_definitions() -> None:
    other = template(
        Case("x", values={"crds": {"enabled": False}, "definitions": {"builtIn": False}}), release="second"
    )
    names = {found["metadata"]["name"] for found in yaml.safe_load_all(other.stdout) if found}
    assert names
    assert not [name for name in names if not name.startswith("second-sagaplane")]
    assert NAMESPACE == "sagaplane"
