"""Pods and gangs on the nodes of a cluster, and what nodes tell of themselves."""

import textwrap

import pytest

from tests.small_findings import findings, rules


def node(name="gpu-0", *, gpus=8, cpu=96, labels="", taints="", spec="", more=""):
    """Return a Node; `labels` and `taints` are YAML flow items."""
    return textwrap.dedent(
        f"""
        ---
        apiVersion: v1
        kind: Node
        metadata:
          name: {name}
          labels: {{{labels}}}
        spec: {{taints: [{taints}]{", " + spec if spec else ""}}}
        status:
          allocatable: {{cpu: "{cpu}", memory: 1000Gi, pods: "110", nvidia.com/gpu: "{gpus}"}}
        """
    ) + textwrap.indent(textwrap.dedent(more).strip() + "\n", "  ")


def pod(name="p", *, gpus=1, spec="", limits="", status="", kind="Pod"):
    """Return a Pod; `spec` are lines of its PodSpec, `limits` YAML flow items."""
    amounts = f"nvidia.com/gpu: {gpus}" + (f", {limits}" if limits else "")
    lines = textwrap.indent(textwrap.dedent(spec).strip("\n"), "  ")
    return (
        f"---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n{lines}\n"
        f"  containers:\n    - name: c\n      image: i:1\n"
        f"      resources: {{limits: {{{amounts}}}}}\n{status}"
    )


def job(pods, *, gpus=8, mode="Indexed", metadata="name: j", spec=""):
    return textwrap.dedent(
        f"""
        ---
        apiVersion: batch/v1
        kind: Job
        metadata: {{{metadata}}}
        spec:
          parallelism: {pods}
          completions: {pods}
          completionMode: {mode}
          {spec}
          template:
            spec:
              restartPolicy: Never
              containers:
                - name: c
                  image: i:1
                  resources: {{limits: {{nvidia.com/gpu: {gpus}}}}}
        """
    )


TAINT = "{key: nvidia.com/gpu, value: present, effect: NoSchedule}"
FIT = ("FIT-NODE", "FIT-SELECTOR", "FIT-TAINT", "MIG-NO-SLICE")


@pytest.mark.parametrize(
    ("nodes", "asks", "expected"),
    [
        pytest.param(node(), pod(gpus=8), [], id="it fits"),
        pytest.param(node(), pod(gpus=16), ["FIT-NODE"], id="more GPUs than any node"),
        pytest.param(node(), pod(limits="cpu: 97"), ["FIT-NODE"], id="more CPU than any node"),
        pytest.param(
            node(gpus=8, cpu=4) + node("cpu-0", gpus=0, cpu=96),
            pod(limits="cpu: 16"),
            ["FIT-NODE"],
            id="GPUs here and CPU there",
        ),
        pytest.param(
            node(labels="zone: a"), pod(spec="nodeSelector: {zone: b}"), ["FIT-SELECTOR"], id="zone"
        ),
        pytest.param(
            node(labels="zone: a"),
            pod(gpus=16, spec="nodeSelector: {zone: b}"),
            ["FIT-NODE"],
            id="the harder reason speaks alone",
        ),
        pytest.param(node(taints=TAINT), pod(), ["FIT-TAINT"], id="no toleration"),
        pytest.param(
            node(taints=TAINT),
            pod(spec="tolerations: [{key: nvidia.com/gpu, operator: Exists}]"),
            [],
            id="tolerated",
        ),
        pytest.param(
            node(taints=TAINT, labels="cloud.google.com/gke-accelerator: nvidia-l4"),
            pod(),
            [],
            id="GKE tolerates for the pod",
        ),
        pytest.param(
            node(taints="{key: node.kubernetes.io/not-ready, effect: NoSchedule}"),
            pod(),
            [],
            id="a condition comes and goes",
        ),
        pytest.param(node(spec="unschedulable: true"), pod(), [], id="cordoned comes back"),
        pytest.param(
            node(), pod(gpus=16, spec="nodeName: gpu-0"), [], id="who has a node needs none"
        ),
        pytest.param(
            node(),
            pod(limits="nvidia.com/gpumem: 4000", gpus=16),
            [],
            id="HAMi counts parts elsewhere",
        ),
        pytest.param(
            node(),
            pod(gpus=16, spec="resourceClaims: [{name: x, resourceClaimName: y}]"),
            [],
            id="claims are not looked at",
        ),
        pytest.param(
            node(),
            pod(gpus=0, limits="nvidia.com/mig-1g.10gb: 1"),
            ["MIG-NO-SLICE"],
            id="a profile that is not there has a rule of its own",
        ),
    ],
)
def test_whether_a_node_takes_a_pod(nodes, asks, expected):
    assert rules(asks, *FIT, background=nodes) == expected


