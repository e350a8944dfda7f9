"""Who has waited less long than the rules say evicts nobody."""

import pytest

from gpuyard.model.queues import Admission, Admitted, PodSetAssignment, QueuePreemption
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import SentBack, Workload
from gpuyard.scheduling.admission import round as admission_round
from gpuyard.scheduling.admission.entries import Head
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors.scan import ScanStamp
from tests.small_queues import GPU, group, pods, queue, queues_of

CREATED_NS = 1_000


def verdict_after(waited_ns, rules, *, created_ns=CREATED_NS, **more):
    """Return what a round says to the important workload of a full queue that waits so long."""
    allowed = QueuePreemption(within_cluster_queue="LowerPriority")
    queues = queues_of(queue(group(spot=4), preemption=allowed))
    usage = Resources.of({GPU: 4})
    placed = PodSetAssignment(name="main", count=4, flavors=((GPU, "spot"),), usage=usage)
    holder = Workload(key="team/holder", pod_sets=(pods(4),), created_ns=0)
    queues.admit(Admitted(workload=holder, admission=Admission("main", (placed,))))
    wants = Workload(
        key="team/urgent", pod_sets=(pods(2),), created_ns=created_ns, priority=1, **more
    )
    now_ns = None if waited_ns is None else created_ns + waited_ns
    stamp = ScanStamp(cycle=1, generation=0)
    nominator = Nominator(queues, rules, now=lambda _: stamp, now_ns=now_ns)
    (verdict,) = admission_round.run(nominator, [Head(workload=wants, queue="main")])
    return verdict


@pytest.mark.parametrize(
    ("after_ns", "waited_ns", "outcome", "requeue"),
    [
        pytest.param(0, 0, "preempting", "PendingPreemption", id="at once by default"),
        pytest.param(500, 499, "waiting", "PreemptionNoCandidates", id="not before its time"),
        pytest.param(500, 500, "preempting", "PendingPreemption", id="at its time"),
        pytest.param(500, None, "preempting", "PendingPreemption", id="nobody says how late it is"),
    ],
)
def test_eviction_begins_after_a_wait(after_ns, waited_ns, outcome, requeue):
    verdict = verdict_after(waited_ns, AdmissionRules(preempt_after_ns=after_ns))
    assert (verdict.outcome, verdict.requeue) == (outcome, requeue)
    assert [target.workload for target in verdict.targets] == (
        ["team/holder"] if outcome == "preempting" else []
    )


def test_the_wait_counts_from_the_last_time_the_workload_lost_its_turn():
    rules = AdmissionRules(preempt_after_ns=500)
    sent_back = (SentBack("readiness", CREATED_NS + 400),)
    assert verdict_after(899, rules, sent_back=sent_back).outcome == "waiting"
    assert verdict_after(900, rules, sent_back=sent_back).outcome == "preempting"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        pytest.param("inference", "preempting", id="people wait for it"),
        pytest.param("batch", "waiting", id="it can wait"),
    ],
)
def test_some_classes_do_not_wait(kind, outcome):
    rules = AdmissionRules(preempt_after_ns=500, preempt_at_once=("inference",))
    assert verdict_after(1, rules, kind=kind).outcome == outcome


@pytest.mark.parametrize(
    ("waited_ns", "outcome"),
    [
        pytest.param(39, "waiting", id="not yet, though nothing is lost"),
        pytest.param(40, "preempting", id="nothing is lost"),
    ],
)
def test_who_loses_nothing_stays_for_a_moment_all_the_same(waited_ns, outcome):
    rules = AdmissionRules(
        preempt_after_ns=500, preempt_when_waited_pct=1, preempt_not_before_ns=40
    )
    assert verdict_after(waited_ns, rules).outcome == outcome
