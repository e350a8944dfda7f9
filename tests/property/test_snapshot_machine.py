"""Undo and caches are exact: whatever happens, everything kept equals a recomputation from scratch.

A state machine lets random things happen to one living snapshot while placers of several policies
ask it for random shapes. Beside it stands the plain truth: dictionaries of nodes, pods, namespaces
and the mix. After every step a new snapshot is fed with that truth, and all that the living one
keeps (arrays, bookings, counters, columns, fragments, cached rows, choices) must say the same. The
comparison works on a copy, so that looking does not refresh what a missed change left stale. Nodes
are compared by name: slots are nobody's business.

The number of examples follows the ``max_examples`` of hypothesis' profile (``tests/conftest.py``).
"""

import copy
from contextlib import ExitStack
from unittest.mock import patch

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuyard.model.constraints import (
    UNCONSTRAINED,
    Constraints,
    HostPort,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    PreferredNodes,
    PreferredPods,
    Requirement,
    SpreadConstraint,
    Taint,
    Toleration,
)
from gpuyard.model.deltas import (
    MixEntry,
    MixObserved,
    NamespaceObserved,
    NodeObserved,
    NodeRemoved,
    PodBound,
    PodGone,
)
from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import CPU, MEMORY, PODS, Resources
from gpuyard.model.workloads import Assignment, DeviceRequest, PodTemplate, Request
from gpuyard.scheduling import changes
from gpuyard.scheduling.node_facts import ABSENT
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.scores import SCORES
from gpuyard.scheduling.snapshot import Snapshot, SnapshotError

NIC = "example.com/nic"
GIB = 2**30
POLICIES = ("fgd", "best-fit", "kube", "clustering")
NAMES = tuple(f"n{index}" for index in range(8))


# --- What may happen: few values, so that they meet ---------------------------------------------

labels = st.fixed_dictionaries(
    {}, optional={"zone": st.sampled_from(["a", "b"]), "disk": st.just("ssd")}
).map(lambda chosen: tuple(sorted(chosen.items())))
devices = st.lists(
    st.builds(
        Device, model=st.sampled_from(["A", "B"]), healthy=st.sampled_from([True] * 5 + [False])
    ),
    min_size=0,
    max_size=4,
).map(tuple)
allocatables = st.fixed_dictionaries(
    {CPU: st.sampled_from([16_000, 16_000, 4000]), MEMORY: st.sampled_from([16 * GIB, 4 * GIB])},
    optional={PODS: st.sampled_from([20, 2]), NIC: st.just(1)},
).map(Resources.of)
taints = st.sampled_from(
    [()] * 6 + [(Taint("gpu", "", "NoSchedule"),), (Taint("old", "", "PreferNoSchedule"),)]
)
nodes = st.builds(
    Node,
    name=st.sampled_from(NAMES),
    allocatable=allocatables,
    devices=devices,
    rank=st.integers(0, 2),
    labels=labels,
    taints=taints,
    unschedulable=st.sampled_from([False] * 7 + [True]),
)

