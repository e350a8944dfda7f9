"""Sessions in a few lines: nodes, queues and jobs for tests of the passes."""

from gpuyard.model.policy import DEVICES
from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.scheduling.deserved.shares import UNLIMITED, DeservedQueue, Quota, build
from gpuyard.scheduling.passes.jobs import Group, Job, Leaf, Pod
from gpuyard.scheduling.passes.knobs import PassKnobs
from gpuyard.scheduling.passes.session import Session
from tests.small_fleet import node, placer_of, snapshot_of, template

NOW_NS = 10**15
NO_GRACE = PassKnobs(stale_grace_ns=0)


def queue(name, deserved=0, *, parent="", limit=UNLIMITED, weight=1, **rest):
    """Return a queue that deserves `deserved` GPUs, and CPU and memory without bound."""
    gpus = Quota(
        deserved=deserved if deserved == UNLIMITED else deserved * 1000,
        limit=limit if limit == UNLIMITED else limit * 1000,
        weight_nano=weight * WEIGHT_ONE_NANO,
    )
    free = Quota(deserved=UNLIMITED)
    quotas = (("cpu", free), (DEVICES, gpus), ("memory", free))
    return DeservedQueue(name=name, parent=parent, quotas=quotas, **rest)


def job(name, where, *, gpus=1, milli=1000, queue="q", at_least=None, root=None, **facts):
    """Return a job with one pod per entry of `where`, separated by blanks.

    An entry is a node (running there), ``-`` (pending), or ``STATE@NODE``; ``LEAF:`` before it puts
    the pod into a leaf. `at_least` pods are needed, by default all.
    """
    pods = []
    for index, entry in enumerate(where.split()):
        leaf, _, place = entry.rpartition(":")
        state, _, on = place.rpartition("@")
        asked = template(1000, gpus, milli=milli) if gpus else template(1000)
        pods.append(
            Pod(
                f"{name}-{index}",
                leaf or "all",
                asked,
                "pending" if on == "-" else state or "running",
                node="" if on == "-" else on,
            )
        )
    needed = len(pods) if at_least is None else at_least
    root = root or Group(name="", members=(Leaf(name="all", min_count=needed),))
    return Job(name, queue, root, pods, **facts)


def session(nodes, jobs, queues=None, *, knobs=NO_GRACE, topologies=None):
    """Return a session; `nodes` by name: the number of GPUs, or a node."""
    fleet = [
        node(name, 64_000, "A" * given, rank=rank) if isinstance(given, int) else given
        for rank, (name, given) in enumerate(nodes.items())
    ]
    placers = [placer_of(snapshot_of(*fleet), "kai") for _ in range(2)]
    return Session(
        *placers,
        jobs,
        build(queues or [queue("q", UNLIMITED)]),
        topologies=topologies,
        knobs=knobs,
        now_ns=NOW_NS,
    )


def states(one):
    """Return what became of each pod: its state's first letter and node, or ``-`` if it waits.

    Small letters: as it was; ``A`` allocated, ``P`` pipelined, ``R`` releasing.
    """
    letters = {"allocated": "A", "pipelined": "P", "releasing": "R", "running": "r"}
    return {
        key: " ".join(
            f"{letters[pod.state]}@{pod.node}" if pod.state in letters else "-" for pod in each.pods
        )
        for key, each in one.jobs.items()
    }
