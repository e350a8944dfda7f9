"""Whether an eviction is still allowed: once per workload and window, and so much in all.

A workload that is evicted twice in a row did nothing but start. And a cycle that evicts, starts,
and evicts again is worse than one that does nothing, whatever each single step was worth. So each
eviction is remembered for as long as a window reaches back to it, and the next one is asked about
first: `binding_limit` names the limit that says no. Nor does anybody evict for whom it was evicted,
directly or by others in between (`gave_way`).

The brake counts devices (thousandths, as requests do) and the device time that was thrown away,
over all workloads. A ledger that has no room for one more eviction says no as well: it could not
count it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from gpuyard.model.ledger import Eviction, EvictionRules
from gpuyard.model.reasons import Constraint
from gpuyard.scheduling.ledger import Ledger


def eviction(
    workload: str,
    *,
    made_way_for: str,
    device_milli: int,
    lost_ns: int,
    now_ns: int,
    rules: EvictionRules,
) -> Eviction:
    """Return the entry for an eviction now."""
    window_ns = max(rules.per_workload_window_ns, rules.brake_window_ns, rules.order_window_ns)
    return Eviction(
        workload=workload,
        made_way_for=made_way_for,
        at_ns=now_ns,
        device_milli=device_milli,
        lost_ns=lost_ns,
        counts_until_ns=now_ns + window_ns,
    )


def evicted_often(ledger: Ledger, now_ns: int, rules: EvictionRules) -> frozenset[str]:
    """Return who may not be evicted again yet."""
    lately = _within(ledger.of(Eviction).values(), now_ns, rules.per_workload_window_ns)
    counts = Counter(each.workload for each in lately)
    return frozenset(key for key, count in counts.items() if count >= rules.per_workload_max)


def gave_way(ledger: Ledger, now_ns: int, rules: EvictionRules) -> dict[str, set[str]]:
    """Return for whom each workload was evicted, as far as that is remembered."""
    found: dict[str, set[str]] = {}
    for each in _within(ledger.of(Eviction).values(), now_ns, rules.order_window_ns):
        found.setdefault(each.workload, set()).add(each.made_way_for)
    return found


def binding_limit(
    ledger: Ledger, asked: Sequence[Eviction], rules: EvictionRules
) -> Constraint | None:
    """Return what forbids the evictions `asked`, all of them together; `None`: they may be.

    `have` is what the limit leaves; the instant is that of the evictions asked about.
    """
    if not asked:
        return None
    now_ns = max(each.at_ns for each in asked)
    known = ledger.of(Eviction)
    for workload in sorted({each.workload for each in asked}):
        same = [each for each in (*known.values(), *asked) if each.workload == workload]
        counted = _within(same, now_ns, rules.per_workload_window_ns)
        wanted = sum(each.workload == workload for each in asked)
        if len(counted) > rules.per_workload_max:
            left = rules.per_workload_max - (len(counted) - wanted)
            return _over("evictions of one workload in its window", wanted, left, workload)
    if len(asked) > ledger.room(Eviction):
        return _over("evictions that the ledger can count", len(asked), ledger.room(Eviction), "")
    past = _within(known.values(), now_ns, rules.brake_window_ns)
    return _brake(
        "devices evicted in the window (thousandths)",
        sum(each.device_milli for each in asked),
        sum(each.device_milli for each in past),
        rules.brake_device_milli_max,
    ) or _brake(
        "device time lost in the window (thousandths, ns)",
        sum(each.device_milli * each.lost_ns for each in asked),
        sum(each.device_milli * each.lost_ns for each in past),
        rules.brake_lost_device_milli_ns_max,
    )


def in_a_circle(asked: Eviction) -> Constraint:
    """Return what forbids the eviction of somebody for whom the workload itself made way."""
    return _over("evictions of whom it made way for", 1, 0, asked.workload)


def _within(entries: Iterable[Eviction], now_ns: int, window_ns: int) -> list[Eviction]:
    """Return those that lie less than `window_ns` back."""
    return [each for each in entries if now_ns - each.at_ns < window_ns]


def _brake(name: str, needed: int, spent: int, limit: int | None) -> Constraint | None:
    if limit is None or spent + needed <= limit:
        return None
    return _over(name, needed, limit - spent, "")


def _over(name: str, needed: int, have: int, workload: str) -> Constraint:
    return Constraint(
        name=name, needed=needed, have=max(0, have), where=workload or "all workloads"
    )
