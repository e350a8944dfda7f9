"""The record of a run: all that its cycles saw and every plan, so that each can be computed again.

A record is lines of JSON, written as the run goes on, so that a long one streams:

1. a `Head`: which format, the policy, the seed of its chance, who picks devices in which pool;
2. a `RecordedCycle` for each cycle: what the snapshot was told since the last one, who was asked
   about, and the plan;
3. an `End` with the number of cycles. Without it the record was cut short.

What the snapshot learns from a plan itself is not said twice: whoever computes the plan again has
it. That is also what `recompute` proves: the same facts, the same policy and the same seed give the
same plan, cycle by cycle, with the very functions of the core. With another policy it says where
the first plan differs. It stops there, because what comes after would no longer be the same yard.

Who is parked is left alone by `cycle.run` when nothing that changed could help (`Parking.may_fit`);
a record names those (`ruled_out`), since asking them would use up chance.

Each format's version has its reader in `READERS`; a record of an older one stays readable.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from typing import Protocol

import msgspec
import numpy as np

from gpuyard.model.deltas import Delta
from gpuyard.model.nodes import Pool
from gpuyard.model.plan import Plan
from gpuyard.model.policy import Policy
from gpuyard.model.reasons import Silent
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import cycle
from gpuyard.scheduling.cycle import Pending
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.snapshot import Snapshot, SnapshotError

FORMAT = "gpuyard-record/1"
MayFit = Callable[[str], bool]


class RecordError(ValueError):
    """A record that cannot be used: which line, what is wrong, what to do, in one sentence."""

    def __init__(self, name: str, line: int, sentence: str) -> None:
        """Blame `line` of the file `name`."""
        super().__init__(f"{name}:{line}: {sentence}")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole run; `policy_name` and `trace` are for people."""

    format: str = FORMAT
    policy_name: str = ""
    trace: str = ""
    seed: int
    policy: Policy
    pools: Mapping[str, Pool] = msgspec.field(default_factory=dict)


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A workload that a cycle was asked about, and which of its pods it missed; `None`: all."""

    workload: str
    missing: tuple[str, ...] | None = None


class RecordedCycle(msgspec.Struct, frozen=True, kw_only=True, tag="cycle", omit_defaults=True):
    """One cycle: what was new, who was asked about, what came out.

    `workloads` are those that no earlier cycle was asked about, or not in this form.
    """

    cycle: int
    now_ns: int
    deltas: tuple[Delta, ...] = ()
    workloads: tuple[Workload, ...] = ()
    asked: tuple[Asked, ...] = ()
    ruled_out: tuple[str, ...] = ()
    plan: Plan


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """The record is whole."""

    cycles: int


class Recorder(Protocol):
    """Who is told what a run is told, and what it decides."""

    def told(self, delta: Delta) -> None:
        """Hear what the snapshot was told."""

    def asking(self, may_fit: MayFit) -> MayFit:
        """Listen to who is ruled out in the next cycle."""

    def decided(self, pending: Sequence[Pending], plan: Plan, now_ns: int) -> None:
        """Hear the plan of a cycle."""


class RecordWriter:
    """Writes a record line by line; `close` makes it whole."""

    def __init__(self, write: Callable[[bytes], object], head: Head) -> None:
        """Write `head`; `write` takes the bytes of one line or more."""
        self._write = write
        self._encode = msgspec.json.Encoder().encode
        self._deltas: list[Delta] = []
        self._ruled_out: list[str] = []
        self._known: dict[str, Workload] = {}
        self._cycles = 0
        self._line(head)

    def told(self, delta: Delta) -> None:
        """Keep what the snapshot was told for the next line."""
        self._deltas.append(delta)

    def asking(self, may_fit: MayFit) -> MayFit:
        """Return `may_fit`, and note for whom it says no."""

        def noted(workload: str) -> bool:
            is_worth_a_try = may_fit(workload)
            if not is_worth_a_try:
                self._ruled_out.append(workload)
            return is_worth_a_try

        return noted

    def decided(self, pending: Sequence[Pending], plan: Plan, now_ns: int) -> None:
        """Write the line of a cycle."""
        self._cycles += 1
        new = [one.workload for one in pending if self._is_new(one.workload)]
        recorded = RecordedCycle(
            cycle=self._cycles,
            now_ns=now_ns,
            deltas=tuple(self._deltas),
            workloads=tuple(new),
            asked=tuple(_asked(one) for one in pending),
            ruled_out=tuple(self._ruled_out),
            plan=plan,
        )
        self._deltas.clear()
        self._ruled_out.clear()
        self._line(recorded)

    def close(self) -> None:
        """Say that this was all."""
        self._line(End(cycles=self._cycles))

    def _is_new(self, workload: Workload) -> bool:
        is_new = self._known.get(workload.key) is not workload
        self._known[workload.key] = workload
        return is_new

    def _line(self, struct: msgspec.Struct) -> None:
        self._write(self._encode(struct) + b"\n")


class Record(msgspec.Struct, frozen=True):
    """A record as it is read: its head, then (line, cycle) as long as one reads on."""

    name: str
    head: Head
    cycles: Iterator[tuple[int, RecordedCycle]]


def read(lines: Iterable[bytes], name: str) -> Record:
    """Return the record in `lines`; `name` is the file that a RecordError blames.

    Raises RecordError where the head cannot be used, and while cycles are read where a line cannot.
    """
    rest = iter(lines)
    first = next(rest, b"")
    return Record(name, _head(first, name), _cycles(rest, name))


# -- computed once more


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first plan that differs: in which cycle, about whom, and what each of the two says."""

    cycle: int
    line: int
    now_ns: int
    workload: str
    recorded: str
    recomputed: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How many plans were computed again, and where they begin to differ, if they do."""

    cycles: int
    difference: Difference | None = None


def recompute(record: Record, policy: Policy | None = None) -> Verdict:
    """Compute every plan of `record` again, with its own policy or another one.

    Raises RecordError for a line that contradicts the lines before it.
    """
    head, snapshot, count = record.head, Snapshot(), 0
    chance = np.random.default_rng(head.seed)
    placer = Placer(snapshot, policy or head.policy, chance, head.pools)
    known: dict[str, Workload] = {}
    for line, recorded in record.cycles:
        count += 1
        try:
            for delta in recorded.deltas:
                snapshot.apply(delta)
            pending = _pending(recorded, known)
            may_fit = partial(_is_not_in, frozenset(recorded.ruled_out))
            plan = cycle.run(placer, pending, Silent(), may_fit)
        except (SnapshotError, LookupError) as error:
            raise RecordError(record.name, line, _contradiction(error)) from None
        if plan != recorded.plan:
            return Verdict(cycles=count, difference=_difference(line, recorded, plan))
    return Verdict(cycles=count)


def _pending(recorded: RecordedCycle, known: dict[str, Workload]) -> list[Pending]:
    known.update((each.key, each) for each in recorded.workloads)
    pending = []
    for asked in recorded.asked:
        workload = known[asked.workload]
        members = cycle.members(workload)
        if asked.missing is not None:
            templates = dict(members)
            members = tuple((pod, templates[pod]) for pod in asked.missing)
        pending.append(Pending(workload, members))
    return pending


def _is_not_in(ruled_out: frozenset[str], workload: str) -> bool:
    return workload not in ruled_out


def _asked(pending: Pending) -> Asked:
    workload, missing = pending.workload, pending.missing
    if len(missing) == workload.pod_count:
        return Asked(workload.key)
    return Asked(workload.key, tuple(pod for pod, _ in missing))


# -- where two plans differ


def _difference(line: int, recorded: RecordedCycle, plan: Plan) -> Difference:
    """Name the first workload, in the order of the recorded plan, about which two plans differ."""
    before, after = _by_workload(recorded.plan), _by_workload(plan)
    named = [*before, *after]
    workload = next((key for key in named if before.get(key) != after.get(key)), "")
    if workload:
        apart = _first_apart(before.get(workload, ()), after.get(workload, ()))
    else:
        apart = _first_apart(_beside(recorded.plan), _beside(plan))
    return Difference(
        cycle=recorded.cycle,
        line=line,
        now_ns=recorded.now_ns,
        workload=workload,
        recorded=apart[0],
        recomputed=apart[1],
    )


def _by_workload(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return what a plan says about each workload, one sentence a pod."""
    said: dict[str, tuple[str, ...]] = {
        each.workload: (f"waits ({each.code})",) for each in plan.waits
    }
    for start in plan.starts:
        pods = (
            f"{one.pod} on {one.node}"
            + ("" if one.devices is None else f", devices {', '.join(map(str, one.devices))}")
            for one in start.assignments
        )
        said[start.workload] = (*pods, *said.get(start.workload, ()))
    for evict in plan.evicts:
        said[evict.workload] = (*said.get(evict.workload, ()), f"evicts {evict.victim}")
    for hold in plan.holds:
        said[hold.workload] = (*said.get(hold.workload, ()), f"holds until {hold.until_ns} ns")
    return said


