"""What nobody may take: blind and cordoned nodes, and room that the ledger keeps for somebody.

A promise names pods and a node or a domain, not devices. So much of what is idle there belongs to
it as its pods would take: whole nodes first by rank, devices with enough left before others. What
its victims have not given up yet is not idle, and not counted.

`occupy` binds stand-ins for all of it in the caller's trial, so that every rule that is asked later
(filters, room, landing) sees only what is left, without a second opinion on what may be used.
"""

from collections.abc import Iterator

import numpy as np

from gpuyard.model.constraints import Constraints
from gpuyard.model.deltas import PodBound
from gpuyard.model.idle import IdleRules
from gpuyard.model.ledger import Hold, Reservation, Room
from gpuyard.model.resources import NOTHING, PODS, Resources
from gpuyard.model.topology import HOSTNAME
from gpuyard.model.workloads import (
    WHOLE_DEVICE_MILLI,
    Assignment,
    DeviceRequest,
    PodTemplate,
    Request,
)
from gpuyard.scheduling.feasibility import node_affinity
from gpuyard.scheduling.feasibility.devices import allowed
from gpuyard.scheduling.fleet import BoolArray, IntArray
from gpuyard.scheduling.idle.lots import Lots, contradicts_itself
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.snapshot import Snapshot

Promise = Hold | Reservation
SOURCES = ("nodes", "pods")
NOBODYS = Request()


def is_blind(snapshot: Snapshot, lots: Lots, rules: IdleRules, now_ns: int) -> BoolArray:
    """Tell for each slot whether what is known of it cannot be trusted."""
    size = snapshot.fleet.size
    if rules.stale_after_ns is not None:
        oldest_ns = now_ns - rules.stale_after_ns
        ages = [snapshot.observed_ns.get(source) for source in SOURCES]
        if any(at_ns is None or at_ns < oldest_ns for at_ns in ages):
            return np.ones(size, dtype=np.bool_)
    blind = contradicts_itself(snapshot, lots)
    for slot, node in snapshot.nodes.items():
        blind[slot] |= not node.ready
    return blind


def is_cordoned(snapshot: Snapshot) -> BoolArray:
    """Tell for each slot whether its node takes no pods."""
    cordoned = np.zeros(snapshot.fleet.size, dtype=np.bool_)
    for slot, node in snapshot.nodes.items():
        cordoned[slot] = node.unschedulable
    return cordoned


def promises(ledger: Ledger, kind: type[Promise], now_ns: int) -> list[Promise]:
    """Return the promises that stand, the oldest first."""
    standing = [each for each in ledger.of(kind).values() if each.until_ns > now_ns]
    return sorted(standing, key=lambda each: (_since_ns(each), each.workload))


def _since_ns(promise: Promise) -> int:
    return promise.since_ns if isinstance(promise, Hold) else promise.from_ns


def taken(
    snapshot: Snapshot, queues: Queues, room: Room, lots: Lots, left: IntArray
) -> tuple[IntArray, IntArray]:
    """Return what `room` keeps of `left`: slots by rank, and by slot thousandths of each lot."""
    slots = _slots(snapshot, queues, room)
    order = slots[np.argsort(snapshot.fleet.order[slots])]
    pieces = _pieces(snapshot, room, lots, left[order])
    devices = _devices(snapshot, room, lots, left[order], order)
    return order, np.concatenate([devices, pieces], axis=1)


def _slots(snapshot: Snapshot, queues: Queues, room: Room) -> IntArray:
    """Return the nodes that a room means."""
    if room.node:
        slot = snapshot.slot_of.get(room.node)
        return np.array([] if slot is None else [slot], dtype=np.int64)
    slots = np.flatnonzero(snapshot.fleet.present)
    if not room.domain:
        return slots
    found = np.zeros(len(slots), dtype=np.bool_)
    for levels in _ways_to_read(queues):
        if len(levels) >= len(room.domain):
            labels = tuple(sorted(zip(levels, room.domain, strict=False)))
            found |= node_affinity.suits(snapshot, Constraints(node_selector=labels), slots)
    return slots[found]


def _ways_to_read(queues: Queues) -> Iterator[tuple[str, ...]]:
    """Yield the labels for which the values of a domain may stand: those of each topology."""
    yield (HOSTNAME,)
    yield from dict.fromkeys(capacity.tree.levels for capacity in queues.places.values())


