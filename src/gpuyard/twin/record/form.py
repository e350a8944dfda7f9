"""The lines of a record, and reading them.

Version 1 knew placement alone: its head holds what is `Policy.placement` now.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from gpuyard.model.deltas import YardDelta
from gpuyard.model.nodes import Pool
from gpuyard.model.plan import Plan
from gpuyard.model.policy import PlacementPolicy
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.policy import Policy

FORMAT = "gpuyard-record/2"
FORMAT_1 = "gpuyard-record/1"


class RecordError(ValueError):
    """A record that cannot be used: which line, what is wrong, what to do, in one sentence."""

    def __init__(self, name: str, line: int, sentence: str) -> None:
        """Blame `line` of the file `name`."""
        super().__init__(f"{name}:{line}: {sentence}")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole run; `policy_name` and `trace` are for people.

    `queued`: workloads wait in queues, and each cycle is a pass over these (`scheduling.yard`).
    """

    format: str = FORMAT
    policy_name: str = ""
    trace: str = ""
    seed: int
    policy: Policy
    queued: bool = False
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
    deltas: tuple[YardDelta, ...] = ()
    workloads: tuple[Workload, ...] = ()
    asked: tuple[Asked, ...] = ()
    ruled_out: tuple[str, ...] = ()
    plan: Plan


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """The record is whole."""

    cycles: int


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
    try:
        return READERS[version](line)
    except msgspec.MsgspecError as error:
        raise RecordError(name, 1, _damage(error)) from None


class _Version(msgspec.Struct):
    format: str


class _Head1(msgspec.Struct, kw_only=True):
    """The head of version 1."""

    policy_name: str = ""
    trace: str = ""
    seed: int
    policy: PlacementPolicy
    pools: dict[str, Pool] = {}


def _read_1(line: bytes) -> Head:
    head = msgspec.json.decode(line, type=_Head1)
    return Head(
        policy_name=head.policy_name,
        trace=head.trace,
        seed=head.seed,
        policy=Policy(placement=head.policy),
        pools=head.pools,
    )


def _read_2(line: bytes) -> Head:
    return msgspec.json.decode(line, type=Head)


READERS: Mapping[str, Callable[[bytes], Head]] = {FORMAT_1: _read_1, FORMAT: _read_2}


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
