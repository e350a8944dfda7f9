"""Flavor assignment, its scan positions, and partial admission.

A row's workload has no name and its queues have no workloads: usage is given as amounts. What
preemption could do is given too; where it is not, it could do it within the queue's own quota.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from gpuyard.dialects import core, kueue
from gpuyard.dialects.kueue.topology import topology
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.queues import Admission, FlavorResource, PodSetAssignment, Usage
from gpuyard.model.resources import Resources
from gpuyard.model.topology import (
    DomainCount,
    TopologyAssignment,
    TopologyRules,
    TopologyUsage,
)
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.flavors import FlavorRequest, assign, partial_admission, placing, requests
from gpuyard.scheduling.flavors.assignment import (
    FlavorAssignment,
    FlavorChoice,
    PodSetFlavors,
    quota_needs,
    quota_to_reserve,
)
from gpuyard.scheduling.flavors.attempts import Attempt
from gpuyard.scheduling.flavors.eligible import objection
from gpuyard.scheduling.flavors.modes import Grade, Mode, Prospect, is_preferred
from gpuyard.scheduling.flavors.question import NotPlaced, Question
from gpuyard.scheduling.flavors.reasons import sentence
from gpuyard.scheduling.flavors.requests import QuotaRequest
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.scan import ScanStamp, is_outdated
from gpuyard.scheduling.flavors.topologies import FlavorTopologies
from gpuyard.scheduling.preemption.rules import Simulation
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology.capacity import survey
from gpuyard.scheduling.topology.requests import PodSetRequest
from verification.oracles.kueue.kinds import TEXT, TRUTH
from verification.oracles.kueue.objects import amounts, key, number
from verification.oracles.rows import Answers, Json, Kind, Outside, Row, Test

KNOBS = {
    "ConcurrentAdmission": "respect_allowed_flavors",
    "ElasticJobsViaWorkloadSlices": "elastic_slices",
    "TopologyAwareScheduling": "topology_aware",
}
BARE = ("compute", "gpu")
DOMAIN = "example.com/"
ELASTIC = "kueue.x-k8s.io/elastic-job"
NO_SHAPE = "unknown"  # Kueue's hash where it computes none


# -- whole assignments


def assign_flavors(row: Row) -> Answers:
    """Answer with the whole assignment."""
    case = row.case
    specs = [case["clusterQueue"]]
    usage = {_name(case["clusterQueue"]): case.get("clusterQueueUsage")}
    if case.get("secondaryClusterQueue"):
        specs.append(case["secondaryClusterQueue"])
        usage[_name(specs[1])] = case["secondaryClusterQueueUsage"]
    flavors = row.context.get("resourceFlavors") or row.context["flavorMap"]
    queues = _queues(specs, flavors.values(), usage)
    for gone in row.context.get("flavorMap", {}):
        if gone == "deleted-flavor":  # the test deletes it when the queue has been built
            del queues.flavors[gone]
    pod_sets = case["wlPods"]
    reclaimable = None if _gate(case, "ReclaimablePods") is False else case["wlReclaimablePods"]
    question = _question(queues, case, _workload(pod_sets, reclaimable))
    assignment = _assigned(question)
    return {
        "wantAssignment": _Assigned(assignment, question),
        "wantRepMode": assignment.mode.text,
    }


def first_pod_set(row: Row) -> Answers:
    """Answer with the flavors of the only pod set, in a queue beside another one."""
    case, context = _qualified(row.case), _qualified(row.context)
    target, other = context["testCq"], context["otherCq"]
    if case["flavorFungibility"] is not None:
        spec = {**target["spec"], "flavorFungibility": case["flavorFungibility"]}
        target = {**target, "spec": spec}
    usage = {
        _name(target): case["testClusterQueueUsage"],
        _name(other): case["otherClusterQueueUsage"],
    }
    flavors = context["resourceFlavors"].values()
    queues = _queues([target, other], flavors, usage, context.get("cohorts") or ())
    assignment = _assigned(_question(queues, case, _workload([case["workloadRequests"]])))
    return {
        "wantAssigment": {
            resource.removeprefix(DOMAIN): choice.flavor
            for resource, choice in assignment.pod_sets[0].choices
        },
        "wantMode": assignment.mode.text,
    }


def _qualified(given: Json) -> Json:
    """Return `given` with full names of its resources: no API server admits a bare ``gpu``."""
    if isinstance(given, dict):
        return {_qualified(name): _qualified(value) for name, value in given.items()}
    if isinstance(given, list):
        return [_qualified(each) for each in given]
    if not isinstance(given, str):
        return given
    flavor, slash, resource = given.rpartition("/")
    return f"{flavor}{slash}{DOMAIN}{resource}" if resource in BARE else given


def allowed_flavors(row: Row) -> Answers:
    """Answer with the flavor of a workload that may have only some of them."""
    queues = _queues([row.context["cq"]], row.context["resourceFlavors"].values(), {})
    case = {**row.case, "featureGates": {"ConcurrentAdmission": True}}
    workload = kueue.workload(row.context["wl"])
    assignment = _assigned(_question(queues, case, workload))
    answers: Answers = {"wantRepMode": assignment.mode.text}
    if assignment.mode is Mode.FIT:
        return answers | {"wantFlavor": dict(assignment.pod_sets[0].choices)["cpu"].flavor}
    return answers | {"wantFlavor": ""}


def no_fit_reasons(row: Row) -> Answers:
    """Answer with the reason for the whole, and for each flavor.

    The source compares only flavors that the search has reached. Of others the tables say whether
    the pods could run there, so that is what they are asked.
    """
    case = row.case
    target = case["cq"] or row.context["cq"]
    flavors = case["resourceFlavors"] or row.context["resourceFlavors"]
    usage = {_name(target): case["cqUsage"], **(case["siblingCQUsage"] or {})}
    queues = _queues([target, *(case["siblingCQs"] or ())], flavors.values(), usage)
    question = _question(queues, case, kueue.workload(row.context["wl"]), case["replaceWl"])
    assignment = _assigned(question)
    pod_set = question.request.pod_sets[0].pod_set
    reasons: dict[str, str] = {}
    for group in question.spec.resource_groups:
        for each in group.flavors:
            is_unfit = objection(question, each.flavor, [pod_set], group) is not None
            reasons[each.flavor] = "NoMatchingFlavor" if is_unfit else "not reached"
    reasons |= {each.flavor: each.no_fit_reason for each in assignment.pod_sets[0].attempts}
    return {
        "wantNoFitReason": assignment.no_fit_reason,
        "wantFlavorAttempts": _SomeOf(reasons),
    }


class _SomeOf(dict[str, str]):
    """Reasons by flavor; a table names some of them."""

    def __eq__(self, wanted: object) -> bool:
        return isinstance(wanted, dict) and wanted.items() <= self.items()

    __hash__ = None


# -- places


def group_flavors(row: Row) -> Answers:
    """Answer with the flavors of leaders and workers, and with who cannot be placed."""
    spec = row.case["clusterQueue"]
    queues = _queues([spec], row.context["resourceFlavors"].values(), {})
    case = {**row.case, **{name: row.context[name] for name in ("nodes", "topologies")}}
    assignment = _assigned(_question(queues, case, _workload(row.case["wlPods"])))
    return {
        "wantPodSetErrors": {
            each.name: sentence(each.error) for each in assignment.pod_sets if each.error
        },
        "wantPodSetFlavors": {
            each.name: {
                resource: (one.flavor, one.mode.text, one.tried_index)
                for resource, one in each.choices
            }
            for each in assignment.pod_sets
        },
    }


def scan_position(row: Row) -> Answers:
    """Answer with where the search stands, and whether places were found."""
    question = _scan_question(row, row.case)
    queues, spec = question.queues, row.context["clusterQueue"]
    queues.use(_name(spec), Usage(tuple(sorted(amounts(row.case["clusterQueueUsage"]).items()))))
    for usage in _read_places(row.case["nodeUsage"] or {}):
        queues.places[usage.flavor].use(usage)
    assignment = _assigned(question)
    return {
        "wantMode": assignment.mode.text,
        "wantPlan": assignment.pod_sets[0].topology is not None,
        "wantTriedFlavorIdx": assignment.tried["main"]["cpu"],
    }


def recomputed_position(row: Row) -> Answers:
    """Answer with where the search stands after a second look in the same cycle.

    The first look finds quota and a place on ``flavor-1``; then somebody takes half of its node.
    """
    fixed = {"fungibility": row.context["fungibility"], "request": "3"}
    question = _scan_question(row, {**fixed, "simulationResult": row.case["simulationResult"]})
    first = _assigned(question)
    if first.mode is not Mode.FIT or first.tried["main"]["cpu"] or not first.pod_sets[0].topology:
        raise ValueError("the first look does not fit on the first flavor")
    queues, spec = question.queues, row.context["clusterQueue"]
    half = TopologyUsage("flavor-1", Resources((("cpu", 2000),)), (DomainCount(("node-1",), 1),))
    queues.places["flavor-1"].use(half)
    usage = amounts(row.case["quotaUsageAtRecompute"])
    queues.use(_name(spec), Usage(tuple(sorted(usage.items()))))
    request = msgspec.structs.replace(question.request, nominated=first.nominated)
    second = _assigned(question._replace(request=request))
    if second.mode is not Mode.PREEMPT:
        raise ValueError(f"the second look ends in {second.mode.text}")
    return {"wantRecomputedIdx": second.tried["main"]["cpu"]}


def _scan_question(row: Row, case: Mapping[str, Json]) -> Question:
    """Return one pod's question to a queue with two flavors, each with one node."""
    spec = row.context["clusterQueue"]
    spec = {**spec, "spec": {**spec["spec"], "flavorFungibility": case["fungibility"]}}
    flavors = row.context["resourceFlavors"].values()
    queues = _queues([spec, row.context["siblingClusterQueue"]], flavors, {})
    requests = {"requests": {"cpu": case["request"]}}
    pod_set = {
        "count": 1,
        "template": {"spec": {"containers": [{"resources": requests}]}},
        "topologyRequest": {"required": "kubernetes.io/hostname"},
    }
    around = {name: row.context[name] for name in ("nodes", "topologies")}
    return _question(queues, {**case, **around}, _workload([pod_set]))