requests = st.builds(
    Request,
    resources=st.fixed_dictionaries(
        {CPU: st.sampled_from([500, 0, 500, 3000]), MEMORY: st.sampled_from([0, GIB])},
        optional={NIC: st.sampled_from([0, 0, 1])},
    ).map(Resources.of),
    devices=st.sampled_from(
        [
            None,
            DeviceRequest(count=1, milli=400),
            DeviceRequest(count=1),
            DeviceRequest(count=2),
            DeviceRequest(count=1, milli=300),
            DeviceRequest(count=1, milli=600, models=("B",)),
            DeviceRequest(count=1, models=("A",)),
            DeviceRequest(count=2, milli=500),
        ]
    ),
    scored=st.sampled_from([None, None, Resources.of({CPU: 100, MEMORY: 200})]),
)
APP_X = LabelSelector((Requirement("app", "In", ("x",)),))
SOME_APP = LabelSelector((Requirement("app", "Exists"),))
OF_PROD = LabelSelector((Requirement("tier", "In", ("prod",)),))
pod_terms = st.builds(
    PodTerm,
    topology_key=st.sampled_from(["zone", "disk"]),
    selector=st.sampled_from([APP_X, SOME_APP]),
    namespaces=st.sampled_from([("default",), ()]),
    namespace_selector=st.sampled_from([None, OF_PROD, LabelSelector()]),
)
spread = st.builds(
    SpreadConstraint,
    max_skew=st.just(1),
    topology_key=st.sampled_from(["zone", "disk"]),
    when_unsatisfiable=st.sampled_from(["DoNotSchedule", "ScheduleAnyway"]),
    selector=st.just(APP_X),
    honor_node_taints=st.booleans(),
)
WITH_SSD = NodeSelectorTerm((Requirement("disk", "Exists"),))
constraints = st.one_of(
    st.builds(Constraints, forbidden_pods=st.tuples(pod_terms)),
    st.builds(Constraints, required_pods=st.tuples(pod_terms)),
    st.builds(
        Constraints,
        preferred_pods=st.tuples(
            st.builds(PreferredPods, weight=st.sampled_from([-7, 5]), term=pod_terms)
        ),
    ),
    st.builds(Constraints, spread=st.tuples(spread)),
    st.sampled_from(
        [
            Constraints(host_ports=(HostPort(80),)),
            Constraints(node_selector=(("zone", "a"),)),
            Constraints(tolerations=(Toleration(operator="Exists"),)),
            Constraints(preferred_nodes=(PreferredNodes(10, WITH_SSD),)),
        ]
    ),
)
templates = st.builds(
    PodTemplate,
    request=requests,
    constraints=constraints,
    namespace=st.sampled_from(["default", "team"]),
    labels=st.sampled_from([(), (("app", "x"),), (("app", "y"),)]),
)
plain_templates = templates.map(
    lambda template: msgspec.structs.replace(template, constraints=UNCONSTRAINED)
)
mixes = st.lists(
    st.builds(MixEntry, request=requests, frequency=st.sampled_from([0.5, 0.3, 0.1])), max_size=4
).map(tuple)
whiches = st.integers(0, 4)  # of the few templates of a run, which are asked for again and again


# --- Everything that a snapshot and its placers keep, by the names of nodes ----------------------


def amounts(snapshot, slot):
    """Return what the arrays say of one node, without columns that say nothing."""
    fleet = snapshot.fleet
    models = {code: name for name, code in fleet.models.items()}
    by_resource = {
        name: tuple(
            int(array[slot, column]) for array in (fleet.allocatable, fleet.free, fleet.scored)
        )
        for name, column in fleet.resources.items()
    }
    by_device = {
        index: (int(left), models.get(int(model)))
        for index, (left, model) in enumerate(
            zip(fleet.device_free[slot], fleet.device_model[slot], strict=True)
        )
    }
    by_kind = {kind: int(fleet.device_pods[slot, column]) for kind, column in fleet.kinds.items()}
    return (
        {name: triple for name, triple in by_resource.items() if any(triple)},
        {index: state for index, state in by_device.items() if state != (0, None)},
        {kind: pods for kind, pods in by_kind.items() if pods},
    )


