"""Pods and Nodes as JSON: what they ask for, where they may go, and how errors name the place."""

import msgspec
import pytest

from gpuyard.dialects import wire
from gpuyard.dialects.core import (
    DialectError,
    StorageFacts,
    assignment,
    node,
    pod_key,
    pod_template,
)
from gpuyard.model.constraints import (
    UNCONSTRAINED,
    HostPort,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    PreferredNodes,
    PreferredPods,
    Requirement,
    SpreadConstraint,
    Taint,
    Toleration,
    Volume,
)

MIB = 2**20
GIB = 2**30


def pod(*, name="p", namespace="ns", labels=None, status=None, **spec):
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def container(name="c", **requests):
    named = {key.replace("_", "-"): value for key, value in requests.items()}
    return {"name": name, "resources": {"requests": named}}


def sidecar(name="s", **requests):
    return container(name, **requests) | {"restartPolicy": "Always"}


def requested(source, **options):
    return pod_template(source, **options).request.resources.as_dict()


def scored(source, **options):
    request = pod_template(source, **options).request
    return (request.scored or request.resources).as_dict()


def constraints(**spec):
    return pod_template(pod(**spec)).constraints


# --- Requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": None}, {}, id="no container asks for nothing"),
        pytest.param({"containers": [{"name": "c"}]}, {}, id="nor does one without resources"),
        pytest.param(
            {"containers": [container(cpu="1500m", memory="1Gi"), container(cpu=1)]},
            {"cpu": 2500, "memory": GIB},
            id="containers add up, CPU in millicores",
        ),
        pytest.param(
            {"containers": [container(cpu="500u"), container(cpu="500u")]},
            {"cpu": 1},
            id="rounded once, after the sum",
        ),
        pytest.param(
            {"containers": [container(cpu="0")]}, {"cpu": 0}, id="an explicit zero is kept"
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [container(cpu="3")]},
            {"cpu": 3000},
            id="a larger init container counts",
        ),
        pytest.param(
            {
                "containers": [container(cpu="2")],
                "initContainers": [container(cpu="1"), container(cpu="1", memory="1Ki")],
            },
            {"cpu": 2000, "memory": 1024},
            id="init containers run one by one, per resource",
        ),
        pytest.param(
            {"containers": [container(cpu="1")], "initContainers": [sidecar(cpu="2")]},
            {"cpu": 3000},
            id="a sidecar adds to the containers",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1")],
                "initContainers": [sidecar(cpu="2"), container(cpu="4"), sidecar(cpu="1")],
            },
            {"cpu": 6000},
            id="an init container runs beside the sidecars before it only",
        ),
        pytest.param(
            {
                "containers": [container(cpu="1")],
                "initContainers": [container(cpu="3")],
                "overhead": {"cpu": "250m", "memory": "8"},
            },
            {"cpu": 3250, "memory": 8},
            id="overhead comes on top of the larger",
        ),
        pytest.param(
            {
                "containers": [
                    {
                        "name": "c",
                        "resources": {
                            "limits": {"cpu": "9"},
                            "requests": {
                                "nvidia.com/gpu": "2",
                                "hugepages-2Mi": "4Mi",
                                "kubernetes.io/something": 1,
                                "ephemeral-storage": "1Ki",
                                "pods": "7",
                                "storage": "1",
                                "requests.nvidia.com/gpu": "1",
                            },
                        },
                    }
                ]
            },
            {
                "nvidia.com/gpu": 2,
                "hugepages-2Mi": 4 * MIB,
                "kubernetes.io/something": 1,
                "ephemeral-storage": 1024,
            },
            id="only names that the scheduler counts",
        ),
    ],
)
def test_requests(spec, expected):
    assert requested(pod(**spec)) == expected


