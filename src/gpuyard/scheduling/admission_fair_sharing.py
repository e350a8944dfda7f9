"""Whose turn it is in a ClusterQueue that shares by usage: who has used less lately goes first.

Each LocalQueue has *consumed* an amount of every resource, which follows what it holds now:

    consumed ← (1 - a) · consumed + a · usage        a = 1 - 0.5 ** (elapsed / half life)

Between two samples a queue would look idle however much it is given, so each admission costs an
*entry penalty* at once: ``a · request``, for the time of one sampling interval. It is pending from
the moment when quota is reserved, counts as if consumed, and is folded into what is consumed when
the workload is admitted (`settled`), or dropped when it never will be. The order is by the sum of
weight times amount over all resources, divided by the weight of the LocalQueue. A weight of 0 means
last.

Amounts are whole billionths and are rounded down after each multiplication, as Kueue rounds them:
what decays ends at zero, and what is below a thousandth still adds up. The factor is a 64-bit float
written in its shortest decimal form. Sums are compared as exact fractions, where Kueue compares
floats: only amounts that differ by less than a float can hold are told apart here and not there.

Semantics: Kueue v0.19.2, pkg/util/admissionfairsharing, pkg/cache/queue/afs, pkg/util/resource
(MulByFloat), pkg/controller/core/localqueue_controller.go (reconcileConsumedUsage),
pkg/controller/core/workload_controller.go (settlement), pkg/scheduler/scheduler.go.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from gpuyard.model.admission_fair_sharing import AdmissionFairSharing, AdmissionMode
from gpuyard.model.ledger import (
    Account,
    AmountsNano,
    DecayedUsage,
    EntryPenalty,
    Forgotten,
    LedgerChange,
    Recorded,
)
from gpuyard.model.quantity import NANO_PER_MILLI, NANO_PER_UNIT
from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.model.resources import CPU, Resources
from gpuyard.scheduling.ledger import Ledger

UsageShare = tuple[bool, Fraction]

NOTHING_NANO: AmountsNano = ()
NO_SHARE: UsageShare = (False, Fraction(0))
LAST: UsageShare = (True, Fraction(0))


# -- the order


def share(amounts_nano: AmountsNano, weight_nano: int, knobs: AdmissionFairSharing) -> UsageShare:
    """Return a sort key for a LocalQueue of that weight: the smallest goes first."""
    if weight_nano <= 0:
        return LAST
    weights = dict(knobs.resource_weights_nano)
    weighed = sum(
        weights.get(name, WEIGHT_ONE_NANO) * amount_nano for name, amount_nano in amounts_nano
    )
    return False, Fraction(weighed, weight_nano * NANO_PER_UNIT)


def shares(
    ledger: Ledger, weights_nano: Mapping[Account, int], knobs: AdmissionFairSharing
) -> dict[Account, UsageShare]:
    """Return the sort key of every account in `weights_nano`, pending penalties included."""
    pending = pending_penalties(ledger)
    keys = {}
    for account, weight_nano in weights_nano.items():
        usage = ledger.get(DecayedUsage, account)
        consumed = usage.amounts_nano if usage else NOTHING_NANO
        keys[account] = share(_sum(consumed, pending.get(account, ())), weight_nano, knobs)
    return keys


def pending_penalties(ledger: Ledger) -> dict[Account, AmountsNano]:
    """Return what each account is charged and has not consumed yet."""
    pending: dict[Account, AmountsNano] = {}
    for penalty in ledger.of(EntryPenalty).values():
        before = pending.get(penalty.account, NOTHING_NANO)
        pending[penalty.account] = _sum(before, penalty.amounts_nano)
    return pending


# -- what is charged


def owes_entry_penalty(
    knobs: AdmissionFairSharing | None, mode: AdmissionMode, *, holds_quota: bool
) -> bool:
    """Tell whether a workload that is given quota now is charged for it.

    Who holds quota already is only placed anew. Elsewhere nobody would ever settle.
    """
    return knobs is not None and mode == "UsageBasedAdmissionFairSharing" and not holds_quota


def entry_penalty(requests: Resources, knobs: AdmissionFairSharing) -> AmountsNano:
    """Return what the admission of so much costs."""
    rate = _rate(knobs.sampling_interval_ns, knobs.half_life_ns)
    return _scaled(in_nano(requests), rate)


def in_nano(amounts: Resources) -> AmountsNano:
    """Return amounts in billionths of a core, byte or piece."""
    return tuple(
        (name, amount * (NANO_PER_MILLI if name == CPU else NANO_PER_UNIT))
        for name, amount in amounts.amounts
    )


def decayed(
    consumed: AmountsNano, usage: AmountsNano, *, elapsed_ns: int, half_life_ns: int
) -> AmountsNano:
    """Return what is consumed after `usage` was held for `elapsed_ns`."""
    rate = _rate(max(0, elapsed_ns), half_life_ns)
    return _sum(_scaled(consumed, 1.0 - rate), _scaled(usage, rate))


# -- what becomes of the ledger


def pushed(
    ledger: Ledger,
    account: Account,
    workload: str,
    penalty: AmountsNano,
    *,
    now_ns: int,
    half_life_ns: int,
) -> tuple[LedgerChange, ...]:
    """Charge `account` for `workload`, in the place of what it was charged before.

    The first charge of an account starts the clock by which its usage decays.
    """
    charge = EntryPenalty(
        account=account, workload=workload, amounts_nano=penalty, pushed_ns=now_ns
    )
    if ledger.get(DecayedUsage, account):
        return (Recorded(charge),)
    return Recorded(_unused(account, now_ns, half_life_ns)), Recorded(charge)


def dropped(ledger: Ledger, account: Account, workload: str) -> tuple[LedgerChange, ...]:
    """Take back the charge for a workload that was not admitted after all."""
    charge = ledger.get(EntryPenalty, (account, workload))
    return (Forgotten(charge),) if charge else ()


def settled(
    ledger: Ledger,
    account: Account,
    workload: str,
    usage: AmountsNano,
    *,
    now_ns: int,
    half_life_ns: int,
) -> tuple[LedgerChange, ...]:
    """Fold the charge for `workload` into what `account` consumed; it holds `usage` now."""
    charge = ledger.get(EntryPenalty, (account, workload))
    before = ledger.get(DecayedUsage, account) or _unused(account, now_ns, half_life_ns)
    after = _sampled(before, usage, now_ns, half_life_ns)
    if charge is None:
        return (Recorded(after),)
    folded = DecayedUsage(
        account=account,
        amounts_nano=_sum(after.amounts_nano, charge.amounts_nano),
        sampled_ns=after.sampled_ns,
        half_life_ns=half_life_ns,
    )
    return Recorded(folded), Forgotten(charge)


def sampled(
    ledger: Ledger, account: Account, usage: AmountsNano, *, now_ns: int, half_life_ns: int
) -> tuple[LedgerChange, ...]:
    """Note that `account` held `usage` since the last sample.

    The first sample starts the clock and counts nothing: what runs was charged when it started. A
    half-life of 0 forgets everything.
    """
    before = ledger.get(DecayedUsage, account)
    if before is None or half_life_ns == 0:
        return (Recorded(_unused(account, now_ns, half_life_ns)),)
    return (Recorded(_sampled(before, usage, now_ns, half_life_ns)),)


def _unused(account: Account, now_ns: int, half_life_ns: int) -> DecayedUsage:
    return DecayedUsage(
        account=account, amounts_nano=NOTHING_NANO, sampled_ns=now_ns, half_life_ns=half_life_ns
    )


def _sampled(
    before: DecayedUsage, usage: AmountsNano, now_ns: int, half_life_ns: int
) -> DecayedUsage:
    """Return the usage at `now_ns`; a clock that went back is a clock that stood still."""
    elapsed_ns = now_ns - before.sampled_ns
    return DecayedUsage(
        account=before.account,
        amounts_nano=decayed(
            before.amounts_nano, usage, elapsed_ns=elapsed_ns, half_life_ns=half_life_ns
        ),
        sampled_ns=max(now_ns, before.sampled_ns),
        half_life_ns=half_life_ns,
    )


# -- arithmetic


def _rate(elapsed_ns: int, half_life_ns: int) -> float:
    """Return how much of the old is replaced by the new; with a half-life of 0 nothing is."""
    if half_life_ns == 0:
        return 0.0
    rate: float = 1.0 - 0.5 ** (_seconds(elapsed_ns) / _seconds(half_life_ns))
    return rate


def _seconds(duration_ns: int) -> float:
    """Return a duration as Go's Duration.Seconds() does, to the last bit."""
    return duration_ns // NANO_PER_UNIT + duration_ns % NANO_PER_UNIT / 1e9


def _scaled(amounts_nano: AmountsNano, factor: float) -> AmountsNano:
    """Return each amount times `factor` as it is written in decimal, rounded down."""
    numerator, denominator = Decimal(repr(factor)).as_integer_ratio()
    return tuple((name, amount * numerator // denominator) for name, amount in amounts_nano)


def _sum(left: AmountsNano, right: AmountsNano) -> AmountsNano:
    total = dict(left)
    for name, amount in right:
        total[name] = total.get(name, 0) + amount
    return tuple(sorted(total.items()))
