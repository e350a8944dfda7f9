"""Whole cycles: what a round makes of the workloads of a row.

A row's objects go through the dialect into queues, holders and waiting workloads; one round runs;
what it decided is compared with the objects that Kueue left behind. Of a Workload only decisions
count: the quota it holds and where it stands, why it waits, whether it was told to go and for what.
`digest` brings the expected objects into that form before anybody sees them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from gpuyard.dialects import core, kueue
from gpuyard.model.deltas import NodeObserved, PodBound
from gpuyard.model.quantity import parse_nano
from gpuyard.model.queues import Admission, Admitted, ResourceFlavor
from gpuyard.model.topology import TopologyRules
from gpuyard.scheduling.admission import round as one_round
from gpuyard.scheduling.admission.entries import Head, Objection, Verdict
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.rules import FlavorRules, ResourceTransformation
from gpuyard.scheduling.flavors.scan import ScanStamp
from gpuyard.scheduling.preemption.rules import QueuePreemptionRules
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.shapes import matches
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import TopologyCapacity, survey
from verification.oracles.kueue.ordering import between_rules, turn_rules
from verification.oracles.rows import Answers, Json, Kind, OutOfScopeError, Outside, Row, Test

NAMESPACES = {
    "default": {},
    "eng-alpha": {"dep": "eng"},
    "eng-beta": {"dep": "eng"},
    "eng-gamma": {"dep": "eng"},
    "sales": {"dep": "sales"},
    "lend": {"dep": "lend"},
}


QUALIFIED = frozenset({"cpu", "memory", "pods", "ephemeral-storage"})


class Decided(NamedTuple):
    """What is known of a workload after a cycle.

    `waits` is the reason and the sentence of who has no quota, `evicted` of who has to go.
    """

    admission: Admission | None
    waits: tuple[str, str] | None = None
    evicted: tuple[str, ...] = ()


def digest(row: Json) -> Json:
    """Return `row` with the expected Workloads reduced to decisions, and full resource names."""
    row = _qualified(row, _bare_names(row))
    case = row["case"]
    wanted = case.get("wantWorkloads")
    if not isinstance(wanted, list):
        return row
    decisions = {_key(each): _decision(each) for each in wanted}
    return {**row, "case": {**case, "wantWorkloads": decisions}}


def _bare_names(row: Json) -> frozenset[str]:
    """Return the resource names of a row's queues that no API server admits in a pod."""
    queues = [
        queue
        for source in (row["case"], row["around"])
        for field in ("clusterQueues", "additionalClusterQueues")
        for queue in source.get(field) or ()
    ]
    names = {
        name
        for queue in queues
        for group in queue["spec"].get("resourceGroups") or ()
        for name in group["coveredResources"]
    }
    return frozenset(name for name in names - QUALIFIED if "/" not in name)


def _qualified(given: Json, bare: frozenset[str]) -> Json:
    """Return `given` with a domain before these resource names, also in sentences."""
    if isinstance(given, dict):
        return {_qualified(name, bare): _qualified(value, bare) for name, value in given.items()}
    if isinstance(given, list):
        return [_qualified(each, bare) for each in given]
    if not (bare and isinstance(given, str)):
        return given
    if given in bare:
        return f"{given}.example.com/{given}"  # sorts as the bare name does
    names = "|".join(sorted(bare))
    return re.sub(
        rf"(?:(?<= for )|(?<= resource ))({names})(?= in flavor | unavail)",
        r"\1.example.com/\1",
        given,
    )