POD_LEVEL = {
    "containers": [container(cpu="1", memory="1"), container(memory="1")],
    "overhead": {"cpu": "100m"},
    "resources": {
        "requests": {"cpu": "4", "hugepages-2Mi": "2Mi", "nvidia.com/gpu": "1"},
        "limits": {"memory": "9"},
    },
}


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        pytest.param(
            True,
            {"cpu": 4100, "memory": 2, "hugepages-2Mi": 2 * MIB},
            id="replace CPU, memory and huge pages, each alone, below the overhead",
        ),
        pytest.param(False, {"cpu": 1100, "memory": 2}, id="not read while the gate is off"),
    ],
)
def test_pod_level_requests(enabled, expected):
    assert requested(pod(**POD_LEVEL), pod_level_resources=enabled) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": []}, {}, id="no container, no default"),
        pytest.param(
            {"containers": [container(), container()]},
            {"cpu": 200, "memory": 400 * MIB},
            id="100m and 200Mi for each container",
        ),
        pytest.param(
            {"containers": [container(cpu="1"), container(memory="1Mi")]},
            {"cpu": 1100, "memory": 201 * MIB},
            id="per resource",
        ),
        pytest.param(
            {"containers": [container(cpu="0", memory="0")]},
            {"cpu": 0, "memory": 0},
            id="an explicit zero stays zero",
        ),
        pytest.param(
            {"containers": [container(cpu="3m", memory="3")], "initContainers": [container()]},
            {"cpu": 100, "memory": 200 * MIB},
            id="init containers likewise",
        ),
        pytest.param(
            {"containers": [container(cpu="1", memory="1")], "initContainers": [sidecar()]},
            {"cpu": 1100, "memory": 200 * MIB + 1},
            id="sidecars likewise",
        ),
        pytest.param(
            {"containers": [container()], "overhead": {"cpu": "1"}},
            {"cpu": 1100, "memory": 200 * MIB},
            id="overhead on top",
        ),
        pytest.param(
            {"containers": [container()], "resources": {"requests": {"cpu": "2"}}},
            {"cpu": 2000, "memory": 200 * MIB},
            id="pod-level requests replace the default as well",
        ),
    ],
)
def test_amounts_that_scores_count(spec, expected):
    assert scored(pod(**spec)) == expected


def test_scored_is_left_out_where_it_says_nothing_new():
    assert pod_template(pod(containers=[container(cpu="1", memory="1")])).request.scored is None


def resized(asked, *, promised=None, given=None, reason=None, kind="containerStatuses"):
    status = {"name": "c", "allocatedResources": promised, "resources": {"requests": given}}
    conditions = [{"type": "PodResizePending", "reason": reason}] if reason else None
    place = "containers" if kind == "containerStatuses" else "initContainers"
    spec = {place: [container(cpu=asked)]}
    return pod(status={kind: [status], "conditions": conditions}, **spec)


@pytest.mark.parametrize(
    ("source", "cpu"),
    [
        pytest.param(resized("1"), 1000, id="no word of the kubelet yet"),
        pytest.param(resized("3", promised={"cpu": "1"}), 3000, id="growing: what is asked for"),
        pytest.param(resized("1", promised={"cpu": "3"}), 3000, id="shrinking: what is promised"),
        pytest.param(
            resized("1", promised={"cpu": "2"}, given={"cpu": "3"}),
            3000,
            id="shrinking: what is still given",
        ),
        pytest.param(
            resized("9", promised={"cpu": "2"}, reason="Infeasible"),
            2000,
            id="infeasible: what is asked for no longer counts",
        ),
        pytest.param(
            resized("9", promised={"cpu": "2"}, reason="Deferred"),
            9000,
            id="deferred: it still counts",
        ),
        pytest.param(
            resized("1", promised={"cpu": "4"}, kind="initContainerStatuses"),
            4000,
            id="init containers have statuses too",
        ),
    ],
)
def test_requests_of_a_pod_that_is_being_resized(source, cpu):
    assert requested(source)["cpu"] == cpu


# --- Constraints ------------------------------------------------------------------------------


def test_a_pod_without_wishes_is_unconstrained():
    assert constraints(containers=[container()]) == UNCONSTRAINED


def test_node_name_selector_and_labels():
    template = pod_template(
        pod(nodeName="n1", nodeSelector={"b": "2", "a": "1"}, labels={"y": "2", "x": "1"})
    )
    assert template.constraints.node_name == "n1"
    assert template.constraints.node_selector == (("a", "1"), ("b", "2"))
    assert template.labels == (("x", "1"), ("y", "2"))
    assert template.namespace == "ns"


def test_a_missing_namespace_stays_empty():
    assert pod_template({"metadata": {"name": "p"}, "spec": {}}).namespace == ""


