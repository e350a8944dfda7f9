"""A topology that is asked for and that no flavor of the queue has.

Kueue places the pods of a workload near each other in flavors that have a ``topologyName``. One
that asks for a topology by annotation is admitted only in such a flavor, and only if the level it
names is one of the Topology. Otherwise it waits, and the reason is in its Workload.

Walks from the label to the flavors; where one of the objects was not given, nothing is said.

Source: Kueue v0.20, pkg/scheduler/flavorassigner/tas_flavorassigner.go; apis/kueue/v1beta2
(TopologySpec.levels, the annotations ``podset-required-topology`` and ``-preferred-topology``).
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.queues.chain import (
    FLAVOR,
    TOPOLOGY,
    cluster_queue_of,
    flavor_names,
    of_cluster,
)
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.world import Entry, World

REQUIRED = "kueue.x-k8s.io/podset-required-topology"
PREFERRED = "kueue.x-k8s.io/podset-preferred-topology"


def check(pod: PodView, world: World) -> Iterator[Hit]:
    """Find topologies that no flavor of the queue knows."""
    key = next((one for one in (REQUIRED, PREFERRED) if one in pod.annotations), "")
    queue = cluster_queue_of(pod.workload, world) if key else None
    if queue is None:
        return
    level = pod.annotations[key]
    for resource in pod.devices:
        names = list(flavor_names(queue, resource))
        flavors = [of_cluster(FLAVOR, name, world) for name in names]
        if not flavors or not all(flavors):
            continue
        problem = _problem([one for one in flavors if one is not None], level, world)
        if problem:
            yield Hit(
                (*pod.metadata_path, "annotations", key),
                f"topology {level} cannot be met in ClusterQueue {queue.name}: {problem}",
                of="value",
            )
            return


def _problem(flavors: list[Entry], level: str, world: World) -> str:
    """Return why none of the flavors has the level, "" where one has it or may have it."""
    topologies = [one.text("spec", "topologyName") for one in flavors]
    if not any(topologies):
        return f"no topologyName in flavor {', '.join(one.name for one in flavors[:4])}"
    levels: set[str] = set()
    for name in filter(None, topologies):
        topology = of_cluster(TOPOLOGY, name, world)
        if topology is None:
            return ""
        levels |= {plain.text(one, "nodeLabel") for _, one in topology.mappings("spec", "levels")}
    return "" if level in levels else f"its levels are {', '.join(sorted(levels))}"


_QUEUES = """\
apiVersion: kueue.x-k8s.io/v1beta2
kind: LocalQueue
metadata:
  name: research
spec:
  clusterQueue: gpus
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata:
  name: gpus
spec:
  resourceGroups:
    - coveredResources: [nvidia.com/gpu]
      flavors:
        - name: h100
          resources:
            - {name: nvidia.com/gpu, nominalQuota: 64}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ResourceFlavor
metadata:
  name: h100
spec:
  topologyName: racks
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: Topology
metadata:
  name: racks
spec:
  levels:
    - nodeLabel: cloud.google.com/gce-topology-block
    - nodeLabel: kubernetes.io/hostname
"""
_NEAR = changed(
    TRAIN,
    "    spec:\n      subdomain",
    "    metadata:\n      annotations:\n"
    "        kueue.x-k8s.io/podset-required-topology: cloud.google.com/gce-topology-block\n"
    "    spec:\n      subdomain",
)

RULES = (
    Rule(
        id="TOPOLOGY-FLAVOR",
        severity="error",
        title="A topology that is asked for is one of the queue's",
        why="Kueue admits the workload only in a flavor whose Topology has that level. If there is "
        "none it waits without an end.",
        remedy="name a level of the Topology, and give the ResourceFlavor its topologyName",
        source="Kueue v0.20, concepts, Topology Aware Scheduling; pkg/scheduler/flavorassigner",
        scope="pod",
        check=check,
        failing=together(
            _QUEUES,
            changed(
                _NEAR,
                "podset-required-topology: cloud.google.com/gce-topology-block",
                "podset-required-topology: cloud.google.com/gce-topology-rack # <- here",
            ),
        ),
        passing=together(_QUEUES, _NEAR),
    ),
)