def _beside(plan: Plan) -> tuple[str, ...]:
    """Return what a plan says beside what becomes of each workload: its order, and the ledger."""
    order = [each.workload for each in plan.starts] + [each.workload for each in plan.waits]
    changes = (f"the ledger: {type(each).__name__} {each.entry}" for each in plan.changes)
    return (*(f"in this place {workload}" for workload in order), *changes)


def _first_apart(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, str]:
    """Return the first thing that is said differently, in both versions."""
    pairs = zip_longest(before, after, fillvalue="nothing")
    return next(pair for pair in pairs if pair[0] != pair[1])


# -- lines


def _head(line: bytes, name: str) -> Head:
    try:
        version = msgspec.json.decode(line, type=_Version).format
    except msgspec.MsgspecError:
        raise RecordError(
            name, 1, "not a record of gpuyard; write one with gpuyard replay --keep-record FILE"
        ) from None
    if version not in READERS:
        raise RecordError(
            name,
            1,
            f"the record's form is {version!r} and this gpuyard reads {', '.join(READERS)}; "
            "use the gpuyard that wrote it, or a newer one",
        )
    return READERS[version](line, name)


class _Version(msgspec.Struct):
    format: str


def _head_1(line: bytes, name: str) -> Head:
    try:
        return msgspec.json.decode(line, type=Head)
    except msgspec.MsgspecError as error:
        raise RecordError(name, 1, _damage(error)) from None