def facts(snapshot):
    """Return everything but caches; slots without a node must be blank."""
    blank = sorted(set(range(snapshot.fleet.size)) - set(snapshot.nodes))
    assert not snapshot.fleet.present[blank].any()
    assert [amounts(snapshot, slot) for slot in blank] == [({}, {}, {})] * len(blank)
    assert snapshot.slot_of == {node.name: slot for slot, node in snapshot.nodes.items()}
    assert set(snapshot.pods_on) == set(snapshot.nodes)
    names = {slot: node.name for slot, node in snapshot.nodes.items()}
    order = sorted(snapshot.nodes, key=lambda slot: int(snapshot.fleet.order[slot]))
    return {
        "nodes": {node.name: node for node in snapshot.nodes.values()},
        "present": {names[slot] for slot in np.flatnonzero(snapshot.fleet.present).tolist()},
        "amounts": {name: amounts(snapshot, slot) for slot, name in names.items()},
        "order": [names[slot] for slot in order],
        "bookings": {
            pod: (booking.assignment, names[booking.slot], booking.devices)
            for pod, booking in snapshot.bookings.items()
        },
        "pods on": {names[slot]: set(pods) for slot, pods in snapshot.pods_on.items()},
        "same bookings": all(
            pods[pod] is snapshot.bookings[pod]
            for pods in snapshot.pods_on.values()
            for pod in pods
        ),
        "namespaces": dict(snapshot.namespaces),
        "mix": snapshot.mix,
        "observed": dict(snapshot.observed_ns),
        "held": {
            held: {names[slot]: pods for slot, pods in holders.by_slot.items()}
            for held, holders in snapshot.terms.held.items()
        },
        "held by label": {
            label: set(terms) for label, terms in snapshot.terms._held_by_label.items()
        },
    }


def by_name(snapshot, values):
    return {node.name: values[slot].item() for slot, node in snapshot.nodes.items()}


def row_answers(placer, shape):
    """Return what the row of `shape` holds once it is brought up to date, where it is used."""
    snapshot = placer.snapshot
    row = placer._fresh_row(shape)
    placer._refresh_scores(shape, row)
    answers = {
        "by labels": by_name(snapshot, row.by_labels),
        "feasible": by_name(snapshot, row.feasible),
        "room": by_name(snapshot, placer.room(shape)),
        "depends on pods": placer.depends_on_pods(shape),
    }
    for place, (term, kept) in enumerate(zip(placer.policy.scores, row.raw, strict=True)):
        score = SCORES[term.name]
        if score.reads in {"labels", "use"} and score.concerns(snapshot, shape, term):
            scored = row.by_labels if score.reads == "labels" else row.feasible
            values = by_name(snapshot, np.where(scored, kept, -1))
            answers[f"score {place} {term.name}"] = values
    return answers


def choice(placer, shape):
    placer.rng = np.random.default_rng(7)
    chosen = placer.choose(shape)
    return chosen and (placer.snapshot.nodes[chosen.slot].name, chosen.devices)


def column_answers(snapshot, fact):
    column = snapshot.facts.column(fact)
    codes = by_name(snapshot, column.codes)
    return {name: None if code == ABSENT else column.values[code] for name, code in codes.items()}


def recomputed(truth):
    """Return a new snapshot with the facts of `truth`; pods get the devices that they have."""
    snapshot = Snapshot()
    for name, known in truth.namespaces.items():
        snapshot.apply(NamespaceObserved(name, known))
    snapshot.apply(MixObserved(truth.mix))
    for name in sorted(truth.nodes, reverse=True):
        snapshot.apply(NodeObserved(truth.nodes[name]))
    for pod in sorted(truth.pods):
        assignment, booked = truth.pods[pod]
        devices = booked if assignment.template.request.devices else None
        told = msgspec.structs.replace(assignment, devices=devices)
        snapshot.apply(PodBound(told))
        snapshot.bookings[pod].assignment = assignment
    snapshot.observed_ns = dict(truth.observed_ns)
    return snapshot


