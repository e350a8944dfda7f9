"""Nodes know how near they are to each other, and nobody asks.

A collective is as fast as its slowest link. Where nodes are labelled with their switches, a job can
ask for nodes under one of them. Four things go wrong: the job does not ask; it runs, over more
switches than its size needs; a Topology of Kueue names a label that some GPU nodes lack, which are
then left out; and half of the nodes still carry the labels of an older topograph.

Sources: Kueue v0.20 (Topology; nodes without all levels are not used, kueue #3533); topograph v1.0
(new names), #408; ByteDance Arnold, arXiv 2509.15940 (10 % of a training over 9,600 GPUs).
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView, Workload
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.gangs.tiers import TIERS, TOPOGRAPH_NEW, TOPOGRAPH_OLD, tiers_of
from gpuyard.lint.rules.nodes.candidates import gpu_nodes, of_candidates
from gpuyard.lint.rules.queues.chain import TOPOLOGY
from gpuyard.lint.rules.samples import GPU_NODE, POD, TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

SEVERAL = 2
_HOW = ("required", "preferred")
ASKS_BY_KEY = ("topology", "kai.scheduler/segment-size")
AFFINITY = tuple(f"{how}DuringSchedulingIgnoredDuringExecution" for how in _HOW)
JOB_LABELS = (
    "jobset.sigs.k8s.io/jobset-name",
    "batch.kubernetes.io/job-name",
    "training.kubeflow.org/job-name",
    "volcano.sh/job-name",
    "leaderworkerset.sigs.k8s.io/group-key",
)


def check_request(workload: Workload, world: World) -> Iterator[Hit]:
    """Find jobs over several nodes that do not ask to be near, though nodes tell."""
    if workload.row.lifetime != "task" or (workload.together or 0) < SEVERAL:
        return
    if workload.mapping("spec", "networkTopology") or _asks(workload.annotations):
        return
    for pod in workload.gpu_pods:
        if (pod.count or 0) < SEVERAL or not pod.is_complete or _asks_near(pod):
            continue
        key, domains = of_candidates(pod, world, _nearest)
        if key:
            yield Hit(
                ("metadata", "name"),
                f"{count(pod.count or 0, 'pod')} may be spread over {count(domains, 'domain')} of "
                f"{key}",
            )
            return


def check_levels(topology: Entry, world: World) -> Iterator[Hit]:
    """Find levels of a Topology that some GPU nodes do not have."""
    nodes = world.once(gpu_nodes)
    for index, level in topology.mappings("spec", "levels"):
        key = plain.text(level, "nodeLabel")
        without = [node.name for node in nodes if key not in node.labels]
        if key and 0 < len(without) < len(nodes):
            yield Hit(
                ("spec", "levels", index, "nodeLabel"),
                f"{len(without)} of {count(len(nodes), 'GPU node')} without the label {key}: "
                f"{', '.join(without[:3])}",
                of="value",
            )


def check_mixed(world: World, _world: World) -> Iterator[Hit]:
    """Find clusters of which some nodes have topograph's new labels and some the old."""
    nodes = world.once(gpu_nodes)
    new = [node for node in nodes if _has(node, TOPOGRAPH_NEW)]
    old = [node for node in nodes if _has(node, TOPOGRAPH_OLD) and not _has(node, TOPOGRAPH_NEW)]
    if new and old:
        yield Hit(
            ("metadata", "labels"),
            f"{len(old)} of {count(len(nodes), 'GPU node')} with topograph's old labels only, "
            f"{len(new)} with the new ones",
            on=old[0],
        )


def check_spread(world: World, _world: World) -> Iterator[Hit]:
    """Find running jobs over more domains of a tier than their number of nodes needs."""
    nodes = {node.name: node for node in world.once(gpu_nodes)}
    for pods in _running_jobs(world).values():
        used = {pod.text("spec", "nodeName") for pod in pods} & nodes.keys()
        if len(used) < SEVERAL:
            continue
        for key in TIERS:
            if any(key not in nodes[name].labels for name in used):
                continue
            sizes = Counter(node.labels[key] for node in nodes.values() if key in node.labels)
            taken = len({nodes[name].labels[key] for name in used})
            needed = _fewest(sizes, len(used))
            if taken > needed:
                yield Hit(
                    ("spec", "nodeName"),
                    f"{count(len(used), 'node')} of one job in {count(taken, 'domain')} of {key}, "
                    f"where {needed} would do",
                    on=pods[0],
                )
            break


def _running_jobs(world: World) -> dict[tuple[str, str, str], list[Entry]]:
    found: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for pod in world.of_kind("Pod"):
        key = next((one for one in JOB_LABELS if one in pod.labels), "")
        if key and pod.text("spec", "nodeName") and pod.workload and pod.workload.asks_gpus:
            found[pod.namespace, key, pod.labels[key]].append(pod)
    return found


def _fewest(sizes: Counter[str], nodes: int) -> int:
    """Return how many domains `nodes` nodes need, the largest first."""
    for number, (_, size) in enumerate(sizes.most_common(), 1):
        nodes -= size
        if nodes <= 0:
            return number
    return len(sizes)


def _asks(annotations: dict[str, str]) -> bool:
    return any(part in key for key in annotations for part in ASKS_BY_KEY)


def _asks_near(pod: PodView) -> bool:
    if _asks(pod.annotations) or plain.mapping(pod.spec.value, "nodeSelector").keys() & set(TIERS):
        return True
    if pod.job is not None and pod.job.get("scheduling", "schedulingConstraints"):
        return True
    return any(pod.spec.mappings("affinity", "podAffinity", one) for one in AFFINITY)