# -- steps


def preferred(row: Row) -> Answers:
    """Answer whether one grade is better than another."""
    spec = {"metadata": {"name": "cq"}, "spec": {"flavorFungibility": row.case["config"]}}
    one, other = _grade(row.case["a"]), _grade(row.case["b"])
    return {"wantPreferred": is_preferred(one, other, kueue.cluster_queue(spec).fungibility)}


def _grade(given: Json) -> Grade:
    names = {
        "noFit": Prospect.NO_FIT,
        "noPreemptionCandidates": Prospect.NO_CANDIDATES,
        "preempt": Prospect.PREEMPT,
        "reclaim": Prospect.RECLAIM,
        "fit": Prospect.FIT,
    }
    return Grade(names[given["preemptionMode"]], given["borrowingLevel"])


def topology_errors(row: Row) -> Answers:
    """Answer with why no places can be sought for the only pod set, `None` where they can."""
    question, pod_sets = _with_flavors(row.case, row.case["workload"], elastic_with_topology=True)
    wanted, (checked,) = placing.place_requests(question, pod_sets)
    if bool(wanted) == (checked.error is not None) or (checked.mode is Mode.FIT) != bool(wanted):
        raise ValueError("places are sought, or it is said why not, and then it does not fit")
    return {"wantErr": None if checked.error is None else sentence(checked.error)}


