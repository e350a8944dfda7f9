"""What holds for every session and every pass."""

import msgspec
from hypothesis import given, settings, strategies as st

from gpuyard.scheduling.deserved.shares import UNLIMITED
from gpuyard.scheduling.passes import table
from gpuyard.scheduling.passes.jobs import HOLDS, STAYS, USES, total
from gpuyard.scheduling.passes.knobs import ALL_PASSES
from tests.small_session import NO_GRACE, job, queue, session, states

ROUNDS_MAX = 12


class Yard(msgspec.Struct, frozen=True):
    """What a session is made of: nodes, queues, and jobs as arguments of `job`."""

    nodes: dict
    queues: list
    jobs: list

    def session(self, passes=ALL_PASSES, **knobs):
        facts = [{**each} for each in self.jobs]
        return session(
            self.nodes,
            [job(each.pop("name"), each.pop("where"), **each) for each in facts],
            self.queues,
            knobs=msgspec.structs.replace(NO_GRACE, passes=passes, **knobs),
        )


@st.composite
def yards(draw, *, fixed=True):
    nodes = {f"n{index}": draw(st.integers(1, 4)) for index in range(draw(st.integers(1, 3)))}
    queues = [
        queue(
            name,
            draw(st.sampled_from([0, 1, 2, 3, UNLIMITED])),
            parent="top",
            limit=draw(st.sampled_from([UNLIMITED, UNLIMITED, 2, 4])),
            weight=draw(st.integers(0, 2)),
            priority=draw(st.sampled_from([100, 100, 101])),
        )
        for name in "ab"
    ]
    left = dict(nodes)
    jobs = []
    for index in range(draw(st.integers(1, 6))):
        gpus = draw(st.integers(1, 2))
        where = []
        for _ in range(draw(st.integers(1, 3))):
            fitting = [name for name, free in left.items() if free >= gpus]
            runs = bool(fitting) and draw(st.booleans())
            on = draw(st.sampled_from(fitting)) if runs else "-"
            if runs:
                left[on] -= gpus
                on = f"releasing@{on}" if draw(st.integers(0, 7)) == 0 else on
            where.append(on)
        jobs.append(
            {
                "name": f"j{index}",
                "where": " ".join(where),
                "gpus": gpus,
                "queue": draw(st.sampled_from("ab")),
                "at_least": draw(st.integers(1, len(where))),
                "priority": draw(st.integers(0, 1)),
                "preemptible": draw(st.integers(0, 3)) > 0 if fixed else True,
                "created_ns": draw(st.integers(0, 2)),
            }
        )
    return Yard(nodes, [queue("top", UNLIMITED), *queues], jobs)


def validate(one):
    """Check that nodes, pods and queues tell the same story, and that nothing is over-allocated."""
    pods = {pod.key: pod for each in one.jobs.values() for pod in each.pods}
    bound_now, bound_soon = (
        {key: one.node_of(booking.slot) for key, booking in placer.snapshot.bookings.items()}
        for placer in (one.now, one.soon)
    )
    assert bound_soon == {
        key: pod.node for key, pod in pods.items() if pod.state in STAYS | {"stuck"}
    }
    here = {"allocated", "running", "releasing", "stuck"}
    assert bound_now.keys() >= {key for key, pod in pods.items() if pod.state in here}
    for placer in (one.now, one.soon):
        assert (placer.snapshot.fleet.device_free >= 0).all()
        assert (placer.snapshot.fleet.free >= 0).all()
    for name in "ab":
        mine = [each for each in one.jobs.values() if each.queue == name]
        held = total(pod for each in mine for pod in each.pods if pod.state in STAYS)
        fixed = total(
            pod for each in mine if not each.preemptible for pod in each.pods if pod.state in STAYS
        )
        assert {k: v for k, v in one.tree[name].allocated.items() if v} == {
            k: v for k, v in held.items() if v
        }
        assert {k: v for k, v in one.tree[name].fixed.items() if v} == {
            k: v for k, v in fixed.items() if v
        }