IN_A = {"key": "zone", "operator": "In", "values": ["a"]}
IN_A_MODEL = Requirement("zone", "In", ("a",))


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        pytest.param(None, None, id="none: anywhere"),
        pytest.param({"nodeSelectorTerms": []}, (), id="no alternative: nowhere"),
        pytest.param(
            {"nodeSelectorTerms": [{}]}, (NodeSelectorTerm(),), id="an empty term is kept"
        ),
        pytest.param(
            {
                "nodeSelectorTerms": [
                    {"matchExpressions": [IN_A, {"key": "gpu", "operator": "Exists"}]},
                    {"matchFields": [IN_A | {"key": "metadata.name"}]},
                ]
            },
            (
                NodeSelectorTerm(expressions=(IN_A_MODEL, Requirement("gpu", "Exists"))),
                NodeSelectorTerm(fields=(Requirement("metadata.name", "In", ("a",)),)),
            ),
            id="alternatives of expressions and fields",
        ),
    ],
)
def test_required_node_affinity(required, expected):
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert constraints(affinity=affinity).required_nodes == expected


def test_a_node_term_with_a_value_that_no_label_can_have_holds_nowhere():
    impossible = {"key": "zone", "operator": "NotIn", "values": ["a", "{{bad}}"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [impossible, IN_A]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert constraints(affinity=affinity).required_nodes == (NodeSelectorTerm(),)


@pytest.mark.parametrize(
    ("value", "is_possible"),
    [("", True), ("a", True), ("a-b_c.d", True), ("-a", False), ("a b", False), ("a" * 64, False)],
)
def test_an_inter_pod_term_with_a_value_that_no_label_can_have_is_an_error(value, is_possible):
    condition = {"key": "app", "operator": "In", "values": [value]}
    term = {"labelSelector": {"matchExpressions": [condition]}, "topologyKey": "zone"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    if is_possible:
        assert constraints(affinity=affinity).required_pods
    else:
        with pytest.raises(DialectError, match=r"values\[0\]\[app\]: Invalid value: "):
            constraints(affinity=affinity)


def test_preferred_node_affinity():
    preferred = [{"weight": 7, "preference": {"matchExpressions": [IN_A]}}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    assert constraints(affinity=affinity).preferred_nodes == (
        PreferredNodes(weight=7, term=NodeSelectorTerm(expressions=(IN_A_MODEL,))),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"key": "a", "value": "b"}, Toleration("a", "Equal", "b"), id="Equal"),
        pytest.param({"key": "a", "operator": ""}, Toleration("a"), id="empty operator is Equal"),
        pytest.param({"operator": "Exists"}, Toleration("", "Exists"), id="everything"),
        pytest.param(
            {"key": "a", "operator": "Gt", "value": "5", "effect": "NoExecute"},
            Toleration("a", "Gt", "5", "NoExecute"),
            id="comparison with an effect",
        ),
        pytest.param(
            {"key": "a", "value": None, "effect": None}, Toleration("a"), id="null means not given"
        ),
    ],
)
def test_tolerations(given, expected):
    assert constraints(tolerations=[given]).tolerations == (expected,)


def with_ports(*ports, **fields):
    return {"name": "c", "ports": list(ports)} | fields


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {"containers": [with_ports({"containerPort": 80}, {"hostPort": 0})]},
            (),
            id="port 0 or none takes nothing of the node",
        ),
        pytest.param(
            {"containers": [with_ports({"hostPort": 80})]},
            (HostPort(80, "TCP", "0.0.0.0"),),
            id="TCP on every address unless said otherwise",
        ),
        pytest.param(
            {"containers": [with_ports({"hostPort": 80, "protocol": "UDP", "hostIP": "10.0.0.1"})]},
            (HostPort(80, "UDP", "10.0.0.1"),),
            id="as said",
        ),
        pytest.param(
            {"hostNetwork": True, "containers": [with_ports({"containerPort": 80})]},
            (HostPort(80),),
            id="on the host network container ports are the node's",
        ),
        pytest.param(
            {
                "containers": [with_ports({"hostPort": 1})],
                "initContainers": [
                    with_ports({"hostPort": 2}),
                    with_ports({"hostPort": 3}, restartPolicy="Always"),
                ],
            },
            (HostPort(3), HostPort(1)),
            id="sidecars keep their ports, init containers give them back",
        ),
    ],
)
def test_host_ports(spec, expected):
    assert constraints(**spec).host_ports == expected


def term(**fields):
    return {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}} | fields


