"""The ledger: entries of each kind by key, and what stands after some changes.

A `Ledger` is a value. A cycle is handed one and cannot alter it; it collects changes, asks
`after(changes)` where a later choice must see an earlier one, and returns the changes in its plan.
So a trial needs no undo, the record of a run may hold the ledger itself, and a replay is a fold. A
store that is changed in place would save the copy of the kinds that a batch touches; each is
bounded (`gpuyard.model.ledger.KINDS`) and a batch copies it once, so there is little to save.

At the limit of a kind either the oldest entry is forgotten, or the new one is refused: room that
was freed and not held, or an eviction that nobody counted, would break a promise. Ask `room` first.

That an entry has ended is asked with the time in hand, here and by every reader; `expired` only
returns the changes that sweep up.
"""

import heapq
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

from gpuyard.model.ledger import (
    KINDS,
    DecayedUsage,
    Forgotten,
    LedgerChange,
    LedgerEntry,
    Recorded,
    UsageRow,
)

E = TypeVar("E", bound=LedgerEntry)


class LedgerFullError(RuntimeError):
    """A kind that refuses at its limit was at its limit; nothing was changed."""


class Ledger:
    """Everything that only we know, at one instant. Never changes."""

    __slots__ = ("_by_kind",)

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        """Hold `entries`; of two with one key the later stands. Raises LedgerFullError."""
        self._by_kind = _changed({}, map(Recorded, entries))

    def after(self, changes: Iterable[LedgerChange]) -> "Ledger":
        """Return the ledger in which `changes` were made, in their order.

        To forget what does not stand is no change. Raises LedgerFullError.
        """
        ledger = Ledger()
        ledger._by_kind = _changed(self._by_kind, changes)
        return ledger

    def of(self, kind: type[E]) -> Mapping[Hashable, E]:
        """Return the entries of a kind by key."""
        return self._by_kind.get(kind, {})

    def get(self, kind: type[E], key: Hashable) -> E | None:
        """Return the entry of that kind and key."""
        return self.of(kind).get(key)

    def room(self, kind: type[LedgerEntry]) -> int:
        """Return how many more entries of a kind there may be."""
        return KINDS[kind].limit - len(self.of(kind))

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return every entry, in an order that does not depend on history."""
        return tuple(
            by_key[key]
            for kind in KINDS
            if (by_key := self._by_kind.get(kind, {}))
            for key in sorted(by_key, key=repr)
        )

    def expired(self, now_ns: int) -> tuple[Forgotten, ...]:
        """Return the changes that forget what has ended."""
        return tuple(
            Forgotten(entry)
            for entry in self.entries()
            if entry.ends_ns is not None and entry.ends_ns <= now_ns
        )

    def rows(self) -> tuple[UsageRow, ...]:
        """Return who has used what lately, by account and resource."""
        usage = sorted(self.of(DecayedUsage).values(), key=lambda entry: entry.account)
        return tuple(
            UsageRow(
                account=entry.account,
                resource=resource,
                amount_nano=amount_nano,
                half_life_ns=entry.half_life_ns,
                since_ns=entry.sampled_ns,
            )
            for entry in usage
            for resource, amount_nano in entry.amounts_nano
        )

    def validate(self) -> None:
        """Assert what must always hold."""
        for kind, by_key in self._by_kind.items():
            assert len(by_key) <= KINDS[kind].limit, f"too many of {kind.__name__}"
            for key, entry in by_key.items():
                assert type(entry) is kind, f"{entry} is kept as {kind.__name__}"
                assert entry.key == key, f"{entry} is kept under {key}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ledger):
            return NotImplemented
        return self._by_kind == other._by_kind

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up

    def __repr__(self) -> str:
        return f"Ledger({list(self.entries())})"


# By kind, then by key. A kind holds entries of that kind only, which the type cannot say.
_ByKind = Mapping[type[Any], Mapping[Hashable, Any]]


def _changed(before: _ByKind, changes: Iterable[LedgerChange]) -> _ByKind:
    """Return `before` with `changes`; kinds without a change are shared, not copied."""
    touched: dict[type[Any], dict[Hashable, Any]] = {}
    for change in changes:
        kind: type[Any] = type(change.entry)
        key: Hashable = change.entry.key
        if kind not in touched:
            touched[kind] = dict(before.get(kind, {}))
        if isinstance(change, Forgotten):
            touched[kind].pop(key, None)
        elif key in touched[kind] or _has_room(kind, len(touched[kind])):
            touched[kind][key] = change.entry
    for kind, by_key in touched.items():
        beyond = len(by_key) - KINDS[kind].limit
        oldest = heapq.nsmallest(beyond, by_key, key=lambda key: (by_key[key].age_ns, repr(key)))
        for forgotten in oldest:
            del by_key[forgotten]
    merged = {**before, **touched}
    return {kind: merged[kind] for kind in KINDS if merged.get(kind)}


def _has_room(kind: type[LedgerEntry], count: int) -> bool:
    """Tell whether one more may be recorded. Raises LedgerFullError where that is refused."""
    about = KINDS[kind]
    if about.at_limit == "refused" and count >= about.limit:
        raise LedgerFullError(
            f"the ledger holds {count} entries of {kind.__name__}, its limit; ask for room first"
        )
    return True