class Truth(msgspec.Struct):
    """The facts, kept in the plainest way."""

    nodes: dict = msgspec.field(default_factory=dict)
    pods: dict = msgspec.field(default_factory=dict)  # assignment, devices booked
    namespaces: dict = msgspec.field(default_factory=dict)
    mix: tuple = ()
    observed_ns: dict = msgspec.field(default_factory=dict)

    def copy(self):
        return Truth(
            dict(self.nodes),
            dict(self.pods),
            dict(self.namespaces),
            self.mix,
            dict(self.observed_ns),
        )

    def device_left(self, name):
        """Return what is left of each device of a node, 0 of an unhealthy one before pods."""
        left = [1000 if device.healthy else 0 for device in self.nodes[name].devices]
        for assignment, booked in self.pods.values():
            if assignment.node == name:
                for index in booked:
                    left.extend([0] * (index + 1 - len(left)))
                    left[index] -= assignment.template.request.devices.milli
        return left

    def predicted_devices(self, asked, name):
        """Return the devices of a pod of which nobody has told: the fullest that suffice."""
        listed = list(
            enumerate(zip(self.device_left(name), self.nodes[name].devices, strict=False))
        )
        will_do = [index for index, (_, device) in listed if device.model in asked.models]
        if not asked.models:
            will_do = [index for index, _ in listed]
        left = {index: amount for index, (amount, _) in listed}
        fullest = sorted(will_do, key=lambda index: (left[index], index))
        suffice = [index for index in fullest if left[index] >= asked.milli]
        if len(suffice) >= asked.count:
            return tuple(sorted(suffice[: asked.count]))
        others = [index for index, _ in listed if index not in will_do]
        emptiest = sorted(will_do, key=lambda index: (-left[index], index)) + others
        return tuple(sorted(emptiest[: asked.count]))


def frozen_objects(world):
    """Return a memo for `copy.deepcopy` that keeps immutable values as they are."""
    memo = {}
    snapshot = world[0]
    values = [snapshot.mix, *snapshot.mix, *snapshot.nodes.values(), *snapshot.terms.held]
    values += [booking.assignment for booking in snapshot.bookings.values()]
    values += list(snapshot.facts._columns)
    values += [*snapshot.terms._counts, *snapshot.terms._shapes, *snapshot.terms._shapes.values()]
    values += [*snapshot._vectors, *snapshot.namespaces.values()]
    values += [template for template, _ in snapshot.terms._counted_in]
    for placer in world[1].values():
        values += [placer.policy, *placer._rows, placer._mix, *placer._mix]
    for value in values:
        memo[id(value)] = value
    return memo


