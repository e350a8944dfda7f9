"""Admission fair sharing: charges in the ledger, and whose turn it is by decayed usage."""

import re

from gpuyard.dialects import kueue
from gpuyard.model.admission_fair_sharing import AdmissionFairSharing, AdmissionMode
from gpuyard.model.ledger import Account, AmountsNano, DecayedUsage
from gpuyard.model.quantity import NANO_PER_MILLI, parse_nano, round_up
from gpuyard.model.workloads import Workload
from gpuyard.scheduling import admission_fair_sharing as afs
from gpuyard.scheduling.ledger import Ledger
from verification.oracles.kueue.kinds import TRUTH
from verification.oracles.rows import Answers, Json, Kind, Row, Test

QUEUE = Account("queue", "ns/lq")
UNIT_NS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6}
MODES: dict[str, AdmissionMode] = {
    "UsageBasedAdmissionFairSharing": "UsageBasedAdmissionFairSharing",
    "NoAdmissionFairSharing": "NoAdmissionFairSharing",
    "": "NoAdmissionFairSharing",
}


def pending_penalty(row: Row) -> Answers:
    """Answer with what is pending after charges came and were taken back.

    An amount counts in thousandths, rounded up, as Quantity.MilliValue does; the source's test
    looks at no other resources than those it names, and zero is the same as missing.
    """
    ledger = Ledger()
    for step in row.case["ops"]:
        if step.get("push"):
            charge = _nano(step["push"])
            changes = afs.pushed(ledger, QUEUE, step["wl"], charge, now_ns=0, half_life_ns=1)
        else:
            changes = afs.dropped(ledger, QUEUE, step["wl"])
        ledger = ledger.after(changes)
    pending = dict(afs.pending_penalties(ledger).get(QUEUE, ()))
    milli = {name: round_up(amount, NANO_PER_MILLI) for name, amount in pending.items() if amount}
    return {"wantHas": bool(milli), "wantMilli": milli}


def owes_entry_penalty(row: Row) -> Answers:
    """Answer whether a workload is charged when it gets quota."""
    held = kueue.admitted(row.case["wl"])
    owes = afs.owes_entry_penalty(
        knobs_of(row.case["afsConfig"]),
        MODES[row.case["admissionMode"]],
        holds_quota=held is not None and held.reserved_ns is not None,
    )
    return {"want": owes}


def head(row: Row) -> Answers:
    """Answer with the workload whose turn it is in one ClusterQueue."""
    knobs = knobs_of(row.case["afsConfig"])
    scope = row.case["cq"]["spec"].get("admissionScope") or {}
    consumed = {
        Account("queue", name): _nano(amounts)
        for name, amounts in (row.case["initConsumedResources"] or {}).items()
    }
    ledger = Ledger(
        DecayedUsage(account=account, amounts_nano=amounts, sampled_ns=0, half_life_ns=0)
        for account, amounts in consumed.items()
    )
    weights = {}
    for source in row.case["lqs"]:
        queue = kueue.local_queue(source)
        weights[Account("queue", f"{queue.namespace}/{queue.name}")] = queue.fair_weight_nano
    shares = {}
    if knobs and MODES[scope.get("admissionMode", "")] == "UsageBasedAdmissionFairSharing":
        shares = afs.shares(ledger, weights, knobs)

    def turn(workload: Workload) -> tuple[afs.UsageShare, int, int]:
        share = shares.get(Account("queue", workload.queue), afs.NO_SHARE)
        return share, -workload.priority, workload.created_ns

    first = min(map(kueue.workload, row.case["wls"]), key=turn)
    return {"wantWl": first.key}


def knobs_of(given: Json) -> AdmissionFairSharing | None:
    """Return the knobs of a configuration, `None` where there is none."""
    if given is None:
        return None
    weights = (given.get("resourceWeights") or {}).items()
    return AdmissionFairSharing(
        half_life_ns=_duration_ns(given["usageHalfLifeTime"]),
        sampling_interval_ns=_duration_ns(given["usageSamplingInterval"]),
        resource_weights_nano=tuple((name, parse_nano(weight)) for name, weight in weights),
    )


def _duration_ns(text: str) -> int:
    """Return a duration as Go writes it: ``1h30m0s``."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", text)
    return sum(int(float(number) * UNIT_NS[unit]) for number, unit in parts)


def _nano(amounts: Json) -> AmountsNano:
    return tuple(sorted((name, parse_nano(amount)) for name, amount in amounts.items()))


def _read_milli(wanted: Json) -> dict[str, int]:
    return {name: amount for name, amount in (wanted or {}).items() if amount}


def _read_key(wanted: Json) -> str:
    return f"{wanted['metadata']['namespace']}/{wanted['metadata']['name']}"


MILLI = Kind(_read_milli, {"altered": 1})
# Of the workload that is first only its key is compared; the rest is the input again.
WORKLOAD = Kind(_read_key, {}, frozenset({"spec", "status", "creationTimestamp"}))

TESTS = {
    ("kueue_queue", "TestPenaltyBookkeepingIsIdempotentAndExact"): Test(
        pending_penalty,
        inputs=frozenset({"ops"}),
        outputs={"wantHas": TRUTH, "wantMilli": MILLI},
    ),
    ("kueue_schedule_afs", "TestShouldApplyEntryPenalty"): Test(
        owes_entry_penalty,
        inputs=frozenset({"admissionMode", "afsConfig", "wl"}),
        outputs={"want": TRUTH},
    ),
    ("kueue_queue", "TestFsAdmission"): Test(
        head,
        inputs=frozenset({"afsConfig", "cq", "initConsumedResources", "lqs", "wls"}),
        outputs={"wantWl": WORKLOAD},
    ),
}