APP_X = Requirement("app", "In", ("x",))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            term(),
            PodTerm("zone", LabelSelector((APP_X,)), ("ns",)),
            id="no namespaces: the Pod's own",
        ),
        pytest.param(
            term(namespaces=["b", "a", "b"]),
            PodTerm("zone", LabelSelector((APP_X,)), ("a", "b")),
            id="listed namespaces, sorted, once",
        ),
        pytest.param(
            term(namespaceSelector={}),
            PodTerm("zone", LabelSelector((APP_X,)), (), LabelSelector()),
            id="an empty namespace selector is every namespace, not the own",
        ),
        pytest.param(
            term(labelSelector=None),
            PodTerm("zone", None, ("ns",)),
            id="no selector matches nothing",
        ),
        pytest.param(
            term(labelSelector={}),
            PodTerm("zone", LabelSelector(), ("ns",)),
            id="an empty selector matches everything",
        ),
        pytest.param(
            term(matchLabelKeys=["rev", "absent"], mismatchLabelKeys=["tenant"]),
            PodTerm(
                "zone",
                LabelSelector(
                    (
                        APP_X,
                        Requirement("rev", "In", ("1",)),
                        Requirement("tenant", "NotIn", ("t",)),
                    )
                ),
                ("ns",),
            ),
            id="label keys take the Pod's own values",
        ),
        pytest.param(
            term(
                labelSelector={
                    "matchExpressions": [{"key": "rev", "operator": "In", "values": ["1"]}]
                },
                matchLabelKeys=["rev"],
            ),
            PodTerm("zone", LabelSelector((Requirement("rev", "In", ("1",)),)), ("ns",)),
            id="what the API server has merged is not added again",
        ),
        pytest.param(
            term(labelSelector=None, matchLabelKeys=["rev"]),
            PodTerm("zone", None, ("ns",)),
            id="label keys do not make a selector out of none",
        ),
    ],
)
def test_inter_pod_terms(given, expected):
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [given]}
    source = pod(
        labels={"rev": "1", "tenant": "t"},
        affinity={"podAffinity": required, "podAntiAffinity": required},
    )
    found = pod_template(source).constraints
    assert found.required_pods == (expected,)
    assert found.forbidden_pods == (expected,)


def test_preferred_anti_affinity_has_a_negative_weight():
    preferred = [{"weight": 5, "podAffinityTerm": term()}]
    terms = {"preferredDuringSchedulingIgnoredDuringExecution": preferred}
    found = constraints(affinity={"podAntiAffinity": terms, "podAffinity": terms})
    expected = PodTerm("zone", LabelSelector((APP_X,)), ("ns",))
    assert found.preferred_pods == (PreferredPods(5, expected), PreferredPods(-5, expected))


def spread(**fields):
    given = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"} | fields
    found = pod_template(pod(labels={"rev": "1"}, topologySpreadConstraints=[given]))
    return found.constraints.spread[0]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"labelSelector": {}},
            SpreadConstraint(1, "zone", "DoNotSchedule", LabelSelector()),
            id="honours affinity and ignores taints by default",
        ),
        pytest.param(
            {
                "whenUnsatisfiable": "ScheduleAnyway",
                "maxSkew": 3,
                "minDomains": 2,
                "nodeAffinityPolicy": "Ignore",
                "nodeTaintsPolicy": "Honor",
            },
            SpreadConstraint(
                3,
                "zone",
                "ScheduleAnyway",
                None,
                min_domains=2,
                honor_node_affinity=False,
                honor_node_taints=True,
            ),
            id="as said",
        ),
        pytest.param(
            {"labelSelector": {"matchLabels": {"app": "x"}}, "matchLabelKeys": ["rev", "absent"]},
            SpreadConstraint(
                1,
                "zone",
                "DoNotSchedule",
                LabelSelector((APP_X, Requirement("rev", "In", ("1",)))),
            ),
            id="label keys take the Pod's own values",
        ),
        pytest.param(
            {"matchLabelKeys": ["rev"]},
            SpreadConstraint(
                1, "zone", "DoNotSchedule", LabelSelector((Requirement("rev", "In", ("1",)),))
            ),
            id="label keys alone make a selector",
        ),
        pytest.param(
            {"matchLabelKeys": ["absent"]},
            SpreadConstraint(1, "zone", "DoNotSchedule", None),
            id="absent label keys leave no selector",
        ),
    ],
)
def test_topology_spread(fields, expected):
    assert spread(**fields) == expected


# --- Volumes ----------------------------------------------------------------------------------

CLAIM = "ns/p-scratch"
BOUND = {"pv.kubernetes.io/bind-completed": "yes"}


