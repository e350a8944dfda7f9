"""A yard with queues only: rounds decide, and what they decided happens at once.

Who was told to go is gone when `leave` is called; then it waits again.
"""

import msgspec

from gpuyard.model.queues import Admitted, LocalQueue, ResourceFlavor
from gpuyard.scheduling.admission import round as one_round
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.queues import Queues

IDLE_ROUNDS = 8  # more than any search for flavors takes


class Yard:
    """Queues with one LocalQueue each, of the same name."""

    def __init__(self, specs, cohorts=(), *, rules=None, flavors=("a",), workloads=(), **more):
        """Let `workloads` wait; a flavor may be given whole."""
        self.rules = rules or AdmissionRules()
        self.queues = Queues(
            specs,
            cohorts,
            flavors=[
                ResourceFlavor(name=each) if isinstance(each, str) else each for each in flavors
            ],
            local_queues=[
                LocalQueue(namespace="", name=spec.name, cluster_queue=spec.name) for spec in specs
            ],
            **more,
        )
        self.waiting = Waiting(self.queues, self.rules)
        self.rounds = 0
        for each in workloads:
            self.waiting.add(each)

    def nominator(self):
        return Nominator(
            self.queues, self.rules, now=lambda head: self.waiting.stamp(head.queue, head.workload)
        )

    def run(self):
        """Run one round and let happen what it decided."""
        self.rounds += 1
        verdicts = one_round.run(self.nominator(), self.waiting.heads())
        for verdict in verdicts:
            self.carry_out(verdict)
        return verdicts

    def carry_out(self, verdict):
        key = verdict.workload.key
        if verdict.admission is not None:
            for gone in {key, verdict.replaced} & self.queues.admitted.keys():
                self.queues.remove(gone)
            self.queues.admit(
                Admitted(
                    workload=verdict.workload,
                    admission=verdict.admission,
                    reserved_ns=self.rounds,
                )
            )
        for target in verdict.targets:
            self.evict(target.workload)
        self.waiting.take_back(verdict)

    def evict(self, key):
        held = self.queues.remove(key)
        self.queues.admit(msgspec.structs.replace(held, evicted=True))

    def end(self, key):
        """Let a workload end, and wake whom that may help."""
        (workload,) = self._gone([key])
        return workload

    def _gone(self, keys):
        held = [self.queues.remove(key) for key in keys]
        self.waiting.wake(*(each.admission.cluster_queue for each in held))
        return [each.workload for each in held]

    def leave(self):
        """Let all who were told to go be gone and wait again; return their keys."""
        gone = sorted(key for key, held in self.queues.admitted.items() if held.evicted)
        for workload in self._gone(gone):
            self.waiting.add(workload)
        return gone

    def settle(self, rounds_max):
        """Run rounds until nothing happens any more; return how many, `None` where it goes on.

        A strict queue tries its head for ever, and a search for flavors may take some rounds.
        """
        idle = 0
        for count in range(rounds_max):
            outcomes = {verdict.outcome for verdict in self.run()}
            has_left = bool(self.leave())
            moved = has_left or not outcomes.isdisjoint(("admitted", "preempting"))
            idle = 0 if moved else idle + 1
            if idle == IDLE_ROUNDS:
                return count
        return None


def state(queues):
    """Return everything that a round may change, in no order."""
    everyone = [*queues.tree.cluster_queues.values(), *queues.tree.cohorts.values()]
    return (
        {repr(node): dict(node.usage) for node in everyone},
        dict(queues.admitted),
        {name: dict(held) for name, held in queues.holders.items()},
        {name: places.used.tolist() for name, places in queues.places.items()},
    )