def who_seeks_places(row: Row) -> Answers:
    """Answer with the pod sets that seek places; the flavor of all is one with a topology."""
    case = {"assignment": {"podSets": row.case["podSets"]}, "cq": {"tasFlavors": {"tas": {}}}}
    workload = {"obj": {"spec": {"podSets": row.case["wlPodSets"]}}}
    question, pod_sets = _with_flavors(case, workload)
    wanted, checked = placing.place_requests(question, pod_sets)
    if any(each.error is not None for each in checked):
        raise ValueError("a pod set cannot be placed")
    return {"wantTASPodSets": {each.name for asked in wanted.values() for each in asked}}


def net_places(row: Row) -> Answers:
    """Answer with the places that are new."""
    question, pod_sets = _with_flavors(row.case, row.case["wl"])
    used = placing.places_used(question, pod_sets, _held(row.case["prevAdmission"]))
    return {"want": frozenset(used)}


def total_requests(row: Row) -> Answers:
    """Answer with what preemption would have to free."""
    given, info = row.case["fields"], row.case["args"]["wl"]
    question, pod_sets = _with_flavors({"assignment": given, "cq": {"tasFlavors": {}}}, info)
    replaced = _slice(given.get("replaceWorkloadSlice"))
    asked = question.request.pod_sets
    return {"want": quota_needs(FlavorAssignment(pod_sets=pod_sets), asked, replaced)}


