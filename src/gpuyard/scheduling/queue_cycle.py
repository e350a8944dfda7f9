"""One pass over the queues: rounds until nothing moves, and a node for every pod that starts.

A round lets each queue offer one workload (`admission.round`). Kueue looks at the world again after
each; `rounds_per_cycle` says how many follow each other before anybody does. They end when every
head comes back to where it was, blocking its queue or waiting for victims. What a round decided is
carried out at once on what the next one sees: who starts holds quota and places, and its pods
hold nodes (`landing`); a victim is marked, and keeps what it has until it is gone; who waits is
parked or comes again.

Where admission said that there is room and the nodes do not take the pods (devices in pieces,
ports, affinity), the workload waits as if there had been none, and says so.

The state afterwards holds the plan as if it were written. What becomes of it when it is, the host
follows with `commitments`.
"""

from typing import NamedTuple

import msgspec

from gpuyard.model.plan import Start
from gpuyard.model.queues import Admission, Admitted
from gpuyard.scheduling.admission import round as admission_round
from gpuyard.scheduling.admission.entries import Verdict
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.round import Objects, nobody_objects
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.landing import Landed, land
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.rules import PreemptionReason

ROUNDS_MAX = 100_000  # a cycle that needs more does not come to an end


class QueuePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How queues are served. `keeps_domains`: where admission put pods, whoever asked or not."""

    rules: AdmissionRules = AdmissionRules()
    rounds_per_cycle: int = 1
    keeps_domains: bool = True


class Evict(msgspec.Struct, frozen=True):
    """`workload` has to go, for whom and why."""

    workload: str
    beneficiary: str
    reason: PreemptionReason


class Admit(msgspec.Struct, frozen=True):
    """A workload that starts: its quota, and its pods with nodes where nodes are known."""

    admission: Admission
    start: Start


class QueuePlan(NamedTuple):
    """What a pass decided; who waits comes with the last verdict on it."""

    starts: tuple[Admit, ...]
    evicts: tuple[Evict, ...]
    waits: dict[str, Verdict]
    rounds: int


def run(
    waiting: Waiting,
    nominator: Nominator,
    policy: QueuePolicy,
    now_ns: int,
    *,
    placer: Placer | None = None,
    objects: Objects = nobody_objects,
) -> QueuePlan:
    """Serve the queues; without a `placer` quota alone decides, and pods get no nodes."""
    serving = _Pass(waiting, nominator, policy, now_ns, placer)
    rounds = 0
    while rounds < min(policy.rounds_per_cycle, ROUNDS_MAX):
        heads = waiting.heads(now_ns)
        if not heads:
            break
        rounds += 1
        verdicts = admission_round.run(nominator, heads, objects)
        may_go_on = [serving.carry_out(verdict) for verdict in verdicts]
        if not any(may_go_on):
            break
    return QueuePlan(tuple(serving.starts), tuple(serving.evicts), serving.waits, rounds)


class _Pass:
    """What was decided so far."""

    def __init__(
        self,
        waiting: Waiting,
        nominator: Nominator,
        policy: QueuePolicy,
        now_ns: int,
        placer: Placer | None,
    ) -> None:
        self.waiting = waiting
        self.queues = nominator.queues
        self.policy = policy
        self.now_ns = now_ns
        self.placer = placer
        self.starts: list[Admit] = []
        self.evicts: list[Evict] = []
        self.waits: dict[str, Verdict] = {}

    def carry_out(self, verdict: Verdict) -> bool:
        """Carry out one verdict; tell whether its queue may offer somebody else now."""
        if verdict.admission is None:
            return self._wait(verdict)
        landed = self._land(verdict, verdict.admission)
        if landed is None:
            return self._wait(_without_nodes(verdict))
        key = verdict.workload.key
        for gone in {key, verdict.replaced} & self.queues.admitted.keys():
            self.queues.remove(gone)
        self.queues.admit(
            Admitted(workload=verdict.workload, admission=landed.admission, reserved_ns=self.now_ns)
        )
        self.starts.append(Admit(landed.admission, Start(key, landed.assignments)))
        self.waits.pop(key, None)
        self.waiting.take_back(verdict, now_ns=self.now_ns)
        return True

    def _land(self, verdict: Verdict, admission: Admission) -> Landed | None:
        if self.placer is None:
            return Landed((), admission)
        return land(
            self.placer,
            self.queues,
            verdict.workload,
            admission,
            keeps_domains=self.policy.keeps_domains,
        )

    def _wait(self, verdict: Verdict) -> bool:
        for target in verdict.targets:
            held = self.queues.admitted[target.workload]
            if not held.evicted:
                self.queues.remove(target.workload)
                self.queues.admit(msgspec.structs.replace(held, evicted=True))
                self.evicts.append(Evict(target.workload, verdict.workload.key, target.reason))
        self.waits[verdict.workload.key] = verdict
        self.waiting.take_back(verdict, now_ns=self.now_ns)
        return verdict.workload.key not in self.waiting.pending[verdict.queue].active


def _without_nodes(verdict: Verdict) -> Verdict:
    """Return the verdict on a workload that has quota and finds no nodes."""
    return msgspec.structs.replace(
        verdict,
        outcome="waiting",
        admission=None,
        replaced="",
        requeue="NoFit",
        code="GangIncomplete" if verdict.workload.pod_count > 1 else "Unschedulable",
        message="quota and places are free, and the nodes do not take its pods",
        tried=None,
    )
