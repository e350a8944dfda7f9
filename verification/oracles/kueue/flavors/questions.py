"""From a row to a question: queues, usage, requests, topologies, and what preemption could do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gpuyard.dialects import core, kueue
from gpuyard.dialects.kueue.topology import topology
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.queues import Admission, FlavorResource, PodSetAssignment, Usage
from gpuyard.model.resources import Resources
from gpuyard.model.topology import (
    DomainCount,
    TopologyAssignment,
    TopologyRules,
)
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.flavors import FlavorRequest, assign, requests
from gpuyard.scheduling.flavors.assignment import (
    FlavorAssignment,
    FlavorChoice,
    PodSetFlavors,
)
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.question import NotPlaced, Question
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.preemption.queues.rules import Simulation
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology.capacity import survey
from gpuyard.scheduling.topology.requests import PodSetRequest
from verification.oracles.kueue.objects import amounts, key, number
from verification.oracles.rows import Json

KNOBS = {
    "ConcurrentAdmission": "respect_allowed_flavors",
    "ElasticJobsViaWorkloadSlices": "elastic_slices",
    "TopologyAwareScheduling": "topology_aware",
}
BARE = ("compute", "gpu")
DOMAIN = "example.com/"
ELASTIC = "kueue.x-k8s.io/elastic-job"


def qualified(given: Json) -> Json:
    """Return `given` with full names of its resources: no API server admits a bare ``gpu``."""
    if isinstance(given, dict):
        return {qualified(name): qualified(value) for name, value in given.items()}
    if isinstance(given, list):
        return [qualified(each) for each in given]
    if not isinstance(given, str):
        return given
    flavor, slash, resource = given.rpartition("/")
    return f"{flavor}{slash}{DOMAIN}{resource}" if resource in BARE else given


class Named(NamedTuple):
    """Topologies of which only the levels are known; nobody asks for places."""

    known: Mapping[str, Sequence[str]]

    def levels(self, flavor: str, /) -> Sequence[str] | None:
        """Return the levels of a flavor's topology."""
        return self.known.get(flavor)

    def place(
        self, asked: Mapping[str, Sequence[PodSetRequest]], /, *, empty: bool
    ) -> Mapping[str, TopologyAssignment] | NotPlaced:
        """Refuse: such rows have no nodes."""
        raise ValueError(f"places for {sorted(asked)} in a row without nodes, empty: {empty}")


def queues_of(
    specs: Iterable[Json],
    flavors: Iterable[Json],
    usage: Mapping[str, Json],
    cohorts: Iterable[Json] = (),
) -> Queues:
    """Return these queues with what is used in each."""
    queues = Queues(
        [kueue.cluster_queue(each) for each in specs],
        [kueue.cohort(each) for each in cohorts],
        flavors=[kueue.resource_flavor(each) for each in flavors],
    )
    for name, given in usage.items():
        queues.use(name, Usage(tuple(sorted(amounts(given).items()))))
    return queues


def question_of(
    queues: Queues, case: Mapping[str, Json], workload: Workload, replaced: Json = None
) -> Question:
    """Return what is asked of the first queue; `topologies` and `nodes` are of the case."""
    rules = FlavorRules(
        fair_sharing=bool(case.get("enableFairSharing")),
        **{
            KNOBS[gate]: is_on
            for gate, is_on in (case.get("featureGates") or {}).items()
            if gate in KNOBS
        },
    )
    allowed = case.get("allowedFlavors")
    request = FlavorRequest(
        queue=next(iter(queues.specs)),
        pod_sets=requests.of_pending(workload, rules),
        replaced=slice_of(replaced or case.get("preemptWorkloadSlice")),
        allowed=None if not allowed else frozenset(allowed),
    )
    simulate = Simulated(case.get("simulationResult") or {})
    return Question(queues, request, rules, simulate, topologies_of(queues, case))


def topologies_of(queues: Queues, case: Mapping[str, Json]) -> FlavorTopologies:
    """Return the topologies of the case with its nodes; the queues count their places too."""
    snapshot = Snapshot()
    for rank, node in enumerate(case.get("nodes") or ()):
        snapshot.apply(NodeObserved(core.node(node, rank=rank)))
    by_name = {each.name: each for each in map(topology, case.get("topologies") or ())}
    capacities = {
        name: survey(snapshot, flavor, by_name[flavor.topology])
        for name, flavor in queues.flavors.items()
        if flavor.topology in by_name
    }
    queues.places |= capacities
    return FlavorTopologies(capacities, TopologyRules())


def assigned(question: Question) -> FlavorAssignment:
    """Return the assignment for a question."""
    return assign(
        question.queues,
        question.request,
        rules=question.rules,
        simulate=question.simulate,
        topologies=question.topologies,
    )


