"""Rounds of admission in any yard: what they promise is there, and they come to rest."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gpuyard.model.queues import (
    BorrowWithinCohort,
    ClusterQueue,
    Cohort,
    FlavorFungibility,
    FlavorQuotas,
    FlavorResource,
    QueuePreemption,
    ResourceGroup,
    ResourceQuota,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling.admission import round as one_round
from gpuyard.scheduling.admission.afterwards import Afterwards
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.ordering.between import BetweenRules
from gpuyard.scheduling.preemption.queues.minimal import Trial
from gpuyard.scheduling.preemption.queues.rules import Demand, QueuePreemptionRules
from gpuyard.scheduling.queues import Held
from tests.kept_answers import asked_again
from tests.small_yard import Yard, state


@pytest.fixture(autouse=True, scope="module")
def _answers_are_checked():
    with asked_again():
        yield


GPU = "gpu"
FLAVORS = ("a", "b")
COHORTS = ("root", "left", "right")
ROUNDS_MAX = 400

amounts = st.integers(0, 6)
limits = st.none() | st.integers(0, 4)
weights_nano = st.sampled_from((10**9, 10**9, 5 * 10**8, 0))
preemptions = st.builds(
    QueuePreemption,
    within_cluster_queue=st.sampled_from(("Never", "LowerPriority", "LowerOrNewerEqualPriority")),
    reclaim_within_cohort=st.sampled_from(("Never", "LowerPriority", "Any")),
    borrow_within_cohort=st.builds(
        BorrowWithinCohort,
        policy=st.sampled_from(("Never", "LowerPriority")),
        max_priority_threshold=st.none() | st.integers(0, 3),
    ),
)
fungibilities = st.builds(
    FlavorFungibility,
    when_can_borrow=st.sampled_from(("MayStopSearch", "TryNextFlavor")),
    when_can_preempt=st.sampled_from(("MayStopSearch", "TryNextFlavor")),
)


@st.composite
def groups(draw):
    flavors = draw(st.lists(st.sampled_from(FLAVORS), unique=True, min_size=1, max_size=2))
    return (
        ResourceGroup(
            (GPU,),
            tuple(
                FlavorQuotas(
                    flavor,
                    (
                        ResourceQuota(
                            resource=GPU,
                            nominal=draw(amounts),
                            borrowing_limit=draw(limits),
                            lending_limit=draw(limits),
                        ),
                    ),
                )
                for flavor in flavors
            ),
        ),
    )


@st.composite
def cluster_queues(draw):
    return [
        ClusterQueue(
            name=f"q{index}",
            cohort=draw(st.sampled_from(("", *COHORTS))),
            resource_groups=draw(groups()),
            queueing_strategy=draw(st.sampled_from(("BestEffortFIFO", "StrictFIFO"))),
            preemption=draw(preemptions),
            fungibility=draw(fungibilities),
            fair_weight_nano=draw(weights_nano),
        )
        for index in range(draw(st.integers(1, 4)))
    ]


@st.composite
def cohorts(draw):
    return [
        Cohort(
            name=name,
            parent="" if name == "root" else "root",
            resource_groups=draw(st.just(()) | groups()),
            fair_weight_nano=draw(weights_nano),
        )
        for name in COHORTS
    ]


@st.composite
def workloads(draw, index):
    pod_sets = []
    for name in ("main", "more")[: draw(st.integers(1, 2))]:
        count = draw(st.integers(1, 3))
        template = PodTemplate(
            request=Request(resources=Resources.of({GPU: draw(st.integers(0, 3))}))
        )
        min_count = draw(st.none() | st.integers(1, count))
        pod_sets.append(PodSet(name=name, count=count, template=template, min_count=min_count))
    return Workload(
        key=f"w{index}",
        uid=f"w{index}",
        pod_sets=tuple(pod_sets),
        created_ns=index,
        priority=draw(st.integers(0, 3)),
        queue=f"q{draw(st.integers(0, 3))}",
    )


@st.composite
def rules(draw, **preemption):
    is_fair = draw(st.booleans())
    return AdmissionRules(
        between=BetweenRules(by_share=is_fair, preemptors_first=draw(st.booleans())),
        flavors=FlavorRules(fair_sharing=is_fair, preserve_scan_progress=draw(st.booleans())),
        preemption=QueuePreemptionRules(fair_sharing=is_fair, **preemption),
        look_again_on_overlap=draw(st.booleans()),
        starts_as_it_preempted=draw(st.just(value=True) if preemption else st.booleans()),
    )


@st.composite
def yards(draw, **preemption):
    """Return a yard, some rounds old."""
    made = Yard(
        draw(cluster_queues()),
        draw(cohorts()),
        rules=draw(rules(**preemption)),
        flavors=FLAVORS,
        workloads=[draw(workloads(index)) for index in range(draw(st.integers(1, 10)))],
    )
    for step in draw(st.lists(st.sampled_from(("run", "run", "leave", "end")), max_size=8)):
        if step == "run":
            made.run()
        elif step == "leave":
            made.leave()
        elif made.queues.admitted:
            made.end(draw(st.sampled_from(sorted(made.queues.admitted))))
    return made


def over_quota(node):
    """Return what `node` uses, what it owns and lends, and all that is wrong below; from scratch.

    By flavor: quota of its subtree, use that its parent sees, quota that its parent sees.
    """
    keys = {*node.quotas, *node.usage}
    below = [over_quota(child) for child in node.children]
    wrong = [line for each in below for line in each[2]]
    seen_use, seen_quota = {}, {}
    keys |= {key for each in below for key in (*each[0], *each[1])}
    for key in keys:
        quota = node.quotas.get(key)
        owned = (quota.nominal if quota else 0) + sum(each[1].get(key, 0) for each in below)
        used = sum(each[0].get(key, 0) for each in below)
        if not node.is_cohort:
            used = node.usage.get(key, 0)
        limit = quota.borrowing_limit if quota else None
        most = owned if node.parent is None else None if limit is None else owned + limit
        if most is not None and used > most:
            wrong.append(f"{node}: {used} of {key}, at most {most}")
        kept = 0
        if quota is not None and quota.lending_limit is not None:
            kept = max(0, owned - quota.lending_limit)
        seen_use[key] = max(0, used - kept)
        seen_quota[key] = owned - kept
    return seen_use, seen_quota, wrong


def broken_quotas(queues):
    everyone = [*queues.tree.cluster_queues.values(), *queues.tree.cohorts.values()]
    return [line for node in everyone if node.parent is None for line in over_quota(node)[2]]


@given(yards())
def test_no_admission_breaks_a_quota_or_a_limit(yard):
    for _ in range(6):
        verdicts = yard.run()
        assert broken_quotas(yard.queues) == [], verdicts
        yard.leave()


@given(yards())
def test_a_round_leaves_the_queues_as_they_were(yard):
    before = state(yard.queues)
    one_round.run(yard.nominator(), yard.waiting.heads())
    assert state(yard.queues) == before


@given(yards())
def test_nobody_is_admitted_in_part_who_needs_all(yard):
    for verdict in yard.run():
        if verdict.admission is not None:
            given_ = {each.name: each.count for each in verdict.admission.pod_sets}
            for asked in verdict.workload.pod_sets:
                least = asked.count if asked.min_count is None else asked.min_count
                assert least <= given_[asked.name] <= asked.count


@given(yards(), st.randoms(use_true_random=False))
def test_the_order_of_the_heads_does_not_matter(yard, random):
    heads = yard.waiting.heads()
    verdicts = one_round.run(yard.nominator(), heads)
    random.shuffle(heads)
    assert one_round.run(yard.nominator(), heads) == verdicts


@given(yards())
def test_the_order_of_the_holders_does_not_matter(yard):
    heads = yard.waiting.heads()
    verdicts = one_round.run(yard.nominator(), heads)
    for held in [yard.queues.remove(key) for key in sorted(yard.queues.admitted, reverse=True)]:
        yard.queues.admit(held)
    assert one_round.run(yard.nominator(), heads) == verdicts


@given(yards())
def test_preemption_is_never_for_nothing(yard):
    heads = {head.workload.key: head for head in yard.waiting.heads()}
    verdicts = one_round.run(yard.nominator(), heads.values())
    for verdict in verdicts:
        yard.carry_out(verdict)
    for key in [key for key, held in yard.queues.admitted.items() if held.evicted]:
        yard.queues.remove(key)
    for verdict in verdicts:
        if verdict.outcome == "preempting":
            head = heads[verdict.workload.key]
            assert yard.nominator().nominate(head).assignment.mode is Mode.FIT
            (again,) = one_round.run(yard.nominator(), [head])
            assert again.outcome == "admitted"


@given(yards(), st.data())
def test_where_the_state_has_the_same_number_the_same_is_used(yard, data):
    """What a round remembers goes by this number."""
    queues, known, taken = yard.queues, {}, []

    def note():
        assert known.setdefault(queues.state, state(queues)) == state(queues)

    for _ in range(data.draw(st.integers(1, 6))):
        note()
        out = data.draw(st.sets(st.sampled_from([*sorted(queues.admitted), ""]))) - {""}
        with data.draw(st.sampled_from((queues.without, queues.without_usage)))(out):
            note()
        name = data.draw(st.sampled_from(sorted(queues.specs)))
        key = FlavorResource(data.draw(st.sampled_from(FLAVORS)), GPU)
        usage = Usage(((key, data.draw(st.integers(0, 3))),))
        with queues.using(name, usage), queues.without_holds():
            note()
        demand = Demand(
            workload=Workload(key="new", pod_sets=(), created_ns=0),
            queue=name,
            usage=usage,
            contested=frozenset((key,)),
        )
        with Trial(queues, demand) as trial:
            for each in sorted(out):
                trial.take_out(queues.admitted[each])
                note()
        note()
        taken.append((name, usage))
        queues.use(name, usage)
        if data.draw(st.booleans()):
            queues.release(*taken.pop(0))
        if data.draw(st.booleans()):
            queues.hold("new", Held(name, usage))


@given(yards())
def test_nobody_is_told_to_go_twice_in_a_round(yard):
    gone = [target.workload for verdict in yard.run() for target in verdict.targets]
    assert len(gone) == len(set(gone))


@given(yards(), st.data())
def test_what_fits_afterwards_is_what_fits_without_the_victims(yard, data):
    queues = yard.queues
    after, gone, counted = Afterwards(queues), [], []
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(sorted(queues.specs)))
        own = data.draw(st.lists(st.sampled_from(sorted(queues.admitted) or [""]), unique=True))
        own = [key for key in own if key]
        asked = {key: data.draw(amounts) for key in sorted(queues.node(name).quotas)}
        usage = Usage(tuple(asked.items()))
        with queues.without_usage({*gone, *own}):
            expected = queues.fits(name, usage)
        before = state(queues)
        assert after.fits(name, usage, own) == expected
        assert state(queues) == before
        if expected == "fits":
            after.let_go(own)
            gone += own
            queues.use(name, usage)
            after.use(name, usage)
            counted.append((name, usage))
    for name, usage in counted:
        queues.release(name, usage)
        after.release(name, usage)


@given(yards(revalidate=True) | yards(revalidate=True, stable=True))
def test_it_comes_to_rest(yard):
    assert yard.settle(ROUNDS_MAX) is not None
