"""Queues, holders and waiting workloads of a row, and what rounds make of them."""

from collections.abc import Mapping

import msgspec

from gpuyard.dialects import kueue
from gpuyard.model.admission_fair_sharing import AdmissionFairSharing
from gpuyard.model.queues import Admission, Admitted
from gpuyard.scheduling.admission import charges, round as one_round
from gpuyard.scheduling.admission.entries import Head, Objection, Verdict, not_written
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.scan import ScanStamp
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.shapes import matches
from verification.oracles.kueue.cycles.digest import Decided, by_queue, decision, read_decision
from verification.oracles.kueue.cycles.objects import given, places, rules_of
from verification.oracles.rows import Json

NAMESPACES = {
    "default": {},
    "eng-alpha": {"dep": "eng"},
    "eng-beta": {"dep": "eng"},
    "eng-gamma": {"dep": "eng"},
    "sales": {"dep": "sales"},
    "lend": {"dep": "lend"},
    "ns1": {},
}
NOW_NS = 0  # the clock of these tests stands still


class Situation:
    """Queues, holders and waiting workloads of a row."""

    def __init__(self, case: Mapping[str, Json], around: Mapping[str, Json]) -> None:
        """Read the objects of `case` and what lies around it."""
        self.case, self.around = case, around
        self.rules = rules_of(case, around["gates"])
        self.knobs: AdmissionFairSharing | None = None
        self.ledger = Ledger()
        self.queues = self._queues(
            [*given("clusterQueues", case, around), *given("additionalClusterQueues", case)]
        )
        self.waiting = Waiting(self.queues, self.rules)
        self.decided: dict[str, Decided] = {}
        self.admission_fails = bool(case.get("admissionError"))
        for each in case["workloads"] or ():
            self._take_in(each)

    def _queues(self, cluster_queues: list[Json]) -> Queues:
        case, around = self.case, self.around
        flavors = [kueue.resource_flavor(each) for each in given("resourceFlavors", case, around)]
        local = [*given("queues", around), *given("additionalLocalQueues", case)]
        return Queues(
            [kueue.cluster_queue(each) for each in cluster_queues],
            [kueue.cohort(each) for each in given("cohorts", case)],
            flavors=flavors,
            local_queues=[kueue.local_queue(each) for each in local],
            places=places(case, flavors) if self.rules.flavors.topology_aware else {},
        )

    def _take_in(self, source: Json) -> None:
        workload, held = kueue.workload(source), kueue.admitted(source)
        self.decided[workload.key] = read_decision(decision(source))
        if held is None:
            self.waiting.add(workload)
        elif held.admission.cluster_queue in self.queues.specs:
            self.queues.admit(held)

    # -- what happens

    def run(self) -> tuple[Verdict, ...]:
        """Run one round and carry it out; return what it decided."""
        shares = charges.shares(self.ledger, self.queues, self.knobs) if self.knobs else {}
        self.waiting.shares = shares
        nominator = Nominator(
            self.queues, self.rules, now=self._stamp, local_usage=charges.as_amounts(shares)
        )
        verdicts = one_round.run(nominator, self.waiting.heads(), self._objection)
        if self.knobs:
            owed = charges.charges(
                verdicts, self.ledger, self.queues, self.knobs, self.rules.flavors, now_ns=NOW_NS
            )
            self.ledger = self.ledger.after(owed)
        for verdict in verdicts:
            self._carry_out(verdict)
        return verdicts

    def end(self, key: str) -> None:
        """Let a workload be gone."""
        self.waiting.delete(key)
        if key in self.queues.admitted:
            self.waiting.wake(self.queues.remove(key).admission.cluster_queue)

    def change(self, cluster_queues: list[Json]) -> None:
        """Put these ClusterQueues in the place of those that were."""
        before, self.queues = self.queues, self._queues(cluster_queues)
        for held in before.admitted.values():
            self.queues.admit(held)
        self.waiting.follow(self.queues)

    def _stamp(self, head: Head) -> ScanStamp:
        return self.waiting.stamp(head.queue, head.workload)

    def _objection(self, head: Head) -> Objection | None:
        selector = self.queues.specs[head.queue].namespace_selector
        if matches(selector, NAMESPACES[head.workload.key.partition("/")[0]]):
            return None
        mismatch = "workload namespace doesn't match ClusterQueue selector"
        return Objection("NamespaceMismatch", "Misconfigured", mismatch)

    # -- what was decided

    def _carry_out(self, verdict: Verdict) -> None:
        key = verdict.workload.key
        if verdict.admission is not None and self.admission_fails:
            self.waiting.take_back(not_written(verdict))
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
        held = self.queues.admitted[key]
        if not held.evicted:
            self.queues.remove(key)
            self.queues.admit(msgspec.structs.replace(held, evicted=True))
            self.decided[key] = self.decided[key]._replace(evicted=why)

    # -- what stands

    def admissions(self) -> dict[str, Admission]:
        """Return who holds what."""
        return {key: held.admission for key, held in self.queues.admitted.items()}

    def left(self) -> dict[str, frozenset[str]]:
        """Return who is active, by queue."""
        return by_queue({name: each.active for name, each in self.waiting.pending.items()})

    def parked(self) -> dict[str, frozenset[str]]:
        """Return who is parked, by queue."""
        return by_queue({name: each.parked for name, each in self.waiting.pending.items()})
