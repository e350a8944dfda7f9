"""What LocalQueues have used decides whose turn it is, and every admission is charged."""

import math
from fractions import Fraction

from gpuyard.model.admission_fair_sharing import AdmissionFairSharing
from gpuyard.model.ledger import Account, DecayedUsage, EntryPenalty
from gpuyard.model.queues import LocalQueue, ResourceFlavor
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import admission_fair_sharing as afs
from gpuyard.scheduling.admission import charges, round as one_round
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.queues import Queues
from tests.small_queues import GPU, group, pods, queue

SECOND_NS = 10**9
KNOBS = AdmissionFairSharing(half_life_ns=10 * SECOND_NS, sampling_interval_ns=SECOND_NS)
BY_USAGE = {"admission_mode": "UsageBasedAdmissionFairSharing"}


def doors(**weights):
    return [
        LocalQueue(
            namespace="ml",
            name=name,
            cluster_queue="other" if name == "elsewhere" else "q",
            fair_weight_nano=int(weight * 10**9),
        )
        for name, weight in weights.items()
    ]


def yard(gpus=8, mode=BY_USAGE, **weights):
    return Queues(
        [queue(group(a=gpus), name="q", **mode), queue(group(a=gpus), name="other")],
        flavors=[ResourceFlavor(name="a")],
        local_queues=doors(**weights),
    )


def used(**gpus):
    return Ledger(
        DecayedUsage(
            account=Account("queue", f"ml/{name}"),
            amounts_nano=((GPU, amount * 10**9),),
            sampled_ns=0,
            half_life_ns=KNOBS.half_life_ns,
        )
        for name, amount in gpus.items()
    )


def wants(key, gpus=1, *, at="a", priority=0):
    return Workload(
        key=key, pod_sets=(pods(1, gpus),), created_ns=0, queue=f"ml/{at}", priority=priority
    )


def run(queues, ledger, *workloads):
    """Run one round; return its verdicts and what they cost."""
    rules = AdmissionRules()
    waiting = Waiting(queues, rules)
    for each in workloads:
        waiting.add(each)
    waiting.shares = charges.shares(ledger, queues, KNOBS)
    nominator = Nominator(queues, rules, now=lambda head: waiting.stamp(head.queue, head.workload))
    verdicts = one_round.run(nominator, waiting.heads())
    owed = charges.charges(verdicts, ledger, queues, KNOBS, FlavorRules(), now_ns=0)
    return verdicts, owed


def test_shares_are_of_local_queues_in_a_queue_that_shares_by_usage():
    queues = yard(a=1, b=2, never=0, elsewhere=1)
    assert charges.shares(used(a=4, b=4, elsewhere=9), queues, KNOBS) == {
        "ml/a": (False, Fraction(4)),
        "ml/b": (False, Fraction(2)),
        "ml/never": (True, Fraction(0)),
    }


def test_shares_as_numbers():
    found = {"ml/a": (False, Fraction(3, 2)), "ml/never": (True, Fraction(0))}
    assert charges.as_amounts(found) == {"ml/a": 1.5, "ml/never": math.inf}


def test_whose_local_queue_has_used_less_goes_first_whatever_the_priority():
    (verdict, *_), _ = run(
        yard(a=1, b=1), used(a=4, b=1), wants("mine", priority=9), wants("yours", at="b")
    )
    assert verdict.workload.key == "yours"


def test_in_a_queue_that_does_not_share_by_usage_priority_decides():
    queues = yard(mode={}, a=1, b=1)
    (verdict, *_), owed = run(
        queues, used(a=4, b=1), wants("mine", priority=9), wants("yours", at="b")
    )
    assert (verdict.workload.key, owed) == ("mine", ())


def test_an_admission_is_charged_and_counts_in_the_next_round():
    queues, ledger = yard(a=1, b=1), Ledger()
    _, owed = run(queues, ledger, wants("first", 4))
    after = ledger.after(owed)
    (penalty,) = after.of(EntryPenalty).values()
    assert (penalty.workload, penalty.account.name) == ("first", "ml/a")
    expected = afs.entry_penalty(wants("w", 4).pod_sets[0].template.request.resources, KNOBS)
    assert penalty.amounts_nano == expected
    (verdict,), _ = run(queues, after, wants("again", 1), wants("other", 1, at="b"))
    assert verdict.workload.key == "other"


def test_whoever_waits_is_not_charged():
    (verdict,), owed = run(yard(gpus=2, a=1), Ledger(), wants("large", 4))
    assert (verdict.admission, owed) == (None, ())
