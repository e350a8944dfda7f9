"""Where the pods of a gang of several shapes go, when placing them one by one gave up.

A greedy placement is exact for like pods. With several shapes it is not: two pods of 4 CPU may have
been put where the pod of 8 had to go. Here the whole gang is one integer program, in the form that
Gilmore and Gomory gave to cutting stock:

- Nodes that offer the same are one *class*: the same is free, the same shapes pass the filters.
- A *pattern* is what one node of a class can hold: so many pods of each shape. Patterns are found
  by binding pods to one node of the class on trial, so what fits is decided by the placer's own
  filters and its choice of devices, not by a second model of a node. Only those are kept that no
  other one contains.
- One integer variable per class and pattern says how many nodes take it; each class has so many
  nodes, and each shape gets all its pods. Of the solutions the one with the fewest nodes is taken.

The answer is bound pod by pod, on trial, before it counts. HiGHS (highspy, extra ``solver``) solves
it on one thread; the time limit is handed to the solver. An answer that the limit cut short depends
on the machine: `Exact.code` says so, and a plan that used it is replayed from its record.

Not for pods whose place depends on pods elsewhere (affinity, spread): which node takes what is then
no property of one node. With shares of devices in several sizes, "infeasible" means: with the
devices that the policy's choice takes on a node, largest shares first.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gpuyard.model.deltas import PodBound
from gpuyard.model.workloads import Assignment, PodTemplate
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.shapes import Shape

if TYPE_CHECKING:
    from highspy import HighsLp

PATTERNS_MAX = 2000  # over all classes; beyond it the program is not written down

Member = tuple[str, PodTemplate]
Pattern = tuple[int, ...]  # pods per shape
FloatArray = NDArray[np.float64]
Code = Literal[
    "Placed",
    "Infeasible",  # no placement exists
    "OutOfTime",  # none was found within the limit
    "NoSolver",  # highspy is not installed: the greedy answer stands
    "DependsOnPods",  # affinity or spread decide as well: the greedy answer stands
    "TooManyPatterns",  # the gang and the nodes are too varied: the greedy answer stands
    "Refused",  # the filters turned the solver's answer down
]


class Exact(msgspec.Struct, frozen=True):
    """Where the pods went, in the order in which they were given; nowhere unless ``Placed``."""

    code: Code
    assignments: tuple[Assignment, ...] = ()


class NodeClass(msgspec.Struct, frozen=True):
    """Nodes that offer the same, by slot in the order of their ranks, and what one can hold."""

    slots: tuple[int, ...]
    patterns: tuple[Pattern, ...]


class _TooManyPatternsError(Exception):
    """More than `PATTERNS_MAX`."""


def place(placer: Placer, pods: Sequence[Member], limit_s: float) -> Exact:
    """Bind all of `pods` or none of them; look for at most `limit_s` in the solver."""
    if not pods:
        return Exact("Placed")
    members = _by_shape(placer, pods)
    if any(placer.depends_on_pods(shape) for shape in members):
        return Exact("DependsOnPods")
    try:
        classes = _classes(placer, members)
    except _TooManyPatternsError:
        return Exact("TooManyPatterns")
    wanted = [len(group) for group in members.values()]
    times = _solve(classes, wanted, limit_s)
    if isinstance(times, str):
        return Exact(times)
    bound = _bind(placer, classes, times, list(members.values()))
    if bound is None:
        return Exact("Refused")
    return Exact("Placed", tuple(bound[pod] for pod, _ in pods))


def _by_shape(placer: Placer, pods: Iterable[Member]) -> dict[Shape, list[Member]]:
    """Return the pods of each shape, those first that ask most of a device, then most devices."""
    members: dict[Shape, list[Member]] = {}
    for pod, template in pods:
        members.setdefault(placer.snapshot.shape(template), []).append((pod, template))
    return dict(sorted(members.items(), key=lambda item: size_order(item[0])))


def size_order(shape: Shape) -> tuple[int, int, tuple[tuple[str, int], ...]]:
    """Return a sort key by which the shape that is hardest to place comes first."""
    devices = shape.request.devices
    amounts = tuple((name, -amount) for name, amount in shape.request.resources.amounts)
    if devices is None:
        return 0, 0, amounts
    return -devices.milli, -devices.count, amounts


# -- classes and patterns


def _classes(placer: Placer, members: dict[Shape, list[Member]]) -> list[NodeClass]:
    """Return the classes of all nodes that could take any of the pods."""
    fleet = placer.snapshot.fleet
    rooms = np.stack([placer.room(shape) for shape in members])
    alike: dict[bytes, list[int]] = {}
    offers = _offers(placer, members, rooms)
    for slot in sorted(np.flatnonzero(rooms.any(axis=0)).tolist(), key=lambda s: fleet.order[s]):
        alike.setdefault(offers[slot].tobytes(), []).append(slot)
    groups = list(members.values())
    classes = []
    patterns_left = PATTERNS_MAX
    for slots in alike.values():
        with closing(_patterns(placer, _only(placer, slots[0]), groups)) as patterns:
            found = list(islice(patterns, patterns_left + 1))
        patterns_left -= len(found)
        if patterns_left < 0:
            raise _TooManyPatternsError
        classes.append(NodeClass(tuple(slots), _undominated(found)))
    return classes


def _offers(placer: Placer, members: dict[Shape, list[Member]], rooms: IntArray) -> IntArray:
    """Return for each slot everything that could tell two nodes apart: [slot, number]."""
    fleet, snapshot = placer.snapshot.fleet, placer.snapshot
    asked = np.zeros(fleet.free.shape[1], dtype=np.int64)
    for shape, group in members.items():
        vector = snapshot.vector(shape.request)
        asked[: len(vector.amounts)] += len(group) * vector.amounts
    free = np.minimum(fleet.free, asked)[:, asked > 0]  # more than all pods need is all the same
    devices = fleet.device_free * (len(fleet.models) + 2) + fleet.device_model + 1
    return np.ascontiguousarray(np.hstack([free, np.sort(devices, axis=1), rooms.T]))


def _patterns(
    placer: Placer, within: BoolArray, groups: Sequence[list[Member]]
) -> Generator[Pattern]:
    """Yield what the one node of `within` can hold, for each number of pods of the first shapes.

    Pods are bound on trial as it goes along; all is undone when the last pattern was taken, or the
    iterator is closed.
    """
    if not groups:
        yield ()
        return
    with placer.snapshot.trial():
        for count, (pod, template) in enumerate(groups[0]):
            if len(groups) > 1:
                yield from ((count, *rest) for rest in _patterns(placer, within, groups[1:]))
            if _place_on(placer, within, pod, template) is None:
                if len(groups) == 1:
                    yield (count,)
                return
        yield from ((len(groups[0]), *rest) for rest in _patterns(placer, within, groups[1:]))


def _undominated(patterns: Sequence[Pattern]) -> tuple[Pattern, ...]:
    """Return the patterns that no other one contains, each once."""
    counts = np.array(sorted(set(patterns), reverse=True), dtype=np.int64)
    contains = (counts[None, :, :] >= counts[:, None, :]).all(axis=2)
    kept = counts[contains.sum(axis=1) == 1]  # itself
    return tuple(tuple(row) for row in kept.tolist() if any(row))


# -- the integer program


def _solve(
    classes: Sequence[NodeClass], wanted: Sequence[int], limit_s: float
) -> list[list[int]] | Code:
    """Return for each class how many of its nodes take each pattern, or why there is no answer."""
    try:
        import highspy  # noqa: PLC0415  an extra, and not light
    except ImportError:
        return "NoSolver"
    if not any(one.patterns for one in classes):
        return "Infeasible"
    program = _program(highspy.HighsLp(), classes, wanted)
    program.integrality_ = [highspy.HighsVarType.kInteger] * program.num_col_

    class Quiet(highspy.Highs):
        """Highs greets on the terminal as soon as it is made, unless it was silenced before."""

        def enableCallbacks(self) -> None:  # noqa: N802  the first thing that its __init__ calls
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    solver = Quiet()  # type: ignore[no-untyped-call]  # highspy types most of itself
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("time_limit", limit_s)
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return "Infeasible"
    if solver.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return "OutOfTime"
    times = np.rint(solver.getSolution().col_value).astype(np.int64).tolist()
    taken = iter(times)
    return [list(islice(taken, len(one.patterns))) for one in classes]


def _program(program: "HighsLp", classes: Sequence[NodeClass], wanted: Sequence[int]) -> "HighsLp":
    """Write the program down: a row per class and per shape, a column per class and pattern."""
    columns = [(row, pattern) for row, one in enumerate(classes) for pattern in one.patterns]
    matrix = np.zeros((len(classes) + len(wanted), len(columns)))
    for column, (row, pattern) in enumerate(columns):
        matrix[row, column] = 1
        matrix[len(classes) :, column] = pattern
    sizes = np.array([len(one.slots) for one in classes], dtype=np.float64)
    program.num_row_, program.num_col_ = matrix.shape
    program.col_cost_ = np.ones(len(columns))
    program.col_lower_ = np.zeros(len(columns))
    program.col_upper_ = np.array([sizes[row] for row, _ in columns])
    program.row_lower_ = np.concatenate([np.zeros(len(classes)), np.array(wanted, np.float64)])
    program.row_upper_ = np.concatenate([sizes, np.full(len(wanted), np.inf)])
    rows, starts, values = _by_column(matrix)
    program.a_matrix_.start_, program.a_matrix_.index_ = starts, rows
    program.a_matrix_.value_ = values
    return program


def _by_column(matrix: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the entries that are not 0, column by column: rows, where columns start, values."""
    column, row = np.nonzero(matrix.T)
    starts = np.searchsorted(column, np.arange(matrix.shape[1] + 1))
    return row.astype(np.int32), starts.astype(np.int32), matrix[row, column]