def _pieces(snapshot: Snapshot, room: Room, lots: Lots, left: IntArray) -> IntArray:
    """Return what is kept on nodes that count their devices, [row, device resource]."""
    there = left[:, lots.devices :]
    asked = [room.request.resources.get(name) for name in _names(snapshot, lots)]
    wanted = room.count * np.array(asked, dtype=np.int64) * WHOLE_DEVICE_MILLI
    before = np.cumsum(there, axis=0) - there
    kept: IntArray = np.clip(wanted - before, 0, there)
    return kept


def _devices(
    snapshot: Snapshot, room: Room, lots: Lots, left: IntArray, slots: IntArray
) -> IntArray:
    """Return what is kept on nodes that know their devices, [row, device]."""
    kept = np.zeros((len(left), lots.devices), dtype=np.int64)
    asked = room.request.devices
    if asked is None:
        return kept
    may = allowed(snapshot, asked, slots) & ~lots.is_counted[slots, None]
    there = np.where(may, np.minimum(left[:, : lots.devices], asked.milli), 0).ravel()
    whole_first = np.argsort(there < asked.milli, kind="stable")
    chosen = whole_first[there[whole_first] > 0][: room.count * asked.count]
    kept.ravel()[chosen] = there[chosen]
    return kept


def _names(snapshot: Snapshot, lots: Lots) -> list[str]:
    """Return the device resources that lots stand for, in their order."""
    names = list(snapshot.fleet.resources)
    return [names[column] for column in lots.columns.tolist()]


def occupy(
    snapshot: Snapshot, lots: Lots, slots: IntArray, kept: IntArray, request: Request = NOBODYS
) -> None:
    """Bind stand-ins that take `kept` on `slots`; the caller's trial undoes it.

    What pods of `request` take beside their devices goes with them, as far as it is free.
    """
    for row in np.flatnonzero(kept.any(axis=1)).tolist():
        slot = int(slots[row])
        beside = _beside(snapshot, lots, slot, request, int(kept[row].sum()))
        devices = kept[row, : lots.devices]
        for amount in np.unique(devices[devices > 0]).tolist():
            which = tuple(np.flatnonzero(devices == amount).tolist())
            asked = DeviceRequest(count=len(which), milli=amount)
            _stand_in(snapshot, slot, Request(resources=beside, devices=asked), which)
            beside = NOTHING
        _occupy_pieces(snapshot, slot, lots, kept[row, lots.devices :], beside)


def _occupy_pieces(
    snapshot: Snapshot, slot: int, lots: Lots, kept: IntArray, beside: Resources
) -> None:
    counts = -(-kept // WHOLE_DEVICE_MILLI)
    if not counts.any():
        return
    pieces = dict(zip(_names(snapshot, lots), counts.tolist(), strict=True))
    there = len(snapshot.nodes[slot].devices)
    devices = DeviceRequest(count=min(there, int(counts.sum()))) if there else None
    amounts = Resources.of({**beside.as_dict(), **pieces})
    _stand_in(snapshot, slot, Request(resources=amounts, devices=devices), None)


def _beside(snapshot: Snapshot, lots: Lots, slot: int, request: Request, milli: int) -> Resources:
    """Return what pods of `request` that hold so many thousandths on a node take beside them."""
    counted = set(_names(snapshot, lots))
    pieces = sum(amount for name, amount in request.resources.amounts if name in counted)
    per_pod = request.devices.total_milli if request.devices else pieces * WHOLE_DEVICE_MILLI
    pods = -(-milli // per_pod) if per_pod else 0
    free, columns = snapshot.fleet.free[slot], snapshot.fleet.resources
    return Resources.of(
        {
            name: max(0, min(pods * amount, int(free[columns[name]])))
            for name, amount in request.resources.amounts
            if name in columns and name not in {PODS, *counted}
        }
    )


def _stand_in(
    snapshot: Snapshot, slot: int, request: Request, devices: tuple[int, ...] | None
) -> None:
    name = snapshot.nodes[slot].name
    pod = f"{name}/kept/{len(snapshot.bookings)}"
    template = PodTemplate(request=request)
    snapshot.apply(PodBound(Assignment(pod=pod, template=template, node=name, devices=devices)))
