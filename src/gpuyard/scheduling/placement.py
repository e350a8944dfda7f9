"""Where one pod goes, and where several go at once.

A `Placer` holds what a policy makes of a `Snapshot`: for every shape one `Row` with the answers of
the filters and the raw scores that look at a node alone. A row is brought up to date when its shape
is asked for again, and only for the nodes that changed since; what depends on pods elsewhere, the
normalisation over the feasible nodes and the choice are made anew each time. So the work per
placement of a known shape is the number of changed nodes plus one pass to find the best
(`Placer.counted`). Rows live in an LRU of `PlacementPolicy.rows_kept_max`; a row that was dropped
is computed again and never wrong.

Ties go to the smallest node rank, or to chance where the policy says so: with truncated scores ties
are everywhere, and a random choice among them costs FGD five points of allocated GPUs.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec
import numpy as np

from gpuyard.model.constraints import LabelSelector, PodTerm, PreferredPods, Requirement
from gpuyard.model.deltas import PodBound
from gpuyard.model.nodes import Pool
from gpuyard.model.policy import PlacementPolicy
from gpuyard.model.workloads import Assignment, PodTemplate, WorkloadClass
from gpuyard.scheduling.feasibility import FILTERS
from gpuyard.scheduling.feasibility.devices import side_by_side, suffices
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.scores import SCORES, best_fit, fgd
from gpuyard.scheduling.shapes import Shape
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.sharing import choose_devices

TEMPLATES_KEPT_MAX = 4096  # of replicas that keep apart; beyond it they are made anew
APART_WEIGHT = 100  # the largest that the API knows
NOT_FEASIBLE = np.iinfo(np.int64).min  # in a row of scores that ranks nodes by itself


class Row:
    """What is known about one shape on every node."""

    def __init__(self, shape: Shape, policy: PlacementPolicy) -> None:
        """Start with nothing looked at."""
        concerned = [rule for rule in FILTERS if rule.concerns(shape)]
        self.label_filters = [rule for rule in concerned if rule.reads == "labels"]
        self.use_filters = [rule for rule in concerned if rule.reads == "use"]
        self.pod_filters = [rule for rule in concerned if rule.reads == "pods"]
        self.use_position = -1  # of `feasible`
        self.score_position = -1  # of the scores in `raw` that read use
        self.node_position = -1  # of `by_labels` and the scores in `raw` that read labels
        self.by_labels: BoolArray = np.empty(0, dtype=np.bool_)
        self.feasible: BoolArray = np.empty(0, dtype=np.bool_)
        self.raw: list[IntArray] = [np.empty(0, dtype=np.int64) for _ in policy.scores]


class Counted(msgspec.Struct):
    """Work done so far, to explain time and memory by."""

    placements: int = 0
    rows_built: int = 0
    nodes_refreshed: int = 0
    nodes_scored: int = 0


class Choice(msgspec.Struct, frozen=True):
    """A node and the devices on it."""

    slot: int
    devices: tuple[int, ...] | None


class Placer:
    """Chooses nodes by one policy over one snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        policy: PlacementPolicy,
        rng: np.random.Generator,
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        """Take `rng` for what the policy leaves to chance.

        `pools` by name say who picks the device; a node of no known pool has ours (``agent``).
        """
        self.snapshot = snapshot
        self.policy = policy
        self.rng = rng
        self.pools = pools or {}
        self.replicas_apart = ""  # a topology key
        self.counted = Counted()
        self._rows: OrderedDict[Shape, Row] = OrderedDict()
        self._mix = snapshot.mix
        self._ranks_by_rows = _ranks_by_rows(policy)
        self._by_class = dict(self._profiles())

    def _profiles(self) -> Iterator[tuple[str, "Placer"]]:
        """Yield a placer of its own for each class that has a profile; of two the later one."""
        for profile in reversed(self.policy.profiles):
            policy = msgspec.structs.replace(
                self.policy, scores=profile.scores, devices=profile.devices, profiles=()
            )
            placer = Placer(self.snapshot, policy, self.rng, self.pools)
            placer.replicas_apart, placer.counted = profile.replicas_apart, self.counted
            yield from ((name, placer) for name in profile.classes)

    def of(self, kind: WorkloadClass) -> "Placer":
        """Return the placer for workloads of a class, over the same snapshot."""
        return self._by_class.get(kind, self)

    def asked(self, template: PodTemplate) -> PodTemplate:
        """Return `template` with what the profile of its class adds to it."""
        if not self.replicas_apart or not template.labels:
            return template
        return _apart(template, self.replicas_apart)

    def place(self, pod: str, template: PodTemplate) -> Assignment | None:
        """Bind `pod` to the best node and return where it went; `None` where it fits nowhere."""
        template = self.asked(template)
        choice = self.choose(self.snapshot.shape(template))
        if choice is None:
            return None
        node = self.snapshot.nodes[choice.slot].name
        assignment = Assignment(pod=pod, template=template, node=node, devices=choice.devices)
        self.snapshot.apply(PodBound(assignment))
        return assignment

    def place_all(self, pods: Iterable[tuple[str, PodTemplate]]) -> tuple[Assignment, ...] | None:
        """Bind all of `pods` or none of them, one after the other in the order given."""
        placed: list[Assignment] = []
        with self.snapshot.trial() as trial:
            for pod, template in pods:
                assignment = self.place(pod, template)
                if assignment is None:
                    return None
                placed.append(assignment)
            trial.keep()
        return tuple(placed)

    def choose(
        self, shape: Shape, within: BoolArray | None = None, bonus: IntArray | None = None
    ) -> Choice | None:
        """Return the best node for `shape` and the devices on it, `None` where it fits nowhere.

        `within` tells for each slot whether it may be chosen (the nodes of one domain), `bonus`
        what is added to its total of scores.
        """
        row = self._fresh_row(shape)
        if self._ranks_by_rows and not row.pod_filters and within is None and bonus is None:
            slots = self._best_kept(shape, row)
        else:
            slots = self._best_of_all(shape, row, within, bonus)
        if not len(slots):
            return None
        self.counted.placements += 1
        slot = self._first(slots)
        return Choice(slot, self._devices(shape, slot))

    def room(self, shape: Shape) -> IntArray:
        """Return for each slot how many pods of `shape` fit there side by side.

        What pods in other domains forbid is not looked at: an upper bound where they matter.
        """
        row = self._fresh_row(shape)
        fits = np.zeros(len(row.feasible), dtype=np.int64)
        slots = np.flatnonzero(row.feasible)
        fleet, request = self.snapshot.fleet, shape.request
        vector = self.snapshot.vector(request)
        free = fleet.free[slots][:, vector.needed_columns]
        left = fleet.device_free[slots]
        if request.devices:
            left = left * suffices(self.snapshot, request.devices, slots)
        fits[slots] = room_in(shape, free, left, vector.needed)
        return fits

    def allowed_by_labels(self, shape: Shape) -> BoolArray:
        """Tell for each slot whether the node itself, however empty, would take `shape`."""
        return self._fresh_row(shape).by_labels

    def depends_on_pods(self, shape: Shape) -> bool:
        """Tell whether pods in other nodes' domains decide where `shape` may go."""
        return bool(self._row(shape).pod_filters)

    def _total(self, shape: Shape, row: Row, slots: IntArray) -> IntArray:
        total: IntArray | None = None
        for term, kept in zip(self.policy.scores, row.raw, strict=True):
            rule = SCORES[term.name]
            if not rule.concerns(self.snapshot, shape, term):
                continue
            if rule.reads in {"labels", "use"}:
                score = kept[slots]
            else:
                score = rule.raw(self.snapshot, shape, term, slots, self.rng)
            if rule.normalise:
                score = rule.normalise(score)
            if term.weight != 1:
                score = score * term.weight
            total = score if total is None else total + score
        return np.zeros(len(slots), dtype=np.int64) if total is None else total

    def _best_of_all(
        self,
        shape: Shape,
        row: Row,
        within: BoolArray | None,
        bonus: IntArray | None = None,
    ) -> IntArray:
        """Return the slots, ascending, that share the best total of all scores."""
        slots = np.flatnonzero(row.feasible if within is None else row.feasible & within)
        for rule in row.pod_filters:
            slots = slots[rule.passes(self.snapshot, shape, slots)]
        if len(slots) < 2:  # noqa: PLR2004  no choice, so no need for scores
            return slots
        self._refresh_scores(shape, row)
        total = self._total(shape, row, slots)
        if bonus is not None:
            total = total + bonus[slots]
        best: IntArray = slots[total == total.max()]
        return best

    def _best_kept(self, shape: Shape, row: Row) -> IntArray:
        """Return the same where one kept score decides: two passes over the row, nothing moved."""
        if np.count_nonzero(row.feasible) < 2:  # noqa: PLR2004
            return np.flatnonzero(row.feasible)
        self._refresh_scores(shape, row)
        kept = row.raw[0]
        return np.flatnonzero(kept == kept.max())

    def _first(self, ties: IntArray) -> int:
        """Return the one of equally good slots that the policy's rule for ties takes."""
        if len(ties) == 1:
            return int(ties[0])
        order = self.snapshot.fleet.order[ties]
        if self.policy.tie_break == "random":  # slots depend on history, so chance picks a rank
            return int(ties[order.argsort()[self.rng.integers(len(ties))]])
        return int(ties[order.argmin()])

    def _devices(self, shape: Shape, slot: int) -> tuple[int, ...] | None:
        """Choose devices of the node in `slot` as the policy says; `None` where none are asked."""
        asked = shape.request.devices
        if asked is None:
            return None
        pool = self.pools.get(self.snapshot.nodes[slot].pool)
        left = devices_left(self.snapshot, shape, slot)
        if pool is not None and pool.chooser == "kubelet":
            return choose_devices.distributed(left, asked.count, asked.milli)
        if self.policy.devices == "fgd" and fgd.shares_a_device(asked):
            return fgd.choose_devices(self.snapshot, shape, slot)
        match self.policy.devices:
            case "random":
                return choose_devices.any_fit(left, asked.count, asked.milli, self.rng)
            case "first" | "fgd":  # whole devices are alike: FGD takes the first that are free
                return choose_devices.first_fit(left, asked.count, asked.milli)
            case "distributed":
                return choose_devices.distributed(left, asked.count, asked.milli)
            case "best-fit":
                return choose_devices.best_fit(left, asked.count, asked.milli)

    def _fresh_row(self, shape: Shape) -> Row:
        """Return the row of `shape`, up to date for every node."""
        row = self._row(shape)
        self._refresh(shape, row)
        return row

    def _row(self, shape: Shape) -> Row:
        """Return the row of `shape` as it was when it was last asked for."""
        if self._mix is not self.snapshot.mix:
            self._rows.clear()
            self._mix = self.snapshot.mix
        row = self._rows.get(shape)
        if row is None:
            row = self._rows[shape] = Row(shape, self.policy)
            self.counted.rows_built += 1
            if len(self._rows) > self.policy.rows_kept_max:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(shape)
        return row

    def _refresh(self, shape: Shape, row: Row) -> None:
        snapshot = self.snapshot
        size = snapshot.fleet.size
        if len(row.feasible) != size:
            row.by_labels = np.zeros(size, dtype=np.bool_)
            row.feasible = np.zeros(size, dtype=np.bool_)
            row.raw = [np.zeros(size, dtype=np.int64) for _ in row.raw]
            row.use_position = row.score_position = row.node_position = -1
        if row.node_position != snapshot.node_changes.position:
            slots = snapshot.node_changes.since(row.node_position, size)
            row.node_position = snapshot.node_changes.position
            row.by_labels[slots] = snapshot.fleet.present[slots]
            for rule in row.label_filters:
                allowed = slots[row.by_labels[slots]]
                row.by_labels[allowed] = rule.passes(snapshot, shape, allowed)
            self._score(shape, row, slots[row.by_labels[slots]], "labels")
        # A node change is a change of use as well (`Snapshot` logs both), so one list suffices.
        slots = snapshot.use_changes.since(row.use_position, size)
        row.use_position = snapshot.use_changes.position
        if not len(slots):
            return
        self.counted.nodes_refreshed += len(slots)
        passing = row.by_labels[slots]
        row.feasible[slots] = passing
        slots = slots[passing]
        for rule in row.use_filters:
            passing = rule.passes(snapshot, shape, slots)
            row.feasible[slots] = passing
            slots = slots[passing]

    def _refresh_scores(self, shape: Shape, row: Row) -> None:
        """Score the feasible nodes that changed since there last was a choice to make."""
        changes = self.snapshot.use_changes
        slots = changes.since(row.score_position, len(row.feasible))
        row.score_position = changes.position
        is_feasible = row.feasible[slots]
        if self._ranks_by_rows:
            row.raw[0][slots[~is_feasible]] = NOT_FEASIBLE
        slots = slots[is_feasible]
        if len(slots):
            self.counted.nodes_scored += len(slots)
            self._score(shape, row, slots, "use")

    def _score(self, shape: Shape, row: Row, slots: IntArray, reads: str) -> None:
        for term, kept in zip(self.policy.scores, row.raw, strict=True):
            rule = SCORES[term.name]
            if rule.reads == reads and rule.concerns(self.snapshot, shape, term):
                kept[slots] = rule.raw(self.snapshot, shape, term, slots, self.rng)