def claim(*, annotations=None, deleted=None, phase="", **spec):
    metadata = {"name": "p-scratch", "namespace": "ns", "annotations": annotations}
    metadata["deletionTimestamp"] = deleted
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def resolve(*claims, volumes=(), classes=()):
    source = pod(volumes=[{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}])
    facts = StorageFacts.of(claims=claims, volumes=volumes, classes=classes)
    return pod_template(source, storage=facts).constraints.volumes


def persistent_volume(affinity):
    return {"metadata": {"name": "pv1"}, "spec": {"nodeAffinity": affinity}}


LATE = {"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}
NOW = {"metadata": {"name": "now"}, "volumeBindingMode": "Immediate"}
ZONE_A = {"required": {"nodeSelectorTerms": [{"matchExpressions": [IN_A]}]}}
ZONE_A_MODEL = (NodeSelectorTerm(expressions=(IN_A_MODEL,)),)
ALLOWED = {"allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}]}


@pytest.mark.parametrize(
    ("claims", "volumes", "classes", "expected"),
    [
        pytest.param(
            [claim(volumeName="pv1", annotations=BOUND)],
            [persistent_volume(ZONE_A)],
            [],
            Volume(CLAIM, nodes=ZONE_A_MODEL),
            id="bound: where its volume can be mounted",
        ),
        pytest.param(
            [claim(volumeName="pv1", annotations=BOUND)],
            [persistent_volume(None)],
            [],
            Volume(CLAIM),
            id="bound to a volume without affinity: everywhere",
        ),
        pytest.param(
            [claim(volumeName="pv1", annotations=BOUND)],
            [],
            [],
            Volume(CLAIM, nodes=()),
            id="bound to a volume that nobody has seen: nowhere",
        ),
        pytest.param(
            [claim(volumeName="pv1", storageClassName="late")],
            [persistent_volume(None)],
            [LATE],
            Volume(CLAIM, nodes=(), bound=False),
            id="binding not complete: nowhere yet",
        ),
        pytest.param(
            [claim(storageClassName="late")],
            [],
            [LATE],
            Volume(CLAIM, bound=False),
            id="late: everywhere",
        ),
        pytest.param(
            [claim(storageClassName="late")],
            [],
            [LATE | ALLOWED],
            Volume(CLAIM, nodes=ZONE_A_MODEL, bound=False),
            id="late: where the class may provision",
        ),
        pytest.param(
            [claim(storageClassName="now")],
            [],
            [NOW],
            Volume(CLAIM, nodes=(), bound=False),
            id="immediate but unbound: nowhere yet",
        ),
        pytest.param(
            [claim()], [], [LATE], Volume(CLAIM, nodes=(), bound=False), id="no class: nowhere yet"
        ),
        pytest.param([], [], [LATE], Volume(CLAIM, nodes=(), bound=False), id="no claim: nowhere"),
        pytest.param(
            [claim(storageClassName="late", phase="Lost")],
            [],
            [LATE],
            Volume(CLAIM, nodes=(), bound=False),
            id="lost: nowhere",
        ),
        pytest.param(
            [claim(storageClassName="late", deleted="2026-01-01T00:00:00Z")],
            [],
            [LATE],
            Volume(CLAIM, nodes=(), bound=False),
            id="being deleted: nowhere",
        ),
    ],
)
def test_volumes(claims, volumes, classes, expected):
    assert resolve(*claims, volumes=volumes, classes=classes) == (expected,)


def test_a_named_claim_is_looked_up_in_the_pods_namespace_and_other_volumes_are_skipped():
    volumes = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "p-scratch"}},
    ]
    facts = StorageFacts.of(claims=[claim(storageClassName="late")], classes=[LATE])
    found = pod_template(pod(volumes=volumes), storage=facts).constraints.volumes
    assert found == (Volume(CLAIM, bound=False),)
    elsewhere = pod_template(pod(namespace="other", volumes=volumes), storage=facts)
    assert elsewhere.constraints.volumes == (Volume("other/p-scratch", nodes=(), bound=False),)


def test_without_storage_facts_volumes_are_not_looked_at():
    source = pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "x"}}])
    assert pod_template(source).constraints.volumes == ()
    assert len(pod_template(source, storage=StorageFacts()).constraints.volumes) == 1


# --- Assignments and keys ---------------------------------------------------------------------