def _key(workload: Json) -> str:
    metadata = workload["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _decision(workload: Json) -> Json:
    status = workload.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    decision: Json = {}
    if status.get("admission"):
        counts = [
            {"name": each["name"], "count": each["count"]} for each in workload["spec"]["podSets"]
        ]
        decision["held"] = {
            "podSets": counts,
            "admission": status["admission"],
            "reclaimablePods": status.get("reclaimablePods"),
        }
    reserved = conditions.get("QuotaReserved")
    if reserved and reserved["status"] == "False":
        decision["waits"] = [reserved["reason"], reserved["message"]]
    gone = [
        conditions[kind]["reason"]
        for kind in ("Evicted", "Preempted")
        if kind in conditions and conditions[kind]["status"] == "True"
    ]
    return {**decision, "evicted": gone} if gone else decision


def _read_decision(wanted: Json) -> Decided:
    held = wanted.get("held")
    return Decided(
        None if held is None else _admission(held),
        tuple(wanted["waits"]) if "waits" in wanted else None,
        tuple(wanted.get("evicted", ())),
    )


def _admission(held: Json) -> Admission:
    read = kueue.admission(
        {
            "metadata": {"name": "any"},
            "spec": {"podSets": held["podSets"]},
            "status": {key: held.get(key) for key in ("admission", "reclaimablePods")},
        }
    )
    if read is None:
        raise ValueError("no admission")
    return read


# -- the cycle


class Cycle:
    """Queues, holders and waiting workloads of a row."""

    def __init__(self, row: Row) -> None:
        """Read the objects of `row` and what lies around it."""
        case, around = row.case, row.context
        _refuse_what_is_not_ours(case)
        flavors = [kueue.resource_flavor(each) for each in _all("resourceFlavors", case, around)]
        given = [*_all("clusterQueues", case, around), *_all("additionalClusterQueues", case)]
        local = [*_all("queues", around), *_all("additionalLocalQueues", case)]
        self.rules = rules_of(case, around["gates"])
        self.queues = Queues(
            [kueue.cluster_queue(each) for each in given],
            [kueue.cohort(each) for each in _all("cohorts", case)],
            flavors=flavors,
            local_queues=[kueue.local_queue(each) for each in local],
            places=_places(case, flavors) if self.rules.flavors.topology_aware else {},
        )
        self.waiting = Waiting(self.queues, self.rules)
        self.decided: dict[str, Decided] = {}
        self.admission_fails = bool(case.get("admissionError"))
        for each in case["workloads"] or ():
            self._take_in(each)

    def _take_in(self, given: Json) -> None:
        workload, held = kueue.workload(given), kueue.admitted(given)
        self.decided[workload.key] = _read_decision(_decision(given))
        if held is None:
            self.waiting.add(workload)
        elif held.admission.cluster_queue in self.queues.specs:
            self.queues.admit(held)

    def run(self) -> None:
        """Run one round and carry it out."""
        nominator = Nominator(self.queues, self.rules, now=self._stamp)
        heads = self.waiting.heads()
        for verdict in one_round.run(nominator, heads, self._objection):
            self._carry_out(verdict)

    def _stamp(self, head: Head) -> ScanStamp:
        return self.waiting.stamp(head.queue, head.workload)

    def _objection(self, head: Head) -> Objection | None:
        selector = self.queues.specs[head.queue].namespace_selector
        if matches(selector, NAMESPACES[head.workload.key.partition("/")[0]]):
            return None
        mismatch = "workload namespace doesn't match ClusterQueue selector"
        return Objection("NamespaceMismatch", "Misconfigured", mismatch)

    def _carry_out(self, verdict: Verdict) -> None:
        key = verdict.workload.key
        if verdict.admission is not None and self.admission_fails:
            failed = {"outcome": "skipped", "requeue": "FailedAfterNomination", "admission": None}
            self.waiting.take_back(msgspec.structs.replace(verdict, **failed))
            return
        if verdict.admission is not None:
            self._admit(verdict, verdict.admission)
        elif verdict.outcome == "evicted":
            self._evict(key, "NodeFailures")
        else:
            waits = (str(verdict.code), verdict.message)
            self.decided[key] = self.decided[key]._replace(waits=waits)
        for target in verdict.targets:
            self._evict(target.workload, "Preempted", target.reason)
        self.waiting.take_back(verdict)

    def _admit(self, verdict: Verdict, admission: Admission) -> None:
        for key in {verdict.workload.key, verdict.replaced} & self.queues.admitted.keys():
            self.queues.remove(key)
        self.queues.admit(Admitted(workload=verdict.workload, admission=admission))
        self.decided[verdict.workload.key] = Decided(admission)

    def _evict(self, key: str, *why: str) -> None:
        if not self.queues.admitted[key].evicted:
            self.decided[key] = self.decided[key]._replace(evicted=why)

    def left(self) -> dict[str, frozenset[str]]:
        """Return who is active, by queue."""
        return _by_queue({name: each.active for name, each in self.waiting.pending.items()})

    def parked(self) -> dict[str, frozenset[str]]:
        """Return who is parked, by queue."""
        return _by_queue({name: each.parked for name, each in self.waiting.pending.items()})


def one_cycle(row: Row) -> Answers:
    """Answer with everything after one cycle."""
    cycle = Cycle(row)
    cycle.run()
    return {
        "wantAssignments": {key: held.admission for key, held in cycle.queues.admitted.items()},
        "wantLeft": cycle.left(),
        "wantInadmissibleLeft": cycle.parked(),
        "wantWorkloads": cycle.decided,
    }


def one_cycle_with_places(row: Row) -> Answers:
    """Answer with everything after one cycle; of those with quota, who has new quota or places."""
    _refuse_delayed_places(row.case)
    cycle = Cycle(row)
    before = dict(cycle.queues.admitted)
    cycle.run()
    return {
        "wantNewAssignments": {
            key: held.admission
            for key, held in cycle.queues.admitted.items()
            if before.get(key) is not held or held.unhealthy_nodes
        },
        "wantLeft": cycle.left(),
        "wantInadmissibleLeft": cycle.parked(),
        "wantWorkloads": cycle.decided,
    }


# -- from a row to the core


def rules_of(case: Mapping[str, Json], changed: Mapping[str, bool]) -> AdmissionRules:
    """Return the rules that the `changed` gates and the switches of a row stand for."""
    gates = {**DEFAULT_GATES, **changed}
    is_fair = bool(case.get("enableFairSharing"))
    turns = turn_rules(case)
    return AdmissionRules(
        turns=turns,
        between=msgspec.structs.replace(between_rules(case), by_share=is_fair),
        flavors=FlavorRules(
            preserve_scan_progress=gates["FlavorFungibilityPreserveScanProgress"],
            topology_aware=gates["TopologyAwareScheduling"],
            elastic_slices=gates["ElasticJobsViaWorkloadSlices"],
            partial_admission=gates["PartialAdmission"],
            fair_sharing=is_fair,
            transformations=tuple(map(_transformation, case.get("resourceTransformations") or ())),
        ),
        preemption=QueuePreemptionRules(
            turns=turns,
            fair_sharing=is_fair,
            reclaim_within_nominal=gates["FairSharingPreemptWithinNominal"],
        ),
        topology=TopologyRules(balances_preferred=gates["TASBalancedPlacement"]),
        look_again_for_places=gates["TASRecomputeAssignmentWithinSchedulingCycle"],
        look_again_on_overlap=gates["RecomputeAssignmentUponPreemptionTargetsOverlap"],
        fail_fast=gates["TASFailedNodeReplacementFailFast"],
    )


def _transformation(given: Json) -> ResourceTransformation:
    outputs = (given.get("outputs") or {}).items()
    return ResourceTransformation(
        input=given["input"],
        strategy=given.get("strategy") or "Retain",
        outputs=tuple((name, parse_nano(amount)) for name, amount in outputs),
    )


DEFAULT_GATES = {
    "ElasticJobsViaWorkloadSlices": True,
    "FairSharingPreemptWithinNominal": True,
    "FlavorFungibilityPreserveScanProgress": True,
    "PartialAdmission": True,
    "RecomputeAssignmentUponPreemptionTargetsOverlap": False,
    "TASBalancedPlacement": False,
    "TASFailedNodeReplacementFailFast": True,
    "TASRecomputeAssignmentWithinSchedulingCycle": True,
    "TopologyAwareScheduling": True,
}


def _refuse_what_is_not_ours(case: Mapping[str, Json]) -> None:
    gates = case.get("featureGates") or {}
    if gates.get("MultiKueueOrchestratedPreemption"):
        raise OutOfScopeError(Outside.MULTI_KUEUE)
    if any(each.get("$type", "").endswith("LimitRange") for each in case.get("objects") or ()):
        raise OutOfScopeError(Outside.PLUMBING)
    if any(_exceeds_its_limits(each) for each in case["workloads"] or ()):
        raise OutOfScopeError(Outside.PLUMBING)  # the API server would not admit its pods
    if any(each["spec"].get("admissionChecksStrategy") for each in _all("clusterQueues", case)):
        raise OutOfScopeError(Outside.ADMISSION_CHECK)


def _refuse_delayed_places(case: Mapping[str, Json]) -> None:
    """Refuse rows in which places wait for nodes that a ProvisioningRequest brings."""
    checks = {
        each["metadata"]["name"]
        for each in case.get("admissionChecks") or ()
        if each["spec"]["controllerName"] == "kueue.x-k8s.io/provisioning-request"
    }
    is_checked = any(checks & _checks(queue) for queue in case["clusterQueues"])
    seeks_another = any(
        (each.get("status") or {}).get("unhealthyNodes") for each in case["workloads"]
    )
    if is_checked and not seeks_another:
        raise OutOfScopeError(Outside.ADMISSION_CHECK)


def _checks(queue: Json) -> set[str]:
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    return {each["name"] for each in strategy.get("admissionChecks") or ()}


def _exceeds_its_limits(workload: Json) -> bool:
    containers = (
        container["resources"]
        for pod_set in workload["spec"].get("podSets") or ()
        for container in pod_set["template"]["spec"]["containers"]
    )
    return any(
        name in (each.get("limits") or {}) and parse_nano(each["limits"][name]) < parse_nano(amount)
        for each in containers
        for name, amount in (each.get("requests") or {}).items()
    )


def _all(field: str, *sources: Mapping[str, Json]) -> list[Json]:
    """Return the objects of the first of `sources` that has any under that name."""
    return next((list(source[field]) for source in sources if source.get(field)), [])


def _places(
    case: Mapping[str, Json], flavors: Iterable[ResourceFlavor]
) -> dict[str, TopologyCapacity]:
    """Return what the nodes of a row offer in each flavor with a topology."""
    snapshot = Snapshot()
    for rank, node in enumerate(case.get("nodes") or ()):
        snapshot.apply(NodeObserved(core.node(node, rank=rank)))
    for pod in case.get("pods") or ():
        snapshot.apply(PodBound(core.assignment(pod)))
    topologies = {each.name: each for each in map(kueue.topology, case.get("topologies") or ())}
    return {
        flavor.name: survey(snapshot, flavor, topologies[flavor.topology])
        for flavor in flavors
        if flavor.topology in topologies
    }


def _by_queue(given: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(keys) for name, keys in given.items() if keys}


# -- how expectations are read


def _read_keys(wanted: Json) -> dict[str, frozenset[str]]:
    return _by_queue(wanted or {})


def _read_assignments(wanted: Json) -> dict[str, Admission]:
    return {key: _admission(_whole(admission)) for key, admission in (wanted or {}).items()}


def _whole(admission: Json) -> Json:
    counts = [
        {"name": each["name"], "count": each["count"]}
        for each in admission["podSetAssignments"] or ()
    ]
    return {"podSets": counts, "admission": admission}


def _read_decisions(wanted: Json) -> dict[str, Decided]:
    return {key: _read_decision(each) for key, each in (wanted or {}).items()}


KEYS = Kind(_read_keys, {"altered": ["altered"]})
ASSIGNMENTS = Kind(_read_assignments, {"altered": {"podSetAssignments": []}})
DECISIONS = Kind(_read_decisions, {"altered/altered": {}}, frozenset({"podSets"}))

_SCHEDULE = Test(
    one_cycle,
    frozenset(
        {
            "additionalClusterQueues",
            "additionalLocalQueues",
            "admissionError",
            "cohorts",
            "enableFairSharing",
            "eventMessageCompared",
            "featureGates",
            "objects",
            "workloads",
        }
    ),
    {
        "wantAssignments": ASSIGNMENTS,
        "wantLeft": KEYS,
        "wantInadmissibleLeft": KEYS,
        "wantWorkloads": DECISIONS,
    },
    unused=frozenset({"wantEvents", "wantSkippedPreemptions", "wantWorkloadUseMergePatch"}),
    around=frozenset({"resourceFlavors", "clusterQueues", "queues", "gates"}),
)

_PLACES = Test(
    one_cycle_with_places,
    frozenset(
        {
            "admissionChecks",
            "clusterQueues",
            "cohorts",
            "eventMessageCompared",
            "featureGates",
            "nodes",
            "patchStatusErr",
            "pods",
            "resourceFlavors",
            "resourceTransformations",
            "topologies",
            "workloads",
        }
    ),
    {
        "wantNewAssignments": ASSIGNMENTS,
        "wantLeft": KEYS,
        "wantInadmissibleLeft": KEYS,
        "wantWorkloads": DECISIONS,
    },
    unused=frozenset({"wantEvents"}),
    around=frozenset({"queues", "gates"}),
)

TESTS: dict[tuple[str, str], Test] = {
    ("kueue_schedule_tas", "TestScheduleForTAS"): _PLACES,
    ("kueue_schedule_tas", "TestScheduleForTASPreemption"): _PLACES,
    ("kueue_schedule_tas", "TestScheduleForTASCohorts"): _PLACES,
    ("kueue_schedule", "TestSchedule"): _SCHEDULE,
    ("kueue_schedule_fairsharing", "TestScheduleForFairSharing"): _SCHEDULE,
    ("kueue_schedule_other", "TestScheduleRecomputePreemptionTargets"): _SCHEDULE,
}

WHOLE = frozenset(test for _, test in TESTS)  # whose rows are digested

OUTSIDE: dict[tuple[str, str], Outside] = {
    ("kueue_schedule_other", "TestScheduleConcurrentAdmission"): Outside.CONCURRENT_ADMISSION,
}