def room_in(shape: Shape, free: IntArray, left: IntArray, needed: IntArray) -> IntArray:
    """Return how many pods of `shape` fit side by side into what is free, row by row.

    `free` is [row, needed column], `left` [row, device] in milli and 0 where a device will not do.
    Not above 0 where none fits.
    """
    room: IntArray = (free // needed).min(axis=1)
    if shape.request.devices:
        room = np.minimum(room, side_by_side(left, shape.request.devices))
    return np.minimum(room, 1) if shape.constraints.host_ports else room


@lru_cache(maxsize=TEMPLATES_KEPT_MAX)
def _apart(template: PodTemplate, topology_key: str) -> PodTemplate:
    """Let pods of `template` prefer domains without others of the same labels."""
    alike = LabelSelector(tuple(Requirement(key, "In", (value,)) for key, value in template.labels))
    term = PodTerm(topology_key, alike, namespaces=(template.namespace,))
    constraints = msgspec.structs.replace(
        template.constraints,
        preferred_pods=(*template.constraints.preferred_pods, PreferredPods(-APART_WEIGHT, term)),
    )
    return msgspec.structs.replace(template, constraints=constraints)


def _ranks_by_rows(policy: PlacementPolicy) -> bool:
    """Tell whether the kept values of one score alone say which nodes are best."""
    rules = [SCORES[term.name] for term in policy.scores]
    return (
        len(rules) == 1
        and rules[0].reads == "use"
        and rules[0].normalise in {None, best_fit.normalise}  # which keeps the best the best
        and policy.scores[0].weight > 0
    )


def devices_left(snapshot: Snapshot, shape: Shape, slot: int) -> list[int]:
    """Return what is left, in milli, of each device of `slot`; -1 where its model will not do."""
    left: list[int] = snapshot.fleet.device_free[slot].tolist()
    asked = shape.request.devices
    if asked is None or not asked.models:
        return left
    devices = snapshot.nodes[slot].devices
    return [
        amount if index < len(devices) and devices[index].model in asked.models else -1
        for index, amount in enumerate(left)
    ]