READERS: Mapping[str, Callable[[bytes, str], Head]] = {FORMAT: _head_1}


def _cycles(lines: Iterator[bytes], name: str) -> Iterator[tuple[int, RecordedCycle]]:
    decode = msgspec.json.Decoder(RecordedCycle | End).decode
    count, number = 0, 1
    for number, line in enumerate(lines, start=2):
        try:
            decoded = decode(line)
        except msgspec.MsgspecError as error:
            raise RecordError(name, number, _damage(error)) from None
        if isinstance(decoded, End):
            if decoded.cycles != count:
                raise RecordError(
                    name, number, f"{count} cycles came before the end, not {decoded.cycles}"
                )
            if next(lines, None) is not None:
                raise RecordError(name, number + 1, "the record goes on after its end")
            return
        count += 1
        if decoded.cycle != count:
            raise RecordError(
                name,
                number,
                f"cycle {decoded.cycle} stands where {count} should; lines are missing",
            )
        yield number, decoded
    raise RecordError(name, number, f"the record was cut after cycle {count}; take a whole one")


def _damage(error: Exception) -> str:
    return f"the line is damaged ({error}); take the record as it was written"


def _contradiction(error: Exception) -> str:
    about = error if isinstance(error, SnapshotError) else f"nothing is known of {error}"
    return f"the line contradicts those before it ({about}); take the record as it was written"