@pytest.mark.parametrize("status", ["status: {phase: Failed}\n", "status: {phase: Succeeded}\n"])
def test_what_has_run_needs_no_node(status):
    assert rules(pod(gpus=16, status=status), *FIT, background=node()) == []


@pytest.mark.parametrize("rule", FIT)
def test_without_nodes_nothing_is_said(rule):
    asked = pod(gpus=1000, limits="nvidia.com/mig-9g.99gb: 1", spec="nodeSelector: {a: b}")
    assert rules(asked, rule) == []


def test_a_node_that_cannot_be_read_makes_the_picture_incomplete():
    broken = node().replace('cpu: "96"', "cpu: many")
    assert rules(pod(gpus=16), *FIT, background=broken) == []


@pytest.mark.parametrize(
    ("labels", "selector", "says"),
    [
        ("product: H100-SHARED", "product: H100", "did you mean 'H100-SHARED'?"),
        ("other: x", "product: H100", "no node has that label"),
        ("product: abc", "product: H100", "did you mean 'abc'?"),
    ],
)
def test_what_is_said_of_a_selector(labels, selector, says):
    asks = pod(spec=f"nodeSelector: {{{selector}}}")
    ((_, _, message),) = findings(asks, "FIT-SELECTOR", background=node(labels=labels))
    assert says in message


def test_a_near_miss_is_named():
    asks = pod(spec='tolerations: [{key: nvidia.com/gpu, operator: Equal, value: "true"}]')
    ((_, _, message),) = findings(asks, "FIT-TAINT", background=node(taints=TAINT))
    assert "nvidia.com/gpu=present:NoSchedule; it tolerates only nvidia.com/gpu=true" in message


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        pytest.param(job(2), 0, id="two nodes for two"),
        pytest.param(job(3, gpus=4), 0, id="four halves for three"),
        pytest.param(job(3), 1, id="two nodes for three"),
        pytest.param(job(3, mode="NonIndexed"), 0, id="one by one is of use as well"),
        pytest.param(job(3, metadata="name: j, uid: u"), 0, id="it is there already"),
        pytest.param(
            job(3, metadata="name: j, uid: u", spec="suspend: true"), 1, id="it is held back"
        ),
        pytest.param(job(3, gpus=16), 0, id="its pods alone do not fit: another rule"),
    ],
)
def test_gangs(asks, expected):
    nodes = node() + node("gpu-1") + pod("idle", spec="nodeName: elsewhere")
    assert len(rules(asks, "GANG-NO-ROOM", background=nodes)) == expected


def test_a_gang_waits_for_pods_that_run_and_not_for_those_that_ended():
    running = pod("r", spec="nodeName: gpu-0", status="status: {phase: Running}\n")
    ended = running.replace("Running", "Succeeded")
    requests = "resources: {requests: {nvidia.com/gpu: 1}, limits"
    running = running.replace("resources: {limits", requests)
    nodes = node() + node("gpu-1")
    assert rules(job(2), "GANG", background=nodes + running) == ["GANG-NO-ROOM"]
    assert rules(job(2), "GANG", background=nodes + ended) == []


def test_without_pods_nobody_knows_what_is_free():
    assert rules(job(3), "GANG", background=node()) == []