def test_assignment():
    source = pod(nodeName="n1", containers=[container(cpu="1")], labels={"a": "b"})
    found = assignment(source)
    assert (found.pod, found.node, found.terminating, found.devices) == ("ns/p", "n1", False, None)
    assert found.template == pod_template(source | {"spec": {"containers": [container(cpu="1")]}})
    assert found.template.constraints.node_name == ""


def test_pods_of_one_template_stay_one_shape_on_different_nodes():
    first, second = (assignment(pod(name=n, nodeName=n)).template for n in ("a", "b"))
    assert first == second
    assert hash(first) == hash(second)


def test_a_pod_with_a_deletion_timestamp_is_terminating():
    source = pod(nodeName="n1")
    source["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert assignment(source).terminating


def test_assignment_reads_the_feature_gate():
    found = assignment(pod(nodeName="n", **POD_LEVEL), pod_level_resources=False)
    assert found.template.request.resources.get("cpu") == 1100


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({"name": "p", "namespace": "ns", "uid": "u"}, "ns/p", id="namespace and name"),
        pytest.param({"name": "p", "uid": "u"}, "p", id="no namespace"),
        pytest.param({"namespace": "ns", "uid": "u"}, "u", id="no name: the UID"),
    ],
)
def test_pod_key(metadata, expected):
    assert pod_key({"metadata": metadata}) == expected
    assert assignment({"metadata": metadata, "spec": {"nodeName": "n"}}).pod == expected
    assert assignment({"metadata": metadata, "spec": {"nodeName": "n"}}, key="k").pod == "k"


# --- Nodes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param(None, True, id="a node that says nothing counts as ready"),
        pytest.param([{"type": "Ready", "status": "True"}], True, id="ready"),
        pytest.param([{"type": "Ready", "status": "False"}], False, id="not ready"),
        pytest.param([{"type": "Ready", "status": "Unknown"}], False, id="not heard of"),
        pytest.param([{"type": "DiskPressure", "status": "False"}], True, id="another condition"),
    ],
)
def test_node_is_ready(conditions, expected):
    found = node({"metadata": {"name": "n"}, "status": {"conditions": conditions}})
    assert found.ready is expected


def test_node():
    source = {
        "kind": "Node",
        "metadata": {"name": "n1", "labels": {"zone": "a", "arch": "amd64"}},
        "spec": {
            "unschedulable": True,
            "taints": [
                {"key": "gpu", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
                {"key": "team", "value": "x", "effect": "PreferNoSchedule"},
            ],
        },
        "status": {
            "capacity": {"cpu": "9", "memory": "9Gi", "nvidia.com/gpu": "9"},
            "allocatable": {"cpu": "7910m", "memory": "1Gi", "pods": "110", "nvidia.com/gpu": "8"},
        },
    }
    found = node(source, rank=3)
    assert found.name == "n1"
    assert found.rank == 3
    assert found.allocatable.as_dict() == {
        "cpu": 7910,
        "memory": GIB,
        "pods": 110,
        "nvidia.com/gpu": 8,
    }
    assert found.labels == (("arch", "amd64"), ("zone", "a"))
    assert found.taints == (Taint("gpu", "", "NoSchedule"), Taint("team", "x", "PreferNoSchedule"))
    assert found.unschedulable
    assert found.devices == ()


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="no status"),
        pytest.param({"capacity": {"cpu": "8"}}, id="capacity only"),
        pytest.param({"capacity": {"cpu": "8"}, "allocatable": None}, id="allocatable is null"),
    ],
)
def test_capacity_never_stands_in_for_allocatable(status):
    found = node({"metadata": {"name": "n"}, "status": status})
    assert found.allocatable.as_dict() == {}
    assert (found.rank, found.unschedulable, found.taints) == (0, False, ())


# --- Ways in and errors -----------------------------------------------------------------------


def test_json_bytes_text_mapping_and_struct_mean_the_same():
    source = pod(containers=[container(cpu="1")], tolerations=[{"operator": "Exists"}])
    encoded = msgspec.json.encode(source)
    expected = pod_template(source)
    assert pod_template(encoded) == expected
    assert pod_template(encoded.decode()) == expected
    assert pod_template(wire.decode(wire.Pod, source)) == expected