def _nearest(nodes: list[Entry]) -> tuple[str, int]:
    """Return the nearest tier that divides nodes, and into how many domains; ("", 0) if none."""
    given = tiers_of(key for node in nodes for key in node.labels)
    key = next((key for key in given if _divides(key, nodes)), "")
    return key, len({node.labels[key] for node in nodes}) if key else 0


def _divides(key: str, nodes: list[Entry]) -> bool:
    """Tell whether a tier has several domains, each with several nodes or not."""
    values = {node.labels.get(key, "") for node in nodes}
    return "" not in values and SEVERAL <= len(values) < len(nodes)


def _has(node: Entry, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in node.labels)


def _node(name: str, block: str) -> str:
    return changed(
        GPU_NODE,
        "  name: gpu-0\n",
        f"  name: {name}\n  labels:\n    cloud.google.com/gce-topology-block: {block}\n",
    )


_NODES = together(*(_node(f"gpu-{number}", f"b{number // 2}") for number in range(4)))
_TOPOLOGY = """\
apiVersion: kueue.x-k8s.io/v1beta2
kind: Topology
metadata:
  name: blocks
spec:
  levels:
    - nodeLabel: cloud.google.com/gce-topology-block
"""
_NEAR = changed(
    TRAIN,
    "    spec:\n      subdomain",
    "    metadata:\n      annotations:\n"
    "        kueue.x-k8s.io/podset-required-topology: cloud.google.com/gce-topology-block\n"
    "    spec:\n      subdomain",
)
_OLD = changed(
    GPU_NODE,
    "  name: gpu-0\n",
    "  name: gpu-9\n  labels:\n    network.topology.nvidia.com/leaf: s1\n",
)
_NEW = changed(
    GPU_NODE,
    "  name: gpu-0\n",
    "  name: gpu-8\n  labels:\n    fabric.topograph.run/tier-0: s1\n",
)


def _rank(name: str, node: str) -> str:
    return changed(
        changed(
            POD,
            "  name: rank-0\n",
            f"  name: {name}\n  labels:\n    batch.kubernetes.io/job-name: train\n",
        ),
        "spec:\n",
        f"spec:\n  nodeName: {node}\n",
    )


RULES = (
    Rule(
        id="TOPOLOGY-REQUEST",
        severity="info",
        title="A job over several nodes asks for nodes near each other",
        why="Ranks under different switches wait for the slowest link in every step. One "
        "operator gained 10 % of a training over 9,600 GPUs by placing it well.",
        remedy="annotate the pods with kueue.x-k8s.io/podset-preferred-topology, or what your "
        "scheduler has for it",
        source="Kueue v0.20, Topology Aware Scheduling; arXiv 2509.15940",
        scope="workload",
        needs="cluster",
        reads=("Node",),
        check=check_request,
        failing=together(_NODES, changed(TRAIN, "  name: train\n", "  name: train # <- here\n")),
        passing=together(_NODES, _NEAR),
    ),
    Rule(
        id="TOPOLOGY-LEVEL",
        severity="warning",
        title="All GPU nodes have the labels of a Topology",
        why="Kueue does not use a node that lacks one of the levels. Its GPUs are counted in the "
        "quota and never filled.",
        remedy="label the nodes, or leave the level out",
        source="Kueue v0.20, concepts, Topology Aware Scheduling; NVIDIA/topograph #408",
        scope="object",
        kinds=(TOPOLOGY,),
        needs="cluster",
        reads=("Node",),
        check=check_levels,
        failing=together(
            _NODES,
            GPU_NODE.replace("gpu-0", "gpu-7"),
            changed(_TOPOLOGY, "gce-topology-block\n", "gce-topology-block # <- here\n"),
        ),
        passing=together(_NODES, _TOPOLOGY),
    ),
    Rule(
        id="TOPOLOGY-MIXED",
        severity="warning",
        title="All GPU nodes speak of topology in the same words",
        why="topograph 1.0 writes other labels than 0.5 and leaves the old ones where they are. A "
        "request by one name sees only some of the nodes.",
        remedy="let topograph 1.0 label all nodes, remove the old labels, and name the new ones in "
        "Topology and annotations",
        source="NVIDIA/topograph v1.0.0, release notes; #408",
        scope="world",
        needs="cluster",
        reads=("Node",),
        check=check_mixed,
        failing=together(changed(_OLD, "  labels:\n", "  labels: # <- here\n"), _NEW),
        passing=together(_NEW, _NEW.replace("gpu-8", "gpu-9")),
    ),
    Rule(
        id="TOPOLOGY-SPREAD",
        severity="info",
        title="A running job is in as few domains as its size needs",
        why="Ranks in more domains than necessary send over links that others use too. A restart "
        "with a topology request puts them together.",
        remedy="ask for the topology, and let the job start again from its checkpoint",
        source="arXiv 2509.15940; Kueue v0.20, Topology Aware Scheduling; kueue #3533",
        scope="world",
        needs="cluster",
        reads=("Node", "Pod"),
        check=check_spread,
        failing=together(
            _NODES,
            changed(_rank("rank-0", "gpu-0"), "nodeName: gpu-0", "nodeName: gpu-0 # <- here"),
            _rank("rank-1", "gpu-2"),
        ),
        passing=together(_NODES, _rank("rank-0", "gpu-0"), _rank("rank-1", "gpu-1")),
    ),
)