@settings(max_examples=60, deadline=None)
@given(yards())
def test_every_pass_leaves_a_sound_session(yard):
    one = yard.session()
    validate(one)
    for name in ALL_PASSES:
        table.PASSES[name](one)
        validate(one)


@settings(max_examples=60, deadline=None)
@given(yards())
def test_the_same_session_decides_the_same(yard):
    first, second = yard.session(), yard.session()
    table.run(first)
    table.run(second)
    assert states(first) == states(second)


@settings(max_examples=60, deadline=None)
@given(yards(), st.sampled_from(["allocate", "consolidate", "reclaim", "preempt"]))
def test_a_job_starts_whole_or_not_at_all(yard, name):
    one = yard.session(passes=(name,))
    ran = {key for key, each in one.jobs.items() if any(p.state in USES for p in each.pods)}
    table.run(one)
    for key in one.jobs.keys() - ran:
        view = one.jobs[key].view()
        assert view.is_satisfied(view.job.root) or not any(p.state in USES for p in view.pods)


@settings(max_examples=60, deadline=None)
@given(yards(), st.sampled_from(["allocate", "consolidate", "reclaim", "preempt"]))
def test_who_cannot_be_preempted_stays_where_it_is(yard, name):
    one = yard.session(passes=(name,))
    before = {
        pod.key: (pod.state, pod.node)
        for each in one.jobs.values()
        for pod in each.pods
        if not each.preemptible and pod.state in USES
    }
    table.run(one)
    after = {pod.key: (pod.state, pod.node) for each in one.jobs.values() for pod in each.pods}
    assert {key: after[key] for key in before} == before


@settings(max_examples=60, deadline=None)
@given(yards())
def test_consolidation_takes_nothing_from_anybody(yard):
    one = yard.session(passes=("consolidate",))
    stayed = {pod.key for each in one.jobs.values() for pod in each.pods if pod.state in STAYS}
    table.run(one)
    after = {pod.key: pod.state for each in one.jobs.values() for pod in each.pods}
    assert all(after[key] in STAYS for key in stayed)


@settings(max_examples=60, deadline=None)
@given(yards())
def test_no_pass_lifts_a_queue_over_its_limit(yard):
    one = yard.session()
    before = {name: dict(one.tree[name].allocated) for name in "ab"}
    table.run(one)
    for name in "ab":
        share = one.tree[name]
        for resource, quota in share.quotas.items():
            assert share.allocated[resource] <= max(quota.limit, before[name][resource])


@settings(max_examples=60, deadline=None)
@given(yards())
def test_preemption_serves_the_more_important_of_the_same_queue(yard):
    one = yard.session(passes=("preempt",))
    waited = {key for key, each in one.jobs.items() if any(p.state == "pending" for p in each.pods)}
    ran = {pod.key for each in one.jobs.values() for pod in each.pods if pod.state in HOLDS}
    table.run(one)
    started = [one.jobs[key] for key in waited]
    for each in one.jobs.values():
        if any(pod.key in ran and pod.state == "releasing" for pod in each.pods):
            assert any(
                other.queue == each.queue and other.priority > each.priority for other in started
            )


def next_round(yard, one):
    """Return the yard after the decisions of a cycle came true, promises included."""
    places = {"allocated": "{}", "running": "{}", "pipelined": "{}"}
    jobs = []
    for facts in yard.jobs:
        pods = one.jobs[facts["name"]].pods
        where = " ".join(places.get(pod.state, "-").format(pod.node) for pod in pods)
        jobs.append({**facts, "where": where})
    return msgspec.structs.replace(yard, jobs=jobs)


@settings(max_examples=60, deadline=None)
@given(yards())
def test_round_after_round_it_comes_to_rest(yard):
    """Nobody takes a place away and gives it back for ever; here pods never end."""
    for _ in range(ROUNDS_MAX):
        one = yard.session()
        table.run(one)
        after = next_round(yard, one)
        if after == yard:
            return
        yard = after
    raise AssertionError(yard.jobs)