def borrowing(row: Row) -> Answers:
    """Answer whether an assignment of that height borrows."""
    return {"want": FlavorAssignment(pod_sets=(), borrowing=row.case["borrowing"]).is_borrowing}


def to_reserve(row: Row) -> Answers:
    """Answer with what is set aside for an assignment."""
    spec = row.context["cq"]
    flavors = row.context["resourceFlavors"]
    queues = _queues([spec], flavors, {_name(spec): row.case["cqUsage"]})
    mode = _mode(row.case["assignmentMode"])
    usage = amounts(row.case["assignmentUsage"])
    assignment = FlavorAssignment(
        pod_sets=tuple(
            PodSetFlavors(name=each.resource, count=1, choices=((each.resource, choice),))
            for each in usage
            for choice in [FlavorChoice(flavor=each.flavor, mode=mode)]
        ),
        borrowing=row.case["borrowing"],
        usage=Usage(tuple(sorted(usage.items()))),
    )
    return {"wantReserved": quota_to_reserve(assignment, queues.node(_name(spec)))}


def outdated(row: Row) -> Answers:
    """Answer whether a position of the search is too old."""
    given = row.case["args"]
    then = _stamp(given["last"], "schedulingCycle", "clusterQueueGeneration", "schedulingHash")
    now = _stamp(given, "currentSchedulingCycle", "currentCQGeneration", "currentSchedulingHash")
    rules = FlavorRules(preserve_scan_progress=row.case["preserveProgress"])
    return {"want": is_outdated(then, now, rules)}


def _stamp(given: Json, cycle: str, generation: str, shape: str) -> ScanStamp:
    known = None if given[shape] == NO_SHAPE else given[shape]
    return ScanStamp(cycle=given[cycle], generation=given[generation], shape=known)


def fewer_pods(row: Row) -> Answers:
    """Answer with how many pods fit under a limit."""
    workload = _workload(row.case["podSets"])
    limit = row.case["countLimit"]

    def total(counts: tuple[int, ...]) -> int | None:
        return sum(counts) if sum(counts) <= limit else None

    found = partial_admission.search(workload.pod_sets, total)
    return {"wantCount": found or 0, "wantFound": found is not None}


# -- from a row to a question


class _Named(NamedTuple):
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


def _queues(
    specs: Iterable[Json],
    flavors: Iterable[Json],
    usage: Mapping[str, Json],
    cohorts: Iterable[Json] = (),
) -> Queues:
    queues = Queues(
        [kueue.cluster_queue(each) for each in specs],
        [kueue.cohort(each) for each in cohorts],
        flavors=[kueue.resource_flavor(each) for each in flavors],
    )
    for name, given in usage.items():
        queues.use(name, Usage(tuple(sorted(amounts(given).items()))))
    return queues


def _question(
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
        replaced=_slice(replaced or case.get("preemptWorkloadSlice")),
        allowed=None if not allowed else frozenset(allowed),
    )
    simulate = _Simulated(case.get("simulationResult") or {})
    return Question(queues, request, rules, simulate, _topologies(queues, case))


def _topologies(queues: Queues, case: Mapping[str, Json]) -> FlavorTopologies:
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


def _assigned(question: Question) -> FlavorAssignment:
    return assign(
        question.queues,
        question.request,
        rules=question.rules,
        simulate=question.simulate,
        topologies=question.topologies,
    )