@pytest.mark.parametrize(
    ("limits", "replicas", "expected"),
    [
        pytest.param("cpu: 32", 4, 1, id="three pods on eight GPUs"),
        pytest.param("cpu: 12", 4, 0, id="eight pods on eight GPUs"),
        pytest.param("cpu: 32", 1, 0, id="a single pod leaves room for others"),
        pytest.param("memory: 900Gi", 4, 1, id="memory"),
    ],
)
def test_pods_that_leave_gpus_over(limits, replicas, expected):
    asks = textwrap.dedent(
        f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: d}}
        spec:
          replicas: {replicas}
          template:
            spec:
              containers:
                - {{name: c, image: "i:1", resources: {{limits: {{nvidia.com/gpu: 1, {limits}}}}}}}
        """
    )
    assert len(rules(asks, "FIT-LEFT-OVER", background=node())) == expected


# -- what nodes tell


@pytest.mark.parametrize(
    ("has", "offers", "expected"),
    [("8", "8", 0), ("8", "7", 1), ("0", "0", 0), ("8", "0", 1), ("many", "7", 0)],
)
def test_devices_that_are_lost(has, offers, expected):
    more = f'capacity: {{nvidia.com/gpu: "{has}"}}\n'
    assert len(rules(node(gpus=offers, more=more), "NODE-GPU-LOST")) == expected


RUNS = pod("r", spec="nodeName: gpu-0", status="status: {phase: Running}\n")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"spec": "unschedulable: true"}, 1),
        ({"more": "conditions: [{type: AcceleratedHardwareReady, status: 'False'}]"}, 1),
        ({"more": "conditions: [{type: XidCriticalError, status: 'True'}]"}, 1),
        ({"more": "conditions: [{type: XidCriticalError, status: 'False'}]"}, 0),
        ({"more": "conditions: [{type: Ready, status: 'True'}]"}, 0),
        ({"more": "conditions: [{type: AcceleratedHardwareReady, status: Unknown}]"}, 0),
        ({}, 0),
    ],
)
def test_sick_nodes_that_are_busy(state, expected):
    assert len(rules(node(**state) + RUNS, "NODE-SICK-BUSY")) == expected
    assert rules(node(**state) + RUNS.replace("Running", "Succeeded"), "NODE-SICK-BUSY") == []


@pytest.mark.parametrize(
    ("sharing", "gpus", "expected"),
    [("time-slicing", 2, 1), ("mps", 2, 1), ("time-slicing", 1, 0), ("none", 2, 0)],
)
def test_several_shares(sharing, gpus, expected):
    shared = node(labels=f"nvidia.com/gpu.sharing-strategy: {sharing}")
    assert len(rules(pod(gpus=gpus), "SHARE-SEVERAL", background=shared)) == expected


def test_several_gpus_where_a_node_does_not_share():
    nodes = node(labels="nvidia.com/gpu.sharing-strategy: mps") + node("whole")
    assert rules(pod(gpus=2), "SHARE-SEVERAL", background=nodes) == []


@pytest.mark.parametrize(
    ("image", "major", "expected"),
    [
        ("nvidia/cuda:13.0.1-base", 12, 1),
        ("nvidia/cuda:12.8.1-base", 12, 0),
        ("pytorch/pytorch:2.9.0-cuda13.0-cudnn9-runtime", 12, 1),
        ("pytorch/pytorch:2.7.0-cuda12.8-cudnn9-runtime", 12, 0),
        ("ghcr.io/x/train:1.2-cu130", 12, 1),
        ("ghcr.io/x/train:1.2", 12, 0),
        ("nvidia/cuda:13.0.1-base", 13, 0),
        ("rapidsai/base:25.10-cuda12-py3.12", 11, 0),
    ],
)
def test_cuda_that_is_too_new(image, major, expected):
    nodes = node(labels=f'nvidia.com/cuda.runtime.major: "{major}"')
    asks = pod().replace("i:1", image)
    assert len(rules(asks, "CUDA-DRIVER", background=nodes)) == expected


def test_cuda_where_a_node_does_not_tell():
    nodes = node(labels='nvidia.com/cuda.runtime.major: "12"') + node("quiet")
    asks = pod().replace("i:1", "nvidia/cuda:13.0.1-base")
    assert rules(asks, "CUDA-DRIVER", background=nodes) == []


def daemon(image, tolerations):
    return textwrap.dedent(
        f"""
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {{name: d}}
        spec:
          template:
            spec:
              tolerations: [{tolerations}]
              containers: [{{name: c, image: "{image}"}}]
        """
    )


@pytest.mark.parametrize(
    ("image", "tolerations", "expected"),
    [
        ("x/csi-node-driver-registrar:1", "", 1),
        ("x/csi-node-driver-registrar:1", "{operator: Exists}", 0),
        ("x/dcgm-exporter:1", "{key: nvidia.com/gpu, operator: Exists}", 0),
        pytest.param("x/web-cache:1", "", 0, id="not everybody has to be there"),
    ],
)
def test_daemons_that_gpu_nodes_keep_out(image, tolerations, expected):
    found = rules(daemon(image, tolerations), "NODE-DAEMON", background=node(taints=TAINT))
    assert len(found) == expected


MIXED = 'nvidia.com/cuda.driver-version.major: "570", nvidia.com/cuda.driver-version.minor: "{}"'


@pytest.mark.parametrize(
    ("minor", "slices", "gpus", "expected"),
    [("133", "7", 4, 1), ("172", "7", 4, 0), ("133", "0", 4, 0), ("133", "7", 0, 0)],
)
def test_drivers_under_which_mixed_nodes_stay_empty(minor, slices, gpus, expected):
    text = node(gpus=gpus, labels=MIXED.format(minor)).replace(
        "nvidia.com/gpu:", f'nvidia.com/mig-1g.10gb: "{slices}", nvidia.com/gpu:'
    )
    assert len(rules(text, "NODE-MIG-DRIVER")) == expected