class Machine(RuleBasedStateMachine):
    """One living snapshot, its placers, and the truth; `short_log` and `rows` by subclass."""

    log_slots_max = changes.LOG_SLOTS_MAX
    rows_kept_max = 4096

    def __init__(self):
        super().__init__()
        self.patches = ExitStack()
        self.patches.enter_context(patch.object(changes, "LOG_SLOTS_MAX", self.log_slots_max))
        self.snapshot = Snapshot()
        self.truth = Truth()
        self.templates = []
        self.trials = []  # context, trial, the truth and the facts before it
        self.count = 0
        self.now_ns = 0
        self.placers = {
            name: Placer(
                self.snapshot,
                msgspec.structs.replace(PLACEMENTS[name], rows_kept_max=self.rows_kept_max),
                np.random.default_rng(0),
            )
            for name in POLICIES
        }

    def teardown(self):
        for context, *_ in reversed(self.trials):
            context.__exit__(None, None, None)
        self.patches.close()

    # -- what happens

    @initialize(
        fleet=st.lists(nodes, min_size=3, max_size=8, unique_by=lambda node: node.name),
        mix=mixes,
        plain=st.lists(plain_templates, min_size=1, max_size=3),
        picky=st.lists(templates, max_size=2),
    )
    def begin(self, fleet, mix, plain, picky):
        self.templates = plain + picky
        for node in fleet:
            self._observe(node)
        self.change_mix(mix)

    @rule(node=nodes)
    def add_or_replace_node(self, node):
        self._observe(node)

    @precondition(lambda self: self.truth.nodes)
    @rule(data=st.data())
    def change_node(self, data):
        node = self.truth.nodes[data.draw(st.sampled_from(sorted(self.truth.nodes)))]
        fact, values = data.draw(
            st.sampled_from(
                [
                    ("labels", labels),
                    ("unschedulable", st.sampled_from([False, False, True])),
                    ("allocatable", allocatables),
                    ("taints", taints),
                    ("devices", devices),
                    ("rank", st.integers(0, 2)),
                ]
            )
        )
        self._observe(msgspec.structs.replace(node, **{fact: data.draw(values)}))

    @precondition(lambda self: any(node.devices for node in self.truth.nodes.values()))
    @rule(data=st.data())
    def break_or_mend_device(self, data):
        with_devices = sorted(name for name, node in self.truth.nodes.items() if node.devices)
        node = self.truth.nodes[data.draw(st.sampled_from(with_devices))]
        index = data.draw(st.integers(0, len(node.devices) - 1))
        listed = list(node.devices)
        listed[index] = msgspec.structs.replace(listed[index], healthy=not listed[index].healthy)
        self._observe(msgspec.structs.replace(node, devices=tuple(listed)))

    @precondition(lambda self: self.truth.nodes)
    @rule(data=st.data())
    def remove_node(self, data):
        name = data.draw(st.sampled_from(sorted(self.truth.nodes)))
        if any(assignment.node == name for assignment, _ in self.truth.pods.values()):
            with pytest.raises(SnapshotError, match=f"node {name} is removed while pod "):
                self.snapshot.apply(NodeRemoved(name))
            return
        self.snapshot.apply(NodeRemoved(name, self._observed("nodes")))
        del self.truth.nodes[name]

    @precondition(lambda self: self.truth.nodes)
    @rule(which=whiches, data=st.data())
    def bind(self, which, data):
        """Bind a pod wherever somebody else put it, room or not."""
        template = self._template(which)
        name = data.draw(st.sampled_from(sorted(self.truth.nodes)))
        asked = template.request.devices
        told = None
        if asked and data.draw(st.booleans()):
            indices = st.lists(
                st.integers(0, 3), min_size=asked.count, max_size=asked.count, unique=True
            )
            told = tuple(sorted(data.draw(indices)))
        terminating = data.draw(st.sampled_from([False, False, True]))
        self.count += 1
        assignment = Assignment(
            pod=f"p{self.count}",
            template=template,
            node=name,
            devices=told,
            terminating=terminating,
        )
        predicted = self.truth.predicted_devices(asked, name) if asked else ()
        self.snapshot.apply(PodBound(assignment, self._observed("pods")))
        booked = self.snapshot.bookings[assignment.pod].devices
        assert booked == (predicted if told is None else told)
        self.truth.pods[assignment.pod] = assignment, booked

    @rule(which=whiches, name=st.sampled_from(POLICIES))
    def place(self, which, name):
        """Let a policy place a pod; it never takes what is not there."""
        template = self._template(which)
        self.count += 1
        pod = f"p{self.count}"
        placed = self.placers[name].place(pod, template)
        if placed is None:
            assert pod not in self.snapshot.bookings
            return
        left = self.truth.device_left(placed.node)
        for index in placed.devices or ():
            device = self.truth.nodes[placed.node].devices[index]
            assert left[index] >= template.request.devices.milli
            assert not template.request.devices.models or (
                device.model in template.request.devices.models
            )
        if template.request.devices:
            assert len(set(placed.devices)) == template.request.devices.count
        self.truth.pods[pod] = placed, placed.devices or ()

    @precondition(lambda self: self.truth.pods)
    @rule(data=st.data())
    def free(self, data):
        pod = data.draw(st.sampled_from(sorted(self.truth.pods)))
        self.snapshot.apply(PodGone(pod, self._observed("pods")))
        del self.truth.pods[pod]

    @rule(name=st.sampled_from(["default", "team"]), tier=st.sampled_from(["prod", "test", None]))
    def change_namespace(self, name, tier):
        known = None if tier is None else (("tier", tier),)
        self.snapshot.apply(NamespaceObserved(name, known, self._observed("namespaces")))
        self.truth.namespaces.pop(name, None)
        if known is not None:
            self.truth.namespaces[name] = known

    @rule(mix=mixes)
    def change_mix(self, mix):
        self.snapshot.apply(MixObserved(mix, self._observed("mix")))
        self.truth.mix = mix

    @rule(which=whiches, name=st.sampled_from(POLICIES))
    def ask(self, which, name):
        """Only ask, so that rows, columns and counters come to be at all moments."""
        placer = self.placers[name]
        shape = self.snapshot.shape(self._template(which))
        placer.choose(shape)
        placer.room(shape)

    @precondition(lambda self: len(self.trials) < 3)
    @rule()
    def begin_trial(self):
        context = self.snapshot.trial()
        trial = context.__enter__()
        self.trials.append((context, trial, self.truth.copy(), facts(self.snapshot)))

    @precondition(lambda self: self.trials)
    @rule(keep=st.booleans())
    def end_trial(self, keep):
        self._end_trial(keep=keep)

    @rule()
    def contradict(self):
        """Impossible news change nothing."""
        template = PodTemplate(request=Request())
        lost = PodBound(Assignment(pod="lost", template=template, node="nowhere"))
        impossible = [lost, PodGone("nobody"), NodeRemoved("nowhere")]
        if self.truth.pods:
            impossible.append(PodBound(next(iter(self.truth.pods.values()))[0]))
        for delta in impossible:
            with pytest.raises(SnapshotError):
                self.snapshot.apply(delta)

    # -- how

    def _template(self, which):
        return self.templates[which % len(self.templates)]

    def _observe(self, node):
        self.snapshot.apply(NodeObserved(node, self._observed("nodes")))
        self.truth.nodes[node.name] = node

    def _observed(self, source):
        self.now_ns += 1
        self.truth.observed_ns[source] = self.now_ns
        return self.now_ns

    def _end_trial(self, *, keep):
        context, trial, truth, before = self.trials.pop()
        if keep:
            trial.keep()
        context.__exit__(None, None, None)
        if not keep:
            self.truth = truth
            assert facts(self.snapshot) == before

    # -- what holds

    @invariant()
    def everything_kept_equals_a_recomputation(self):
        world = self.snapshot, self.placers
        snapshot, placers = copy.deepcopy(world, frozen_objects(world))
        fresh = recomputed(self.truth)
        assert facts(snapshot) == facts(fresh)
        for fact in list(snapshot.facts._columns):
            assert column_answers(snapshot, fact) == column_answers(fresh, fact)
        for population in list(snapshot.terms._counts):
            kept = by_name(snapshot, snapshot.terms.counts(population))
            assert kept == by_name(fresh, fresh.terms.counts(population))
        for template, shape in snapshot.terms._shapes.items():
            assert shape == fresh.shape(template)
        snapshot.fragments.refresh()
        fresh.fragments.refresh()
        kept = by_name(snapshot, snapshot.fragments.milli)
        assert kept == by_name(fresh, fresh.fragments.milli)
        for placer in placers.values():
            anew = Placer(fresh, placer.policy, np.random.default_rng(0))
            assert len(placer._rows) <= self.rows_kept_max
            for shape in list(placer._rows):
                assert row_answers(placer, shape) == row_answers(anew, shape)
                assert choice(placer, shape) == choice(anew, shape)


class TwoRowsKept(Machine):
    """Rows are dropped and computed again all the time."""

    rows_kept_max = 2


class ShortLog(Machine):
    """The log of changes forgets before anyone has looked."""

    log_slots_max = 3


EXAMPLES = settings.default.max_examples
UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def runs_of(machine, examples):
    machine.TestCase.settings = settings(
        max_examples=max(1, examples), stateful_step_count=30, suppress_health_check=UNHURRIED
    )
    return machine.TestCase


TestEverythingKept = runs_of(Machine, EXAMPLES)
TestTwoRowsKept = runs_of(TwoRowsKept, EXAMPLES // 2)
TestShortLog = runs_of(ShortLog, EXAMPLES // 2)