def _bind(
    placer: Placer,
    classes: Sequence[NodeClass],
    times: list[list[int]],
    groups: list[list[Member]],
) -> dict[str, Assignment] | None:
    """Bind the pods as the program says; `None`, and nothing bound, where one does not fit."""
    waiting = [iter(group) for group in groups]
    bound: dict[str, Assignment] = {}
    with placer.snapshot.trial() as trial:
        for slot, pattern in _nodes_with_patterns(classes, times):
            within = _only(placer, slot)
            for pods, amount in zip(waiting, pattern, strict=True):
                for pod, template in islice(pods, amount):
                    assignment = _place_on(placer, within, pod, template)
                    if assignment is None:
                        return None
                    bound[pod] = assignment
        if len(bound) < sum(map(len, groups)):
            return None
        trial.keep()
    return bound


def _nodes_with_patterns(
    classes: Sequence[NodeClass], times: list[list[int]]
) -> Iterator[tuple[int, Pattern]]:
    """Yield every node that takes pods, and which."""
    for one, often in zip(classes, times, strict=True):
        slots = iter(one.slots)
        for pattern, count in zip(one.patterns, often, strict=True):
            yield from ((slot, pattern) for slot in islice(slots, count))


def _place_on(
    placer: Placer, within: BoolArray, pod: str, template: PodTemplate
) -> Assignment | None:
    """Bind `pod` to the one node of `within`; `None` where it does not fit."""
    choice = placer.choose(placer.snapshot.shape(template), within)
    if choice is None:
        return None
    node = placer.snapshot.nodes[choice.slot].name
    assignment = Assignment(pod=pod, template=template, node=node, devices=choice.devices)
    placer.snapshot.apply(PodBound(assignment))
    return assignment


def _only(placer: Placer, slot: int) -> BoolArray:
    mask = np.zeros(placer.snapshot.fleet.size, dtype=np.bool_)
    mask[slot] = True
    return mask