class Simulated:
    """What the row says that preemption could do."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self.given = {key(name): result for name, result in given.items()}

    def __call__(self, asked: FlavorResource, amount: int, /) -> Simulation:
        """Return what is said of `asked`."""
        result = self.given.get(asked)
        if result is None:
            return Simulation(possibility="Preempt", borrowing_levels=0)
        return Simulation(
            possibility=result["preemptionPossiblity"],
            borrowing_levels=result["borrowingAfterSimulation"],
        )


def with_flavors(
    case: Mapping[str, Json], info: Json, *, elastic_with_topology: bool = False
) -> tuple[Question, tuple[PodSetFlavors, ...]]:
    """Return a question about pod sets that have their flavors, and those.

    A flavor of the queue without content in `tasFlavors` is one of which nothing is known.
    """
    workload = workload_of(info["obj"]["spec"]["podSets"])
    given = case["assignment"]["podSets"]
    named = {one["name"] for each in given for one in (each.get("flavors") or {}).values()}
    topologies = case["cq"]["tasFlavors"]
    known = {
        name: ("kubernetes.io/hostname",) for name, one in topologies.items() if one is not None
    }
    if topologies and not known:
        known = {"another": ("kubernetes.io/hostname",)}
    names = sorted(named | known.keys())
    group = {
        "coveredResources": ["cpu"],
        "flavors": [{"name": name, "resources": [{"name": "cpu"}]} for name in names],
    }
    spec = {"metadata": {"name": "cq"}, "spec": {"resourceGroups": [group]}}
    queues = queues_of([spec], [{"metadata": {"name": name}} for name in names], {})
    annotations = info["obj"].get("metadata", {}).get("annotations") or {}
    rules = FlavorRules(elastic_slices_with_topology=elastic_with_topology)
    request = FlavorRequest(
        queue="cq",
        pod_sets=totals_of(info, workload, rules),
        replaced=slice_of(case["assignment"].get("replaceWorkloadSlice")),
        is_elastic=annotations.get(ELASTIC) == "true",
    )
    pod_sets = tuple(
        PodSetFlavors(
            name=each["name"],
            count=each["count"],
            choices=tuple(
                (name, FlavorChoice(flavor=one["name"], mode=mode_of(one["mode"])))
                for name, one in sorted((each.get("flavors") or {}).items())
            ),
            topology=topology_of(each.get("topologyAssignment")),
        )
        for each in given
    )
    return Question(queues, request, rules, Simulated({}), Named(known)), pod_sets


def totals_of(info: Json, workload: Workload, rules: FlavorRules) -> tuple[QuotaRequest, ...]:
    """Return what the pod sets ask for, as the row tells it where it does."""
    asked = requests.of_pending(workload, rules)
    told = {
        each["name"]: resources_of(each.get("requests")) for each in info.get("totalRequests", ())
    }
    if any(told.get(each.pod_set.name, each.total) != each.total for each in asked):
        raise ValueError("the pods ask for something else than the row says")
    return asked


def slice_of(info: Json) -> Admission | None:
    """Return what a replaced slice holds."""
    if info is None:
        return None
    return Admission(
        info["clusterQueue"],
        tuple(
            PodSetAssignment(
                name=each["name"],
                count=each["count"],
                flavors=tuple(sorted((each.get("flavors") or {}).items())),
                usage=resources_of(each.get("requests")),
            )
            for each in info["totalRequests"]
        ),
    )


def held_by(admission: Json) -> Admission | None:
    """Return what an admission holds."""
    if admission is None:
        return None
    return kueue.admission({"metadata": {"name": "wl"}, "status": {"admission": admission}})


def topology_of(given: Json) -> TopologyAssignment | None:
    """Return places in the source's own form."""
    if given is None:
        return None
    domains = (DomainCount(tuple(each["values"]), each["count"]) for each in given["domains"])
    return TopologyAssignment(tuple(given["levels"]), tuple(domains))


def workload_of(pod_sets: Json, reclaimable: Json = None) -> Workload:
    """Return a workload with these pod sets."""
    return kueue.workload(
        {
            "metadata": {"name": "wl"},
            "spec": {"podSets": pod_sets},
            "status": {"reclaimablePods": reclaimable},
        }
    )


def resources_of(given: Mapping[str, Json] | None) -> Resources:
    """Return the amounts of a row."""
    return Resources.of({name: number(amount) for name, amount in (given or {}).items()})


def gate(case: Mapping[str, Json], name: str) -> Json:
    """Return what the case says of a feature gate, `None` where it is silent."""
    return (case.get("featureGates") or {}).get(name)


def name_of(spec: Json) -> str:
    """Return the name of an object."""
    name: str = spec["metadata"]["name"]
    return name


def mode_of(text: str) -> Mode:
    """Return the mode of that name."""
    return next(mode for mode in Mode if mode.text == text)
