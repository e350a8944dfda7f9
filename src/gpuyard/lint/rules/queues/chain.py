"""From a workload to its quota: label, LocalQueue, ClusterQueue, flavors.

Each step names the next object; where one was not given, or several of that name were (a folder
of examples), the chain ends, and a rule that walks it says nothing.

Field names: Kueue v0.20, apis/kueue/v1beta2 (v1beta1 has the same for what is read here).
"""

from collections.abc import Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import Workload
from gpuyard.lint.world import Entry, World

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
LOCAL_QUEUE = "kueue.x-k8s.io/LocalQueue"
CLUSTER_QUEUE = "kueue.x-k8s.io/ClusterQueue"
FLAVOR = "kueue.x-k8s.io/ResourceFlavor"
TOPOLOGY = "kueue.x-k8s.io/Topology"
DEFAULT = "default"


def queue_name(workload: Workload) -> str:
    """Return the name of the queue that a workload asks for, "" where it asks for none."""
    return workload.labels.get(QUEUE_LABEL, "")


def local_queue(workload: Workload, world: World) -> Entry | None:
    """Return the LocalQueue of a workload, if it was given."""
    name, entry = queue_name(workload), world.entry(workload)
    same = world.once(_by_name).get((LOCAL_QUEUE, name), []) if name else []
    namespaces = {entry.namespace, ""}
    return _only([one for one in same if not entry.namespace or one.namespace in namespaces])


def cluster_queue(local: Entry, world: World) -> Entry | None:
    """Return the ClusterQueue of a LocalQueue, if it was given."""
    return of_cluster(CLUSTER_QUEUE, local.text("spec", "clusterQueue"), world)


def cluster_queue_of(workload: Workload, world: World) -> Entry | None:
    """Return the ClusterQueue that a workload will use, if the way to it was given."""
    local = local_queue(workload, world)
    return None if local is None else cluster_queue(local, world)


def of_cluster(kind: str, name: str, world: World) -> Entry | None:
    """Return the object of a kind without namespaces, if just one of that name was given."""
    return _only(world.once(_by_name).get((kind, name), []))


def near_queues(entry: Entry, world: World) -> list[Entry]:
    """Return the LocalQueues that are surely in the namespace of an object.

    Both say so, or one file holds both.
    """
    queues = world.once(_by_place)
    return queues.get(_place(entry), [])


def _by_name(world: World) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for kind in (LOCAL_QUEUE, CLUSTER_QUEUE, FLAVOR, TOPOLOGY):
        for one in world.of_kind(kind):
            found.setdefault((kind, one.name), []).append(one)
    return found


def _by_place(world: World) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for one in world.of_kind(LOCAL_QUEUE):
        found.setdefault(_place(one), []).append(one)
    return found


def _place(entry: Entry) -> tuple[str, str]:
    return (entry.namespace, "" if entry.namespace else entry.document.source)


def _only(found: list[Entry]) -> Entry | None:
    """Return what was found, if it is one."""
    return found[0] if len(found) == 1 else None


def resources(queue: Entry) -> set[str]:
    """Return the resources for which a ClusterQueue has quota."""
    return {
        name
        for _, group in queue.mappings("spec", "resourceGroups")
        for _, name in plain.words(group, "coveredResources")
    }


def flavor_names(queue: Entry, resource: str) -> Iterator[str]:
    """Return the names of the flavors in which a ClusterQueue has quota for a resource."""
    for _, group in queue.mappings("spec", "resourceGroups"):
        if resource in {name for _, name in plain.words(group, "coveredResources")}:
            for _, flavor in plain.mappings(group, "flavors"):
                yield plain.text(flavor, "name")


def is_active(queue: Entry) -> bool:
    """Tell whether the status of a queue says that it takes work; true where it says nothing."""
    for _, condition in queue.mappings("status", "conditions"):
        if condition.get("type") == "Active":
            return condition.get("status") != "False"
    return True