def test_unknown_fields_are_skipped():
    known = pod(containers=[container(cpu="1")])
    newer = known | {"future": {"x": [1]}, "spec": known["spec"] | {"future": 1}}
    assert pod_template(newer) == pod_template(known)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param(
            pod(containers=[with_ports({"hostPort": "80"})]),
            "Pod ns/p: spec.containers[0].ports[0].hostPort: expected `int`, got `str`",
            id="wrong type",
        ),
        pytest.param(
            msgspec.json.encode(pod(hostNetwork=1)),
            "Pod ns/p: spec.hostNetwork: expected `bool`, got `int`",
            id="wrong type in JSON",
        ),
        pytest.param(
            pod(tolerations=[{"operator": "In"}]),
            "Pod ns/p: spec.tolerations[0].operator: invalid enum value 'In'",
            id="unknown operator",
        ),
        pytest.param(
            pod(topologySpreadConstraints=[{"maxSkew": 1}]),
            "Pod ns/p: spec.topologySpreadConstraints[0]: "
            "object missing required field `topologyKey`",
            id="missing field",
        ),
        pytest.param(
            pod(labels={"a": 1}),
            "Pod ns/p: metadata.labels[...]: expected `str`, got `int`",
            id="label that is a number",
        ),
        pytest.param(
            {"metadata": {"name": "p", 1: 2}}, "Pod p: metadata: expected `str`", id="odd key"
        ),
        pytest.param(
            pod(containers=[container("train", cpu="two")]),
            "Pod ns/p: container 'train': resources.requests.cpu: 'two' is not a quantity: ",
            id="nonsense quantity",
        ),
        pytest.param(
            pod(containers=[container("train", memory="-1Gi")]),
            "Pod ns/p: container 'train': resources.requests.memory: -1Gi is negative",
            id="negative request",
        ),
        pytest.param(
            pod(overhead={"cpu": "x"}),
            "Pod ns/p: spec.overhead.cpu: 'x' is not",
            id="nonsense overhead",
        ),
        pytest.param(
            pod(resources={"requests": {"cpu": "x"}}),
            "Pod ns/p: spec.resources.requests.cpu: 'x' is not",
            id="nonsense pod-level request",
        ),
        pytest.param(
            resized("1", promised={"cpu": "x"}),
            "Pod ns/p: status of container 'c': allocatedResources.cpu: 'x' is not",
            id="nonsense promise",
        ),
        pytest.param(
            resized("1", given={"cpu": "x"}),
            "Pod ns/p: status of container 'c': resources.requests.cpu: 'x' is not",
            id="nonsense status",
        ),
        pytest.param({"metadata": {"uid": "u7"}, "spec": 1}, "Pod u7: spec: ", id="only a UID"),
        pytest.param({"metadata": 3}, "Pod: metadata: expected `object`", id="no metadata"),
        pytest.param("[]", "Pod: expected `object`, got `array`", id="not an object"),
        pytest.param("{", "Pod: this is not JSON: ", id="cut off"),
        pytest.param('{"metadata": 1', "Pod: metadata: expected", id="misfit, then cut off"),
        pytest.param(b'{"metadata":{"name":"\xff"}}', "Pod: this is not JSON: ", id="not UTF-8"),
        pytest.param('{"x":' + "[" * 100_000, "Pod: it is nested too deeply", id="too deep"),
    ],
)
def test_a_bad_pod_is_one_sentence_with_object_and_field(source, sentence):
    with pytest.raises(DialectError) as caught:
        pod_template(source)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        pytest.param(
            lambda: assignment(pod()), "Pod ns/p: spec.nodeName: it has no node", id="no node"
        ),
        pytest.param(
            lambda: assignment({"spec": {"nodeName": "n"}}),
            "Pod: metadata.name: it has neither a name nor a UID",
            id="no key",
        ),
        pytest.param(
            lambda: node({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "x"}}}),
            "Node n: status.allocatable.cpu: 'x' is not a quantity",
            id="nonsense allocatable",
        ),
        pytest.param(
            lambda: node({"metadata": {"name": "n"}, "spec": {"taints": [{"key": "a"}]}}),
            "Node n: spec.taints[0]: object missing required field `effect`",
            id="taint without effect",
        ),
        pytest.param(
            lambda: StorageFacts.of(claims=[{"metadata": {"name": "c"}, "spec": 1}]),
            "PersistentVolumeClaim c: spec: expected `object`, got `int`",
            id="nonsense claim",
        ),
    ],
)
def test_other_errors(call, sentence):
    with pytest.raises(DialectError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert isinstance(caught.value, ValueError)