class _Simulated:
    """What the row says that preemption could do."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self.given = {key(name): result for name, result in given.items()}

    def __call__(self, asked: FlavorResource, amount: int, /) -> Simulation:
        result = self.given.get(asked)
        if result is None:
            return Simulation(possibility="Preempt", borrowing_levels=0)
        return Simulation(
            possibility=result["preemptionPossiblity"],
            borrowing_levels=result["borrowingAfterSimulation"],
        )


def _with_flavors(
    case: Mapping[str, Json], info: Json, *, elastic_with_topology: bool = False
) -> tuple[Question, tuple[PodSetFlavors, ...]]:
    """Return a question about pod sets that have their flavors, and those.

    A flavor of the queue without content in `tasFlavors` is one of which nothing is known.
    """
    workload = _workload(info["obj"]["spec"]["podSets"])
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
    queues = _queues([spec], [{"metadata": {"name": name}} for name in names], {})
    annotations = info["obj"].get("metadata", {}).get("annotations") or {}
    rules = FlavorRules(elastic_slices_with_topology=elastic_with_topology)
    request = FlavorRequest(
        queue="cq",
        pod_sets=_totals(info, workload, rules),
        replaced=_slice(case["assignment"].get("replaceWorkloadSlice")),
        is_elastic=annotations.get(ELASTIC) == "true",
    )
    pod_sets = tuple(
        PodSetFlavors(
            name=each["name"],
            count=each["count"],
            choices=tuple(
                (name, FlavorChoice(flavor=one["name"], mode=_mode(one["mode"])))
                for name, one in sorted((each.get("flavors") or {}).items())
            ),
            topology=_topology(each.get("topologyAssignment")),
        )
        for each in given
    )
    return Question(queues, request, rules, _Simulated({}), _Named(known)), pod_sets


def _totals(info: Json, workload: Workload, rules: FlavorRules) -> tuple[QuotaRequest, ...]:
    """Return what the pod sets ask for, as the row tells it where it does."""
    asked = requests.of_pending(workload, rules)
    told = {
        each["name"]: _resources(each.get("requests")) for each in info.get("totalRequests", ())
    }
    if any(told.get(each.pod_set.name, each.total) != each.total for each in asked):
        raise ValueError("the pods ask for something else than the row says")
    return asked


def _slice(info: Json) -> Admission | None:
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
                usage=_resources(each.get("requests")),
            )
            for each in info["totalRequests"]
        ),
    )


def _held(admission: Json) -> Admission | None:
    if admission is None:
        return None
    return kueue.admission({"metadata": {"name": "wl"}, "status": {"admission": admission}})


def _topology(given: Json) -> TopologyAssignment | None:
    if given is None:
        return None
    domains = (DomainCount(tuple(each["values"]), each["count"]) for each in given["domains"])
    return TopologyAssignment(tuple(given["levels"]), tuple(domains))


def _workload(pod_sets: Json, reclaimable: Json = None) -> Workload:
    return kueue.workload(
        {
            "metadata": {"name": "wl"},
            "spec": {"podSets": pod_sets},
            "status": {"reclaimablePods": reclaimable},
        }
    )


def _resources(given: Mapping[str, Json] | None) -> Resources:
    return Resources.of({name: number(amount) for name, amount in (given or {}).items()})


def _gate(case: Mapping[str, Json], name: str) -> Json:
    return (case.get("featureGates") or {}).get(name)


def _name(spec: Json) -> str:
    name: str = spec["metadata"]["name"]
    return name


def _mode(text: str) -> Mode:
    return next(mode for mode in Mode if mode.text == text)


# -- how expectations are read


class _Considered(NamedTuple):
    """An attempt, with its reasons as sentences."""

    flavor: str
    mode: str
    borrowing: int
    possibility: str | None
    reasons: tuple[str, ...]
    no_fit_reason: str

    @classmethod
    def of(cls, attempt: Attempt) -> "_Considered":
        return cls(
            attempt.flavor,
            attempt.mode.text,
            attempt.borrowing,
            None if attempt.prospect is None else attempt.prospect.text,
            tuple(sorted(map(sentence, attempt.reasons))),
            attempt.no_fit_reason,
        )


class _Attempts(NamedTuple):
    """What was tried, in a queue with these flavors and resources.

    Where a flavor fits the tables also tell of flavors that the search did not reach; they say that
    those do not match, or do not provide some resource. Where none fits they may leave some out.
    """

    tried: frozenset[_Considered]
    flavors: frozenset[str]
    resources: frozenset[str]

    def agree_with(self, wanted: frozenset[_Considered]) -> bool:
        """Tell whether `wanted` says the same of what was tried, and nothing wrong of the rest."""
        if not wanted:
            return True  # the table is silent
        if all(each.mode != "Fit" for each in self.tried):
            return wanted <= self.tried
        reached = {each.flavor for each in self.tried}
        beyond = {each for each in wanted if each.flavor not in reached}
        said = {each for each in wanted - beyond if not self._is_out_of_reach(each)}
        unsaid = {each for each in self.tried - said if each.mode == "Fit"}
        named = {each.flavor for each in wanted}
        return (
            said | unsaid == self.tried
            and {each.flavor for each in unsaid} <= named
            and all(map(self._is_out_of_reach, beyond))
        )

    def _is_out_of_reach(self, one: _Considered) -> bool:
        lacks = {
            f"flavor {one.flavor} does not provide resource {resource}"
            for resource in self.resources
        }
        return (
            one.flavor in self.flavors
            and (one.mode, one.borrowing, one.possibility) == ("NoFit", 0, None)
            and one.no_fit_reason in ("", "NoMatchingFlavor")
            and lacks.issuperset(one.reasons)
        )


class _PodSet(NamedTuple):
    """What a pod set got, without its attempts."""

    name: str
    number: int
    requests: frozenset[tuple[str, int]]
    flavors: frozenset[tuple[str, str, str, int]]
    said: tuple[str, ...]

    @classmethod
    def of(cls, given: PodSetFlavors) -> "_PodSet":
        """Return what we say."""
        said = [f"error: {sentence(given.error)}"] if given.error else []
        return cls(
            given.name,
            given.count,
            frozenset(given.requests.amounts),
            frozenset(
                (name, one.flavor, one.mode.text, one.tried_index) for name, one in given.choices
            ),
            tuple(said or sorted(map(sentence, given.reasons))),
        )

    @classmethod
    def read(cls, wanted: Json) -> "_PodSet":
        """Return what a table says."""
        status = wanted["status"]
        said = [f"error: {status['err']}"] if status.get("err") else []
        held = {"name": "main", "count": 1, "resourceUsage": wanted.get("requests") or {}}
        pod_sets = {"podSets": [{"count": 1}]}
        usage = kueue.admission(
            {
                "metadata": {"name": "wl"},
                "spec": pod_sets,
                "status": {"admission": {"podSetAssignments": [held]}},
            }
        )
        return cls(
            wanted["name"],
            wanted["count"],
            frozenset(usage.pod_sets[0].usage.amounts if usage else ()),
            frozenset(
                (name, one["name"], one["mode"], one["triedFlavorIdx"])
                for name, one in (wanted.get("flavors") or {}).items()
            ),
            tuple(said or sorted(status.get("reasons") or ())),
        )


def _read_attempt(wanted: Json) -> _Considered:
    return _Considered(
        wanted["flavor"],
        wanted["mode"],
        wanted["borrow"],
        wanted.get("preemptionPossibility"),
        tuple(sorted(wanted.get("reasons") or ())),
        wanted["noFitReason"],
    )


class _Whole(NamedTuple):
    """An assignment without its attempts."""

    pod_sets: tuple[_PodSet, ...]
    borrowing: int
    usage: frozenset[tuple[FlavorResource, int]]
    no_fit_reason: str


class _Wanted(NamedTuple):
    """What a table says of an assignment, with the attempts for each pod set."""

    whole: _Whole
    attempts: tuple[frozenset[_Considered], ...]


class _Assigned:
    """Our assignment, to be compared with a table."""

    def __init__(self, given: FlavorAssignment, question: Question) -> None:
        groups = question.spec.resource_groups
        resources = frozenset(name for group in groups for name in group.covered_resources)
        flavors = frozenset(question.flavors)
        self.whole = _Whole(
            tuple(map(_PodSet.of, given.pod_sets)),
            given.borrowing,
            frozenset(given.usage.quota),
            given.no_fit_reason,
        )
        self.attempts = [
            _Attempts(frozenset(map(_Considered.of, each.attempts)), flavors, resources)
            for each in given.pod_sets
        ]

    def __repr__(self) -> str:
        return f"{self.whole}, {[tuple(each.tried) for each in self.attempts]}"

    def __eq__(self, wanted: object) -> bool:
        return (
            isinstance(wanted, _Wanted)
            and self.whole == wanted.whole
            and all(map(_Attempts.agree_with, self.attempts, wanted.attempts))
        )

    __hash__ = None  # type: ignore[assignment]


def _read_assigned(wanted: Json) -> _Wanted:
    pod_sets = wanted["podSets"]
    return _Wanted(
        _Whole(
            tuple(map(_PodSet.read, pod_sets)),
            wanted["borrowing"],
            frozenset(amounts(wanted["usage"]["quota"]).items()),
            wanted["noFitReason"],
        ),
        tuple(
            frozenset(map(_read_attempt, each.get("flavorAssignmentAttempts") or ()))
            for each in pod_sets
        ),
    )


def _read_group_flavors(wanted: Json) -> dict[str, dict[str, tuple[str, str, int]]]:
    return {
        pod_set: {
            resource: (one["name"], one["mode"], one["triedFlavorIdx"])
            for resource, one in flavors.items()
        }
        for pod_set, flavors in wanted.items()
    }


def _read_places(wanted: Json) -> frozenset[TopologyUsage]:
    found = set()
    for flavor, places in wanted.items():
        for each in places:
            domain = DomainCount(tuple(each["values"]), each["count"])
            found.add(TopologyUsage(flavor, _resources(each["singlePodRequests"]), (domain,)))
    return frozenset(found)


def _read_names(wanted: Json) -> set[str]:
    return set(wanted or ())


# Not compared by the source: where the search stands (it has tests of its own), and how far each
# choice borrows. `status` has a reason of its own kind that is never filled in.
_LEFT_OUT = frozenset({"lastState", "quotaCheckStrategy", "borrow", "noFitReason"})

ASSIGNED = Kind(_read_assigned, 1, _LEFT_OUT)
FLAVORS = Kind(lambda wanted: wanted or {}, {"altered": "altered"})
AMOUNTS = Kind(amounts, {"altered/cpu": 1})
PLACES = Kind(
    _read_places, {"altered": [{"values": [], "count": 1, "singlePodRequests": {"cpu": 1}}]}
)
GROUP_FLAVORS = Kind(_read_group_flavors, 1, frozenset({"borrow"}))
NAMES = Kind(_read_names, ["altered"])
COUNT = Kind(lambda wanted: wanted, 1)

_ASSIGN = frozenset({"clusterQueue", "wlPods", "wlReclaimablePods"})
_WHOLE = {"wantAssignment": ASSIGNED, "wantRepMode": TEXT}
_FIRST = {"wantAssigment": FLAVORS, "wantMode": TEXT}
_ONE_POD_SET = frozenset(
    {
        "flavorFungibility",
        "otherClusterQueueUsage",
        "simulationResult",
        "testClusterQueueFlavors",
        "testClusterQueueUsage",
        "workloadRequests",
    }
)
_TOPOLOGY_ERRORS = Test(
    topology_errors, frozenset({"assignment", "cq", "workload"}), {"wantErr": TEXT}
)
_SCAN = frozenset({"clusterQueue", "nodes", "resourceFlavors", "siblingClusterQueue", "topologies"})
_BESIDE = frozenset({"resourceFlavors", "testCq", "otherCq"})

FILE = "kueue_flavorassigner"
TESTS: dict[tuple[str, str], Test] = {
    (FILE, "TestAssignFlavors"): Test(
        assign_flavors,
        _ASSIGN
        | {
            "clusterQueueUsage",
            "enableFairSharing",
            "featureGates",
            "preemptWorkloadSlice",
            "secondaryClusterQueue",
            "secondaryClusterQueueUsage",
            "simulationResult",
            "topologies",
        },
        _WHOLE,
        around=frozenset({"resourceFlavors"}),
    ),
    (FILE, "TestDeletedFlavors"): Test(
        assign_flavors, _ASSIGN, _WHOLE, around=frozenset({"flavorMap"})
    ),
    (FILE, "TestReclaimBeforePriorityPreemption"): Test(
        first_pod_set, _ONE_POD_SET, _FIRST, around=_BESIDE
    ),
    (FILE, "TestHierarchical"): Test(
        first_pod_set, _ONE_POD_SET, _FIRST, around=_BESIDE | {"cohorts"}
    ),
    (FILE, "TestIsPreferred"): Test(
        preferred, frozenset({"a", "b", "config"}), {"wantPreferred": TRUTH}
    ),
    (FILE, "TestAssignFlavorsWithAllowedFlavors"): Test(
        allowed_flavors,
        frozenset({"allowedFlavors"}),
        {"wantFlavor": TEXT, "wantRepMode": TEXT},
        around=frozenset({"cq", "resourceFlavors", "wl"}),
    ),
    (FILE, "TestIsNoFitDueToCapacityAndLimits"): Test(
        no_fit_reasons,
        frozenset(
            {
                "allowedFlavors",
                "cq",
                "cqUsage",
                "featureGates",
                "podSet",
                "replaceWl",
                "resourceFlavors",
                "siblingCQUsage",
                "siblingCQs",
                "simulationResult",
                "topologies",
            }
        ),
        {"wantNoFitReason": TEXT, "wantFlavorAttempts": FLAVORS},
        around=frozenset({"cq", "resourceFlavors", "wl"}),
    ),
    (FILE, "TestWorkloadsTopologyRequests_ErrorBranches"): _TOPOLOGY_ERRORS,
    (FILE, "TestWorkloadsTopologyRequests_ElasticJobsValidation"): _TOPOLOGY_ERRORS,
    (FILE, "TestWorkloadsTopologyRequests_ZeroCountPodSetSkipped"): Test(
        who_seeks_places, frozenset({"podSets", "wlPodSets"}), {"wantTASPodSets": NAMES}
    ),
    (FILE, "TestAssignment_ComputeTASNetUsage"): Test(
        net_places, frozenset({"assignment", "cq", "prevAdmission", "wl"}), {"want": PLACES}
    ),
    (FILE, "TestAssignment_TotalRequestsFor"): Test(
        total_requests, frozenset({"args", "fields"}), {"want": AMOUNTS}
    ),
    (FILE, "TestAssignment_RequiresBorrowing"): Test(
        borrowing, frozenset({"borrowing"}), {"want": TRUTH}
    ),
    (FILE, "TestAssignFlavors_LeaderWorkerSetTASFlavor"): Test(
        group_flavors,
        frozenset({"clusterQueue", "wlPods"}),
        {"wantPodSetErrors": FLAVORS, "wantPodSetFlavors": GROUP_FLAVORS},
        around=frozenset({"nodes", "resourceFlavors", "topologies"}),
    ),
    (FILE, "TestFlavorScanRecordsLastTriedFlavorIdx"): Test(
        scan_position,
        frozenset(
            {
                "clusterQueueUsage",
                "cohortSpare",
                "fungibility",
                "nodeUsage",
                "nominalPerFlavor",
                "request",
                "simulationResult",
            }
        ),
        {"wantMode": TEXT, "wantPlan": TRUTH, "wantTriedFlavorIdx": COUNT},
        around=_SCAN,
    ),
    (FILE, "TestRecomputeRecordsLastTriedFlavorIdx"): Test(
        recomputed_position,
        frozenset({"quotaUsageAtRecompute", "simulationResult"}),
        {"wantRecomputedIdx": COUNT},
        around=_SCAN | {"fungibility"},
    ),
    (FILE, "TestSearch"): Test(
        fewer_pods,
        frozenset({"countLimit", "podSets"}),
        {"wantCount": COUNT, "wantFound": TRUTH},
    ),
    ("kueue_schedule_other", "TestResourcesToReserve"): Test(
        to_reserve,
        frozenset({"assignmentMode", "assignmentUsage", "borrowing", "cqUsage"}),
        {"wantReserved": AMOUNTS},
        around=frozenset({"cq", "resourceFlavors"}),
    ),
    ("kueue_schedule_other", "TestLastAssignmentOutdated"): Test(
        outdated, frozenset({"args", "preserveProgress"}), {"want": TRUTH}
    ),
}

OUTSIDE: dict[tuple[str, str], Outside] = {}
