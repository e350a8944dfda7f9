"""What only we know: holds, reservations, back-off, evictions, decayed usage, estimates, refusals.

None of this can be seen by looking at nodes and pods, so each kind of entry has a *home*, the place
where it survives a crash, a limit, and a sentence on what is lost with it. `KINDS` says all three
as data: the reference prints it, tests hold it.

A change to the ledger is a state, not an event: `Recorded` puts an entry in the place of the one
with the same key, `Forgotten` takes it away. To apply a change twice is to apply it once, and each
change is one write to one home. What the new entry is (a longer delay, a decayed amount) is worked
out before, by a pure function that reads the old one.

Amounts of usage are whole billionths of a core, byte or piece: the step to which Kueue rounds them.
"""

from collections.abc import Hashable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from gpuyard.model.workloads import Request

AmountsNano: TypeAlias = tuple[tuple[str, int], ...]  # by resource, sorted
AtLimit = Literal["refused", "oldest forgotten"]

NEVER_NS = 2**63 - 1


class Account(NamedTuple):
    """Whose usage is counted: a LocalQueue (``namespace/name``) or a user."""

    kind: Literal["queue", "user"]
    name: str


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Capacity for `count` pods that ask for `request`: on `node`, or anywhere in a domain.

    A domain is named by its label values from the widest level on.
    """

    request: Request
    count: int
    node: str = ""
    domain: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all entries can say of themselves."""

    @property
    def key(self) -> Hashable:
        """What at most one entry of its kind has."""
        raise NotImplementedError

    @property
    def ends_ns(self) -> int | None:
        """The instant from which the entry says nothing; `None`: until it is forgotten."""
        return None

    @property
    def age_ns(self) -> int:
        """An instant; at the limit of its kind the entry with the smallest goes first."""
        return NEVER_NS


class Hold(Entry, frozen=True, kw_only=True):
    """Room that was made for `workload` and that nobody else gets until `until_ns`."""

    workload: str
    rooms: tuple[Room, ...]
    since_ns: int
    until_ns: int

    @property
    def key(self) -> str:
        """The workload: it is made room for once at a time."""
        return self.workload

    @property
    def ends_ns(self) -> int:
        """The hold expires."""
        return self.until_ns


class Reservation(Entry, frozen=True, kw_only=True):
    """Room that is promised to `workload` from a future instant on."""

    workload: str
    rooms: tuple[Room, ...]
    from_ns: int
    until_ns: int

    @property
    def key(self) -> str:
        """The workload: it has one promise at a time."""
        return self.workload

    @property
    def ends_ns(self) -> int:
        """The promise was kept, or is void."""
        return self.until_ns


class BackOff(Entry, frozen=True, kw_only=True):
    """`workload` was put back so often, and is not tried before `not_before_ns`.

    `attempts` sets the delay. `faults` are those that were the workload's own doing; their number
    ends it. A `not_before_ns` of `None` means given up: only a change of the workload helps.
    """

    workload: str
    attempts: int
    faults: int
    not_before_ns: int | None
    reason: str

    @property
    def key(self) -> str:
        """The workload."""
        return self.workload

    @property
    def age_ns(self) -> int:
        """Whose delay is over first is forgotten first."""
        return NEVER_NS if self.not_before_ns is None else self.not_before_ns


class Eviction(Entry, frozen=True, kw_only=True):
    """`workload` was evicted at `at_ns` for `made_way_for`; it counts until `counts_until_ns`.

    It gave up `device_milli` thousandths of devices, and on each the work of `lost_ns`.
    """

    workload: str
    made_way_for: str
    at_ns: int
    device_milli: int
    lost_ns: int
    counts_until_ns: int

    @property
    def key(self) -> tuple[str, int]:
        """The workload and when."""
        return self.workload, self.at_ns

    @property
    def ends_ns(self) -> int:
        """No window reaches back to it."""
        return self.counts_until_ns


class DecayedUsage(Entry, frozen=True, kw_only=True):
    """What `account` has used lately, as of `sampled_ns`."""

    account: Account
    amounts_nano: AmountsNano
    sampled_ns: int
    half_life_ns: int

    @property
    def key(self) -> Account:
        """The account."""
        return self.account

    @property
    def age_ns(self) -> int:
        """Who was not looked at for longest has least left."""
        return self.sampled_ns


class EntryPenalty(Entry, frozen=True, kw_only=True):
    """What `account` is charged in advance for a workload that got quota and does not run yet."""

    account: Account
    workload: str
    amounts_nano: AmountsNano
    pushed_ns: int

    @property
    def key(self) -> tuple[Account, str]:
        """The account and the workload: charged again, it is charged once."""
        return self.account, self.workload

    @property
    def age_ns(self) -> int:
        """The first to be charged."""
        return self.pushed_ns


class RuntimeEstimate(Entry, frozen=True, kw_only=True):
    """How long workloads like `subject` run, and who says so."""

    subject: str
    p10_ns: int
    p50_ns: int
    p90_ns: int
    limit_ns: int | None
    source: Literal["limit", "history", "user"]
    learned_ns: int

    @property
    def key(self) -> str:
        """The subject."""
        return self.subject

    @property
    def age_ns(self) -> int:
        """What was learned first."""
        return self.learned_ns


class Quarantine(Entry, frozen=True, kw_only=True):
    """The kubelet of `node` refused pods that ask for `request`; none goes there until `until_ns`.

    A kubelet decides by what is asked for, so labels and affinity are not part of the pair.
    `refusals` are counted, and lengthen the delay, until `remembered_until_ns`.
    """

    request: Request
    node: str
    refusals: int
    until_ns: int
    remembered_until_ns: int
    reason: str

    @property
    def key(self) -> tuple[Request, str]:
        """The pair."""
        return self.request, self.node

    @property
    def ends_ns(self) -> int:
        """The next refusal counts as the first."""
        return self.remembered_until_ns

    @property
    def age_ns(self) -> int:
        """Whose delay is over first."""
        return self.until_ns


LedgerEntry = (
    Hold
    | Reservation
    | BackOff
    | Eviction
    | DecayedUsage
    | EntryPenalty
    | RuntimeEstimate
    | Quarantine
)


class Recorded(msgspec.Struct, frozen=True, tag=True):
    """`entry` stands, in the place of the one with its key."""

    entry: LedgerEntry


class Forgotten(msgspec.Struct, frozen=True, tag=True):
    """The entry with the kind and key of `entry` no longer stands."""

    entry: LedgerEntry


LedgerChange = Recorded | Forgotten


class EntryKind(msgspec.Struct, frozen=True, kw_only=True):
    """Where entries of a kind survive, how many there may be, and what is lost with one."""

    home: str
    limit: int
    at_limit: AtLimit
    lost: str


KINDS: Mapping[type[LedgerEntry], EntryKind] = {
    Hold: EntryKind(
        home="annotation gpuyard.io/hold of the Workload or PodGroup",
        limit=4096,
        at_limit="refused",
        lost="Others may take the room; the workload evicts again after the window.",
    ),
    Reservation: EntryKind(
        home="annotation gpuyard.io/reservation of the Workload or PodGroup",
        limit=4096,
        at_limit="refused",
        lost="The promised start is worked out anew and may be later.",
    ),
    BackOff: EntryKind(
        home="status.requeueState of the Workload, else annotation gpuyard.io/back-off; "
        "spec.active is false once it is given up",
        limit=65_536,
        at_limit="oldest forgotten",
        lost="A failing workload is tried at once, and its delays start from the shortest.",
    ),
    Eviction: EntryKind(
        home="ConfigMap gpuyard-ledger, key evictions",
        limit=16_384,
        at_limit="refused",
        lost="A workload may be evicted a second time in its window, also by whom it evicted, "
        "and the brake starts at 0.",
    ),
    DecayedUsage: EntryKind(
        home="status.fairSharing.admissionFairSharingStatus of the LocalQueue; "
        "for a user ConfigMap gpuyard-ledger, key usage",
        limit=16_384,
        at_limit="oldest forgotten",
        lost="The account goes first until it has used as much as the others.",
    ),
    EntryPenalty: EntryKind(
        home="none: again from the Workloads with QuotaReserved and without Admitted",
        limit=65_536,
        at_limit="oldest forgotten",
        lost="One admission is charged by the next samples only.",
    ),
    RuntimeEstimate: EntryKind(
        home="ConfigMap gpuyard-ledger, key runtimes",
        limit=16_384,
        at_limit="oldest forgotten",
        lost="Workloads of the kind count with their time limit until some have run.",
    ),
    Quarantine: EntryKind(
        home="none: again from failed Pods whose status.reason is a kubelet's",
        limit=16_384,
        at_limit="oldest forgotten",
        lost="One more workload is sent to a node that refuses it, and put back.",
    ),
}


class EvictionRules(msgspec.Struct, frozen=True, kw_only=True):
    """How often one workload may be evicted, and how much all of them in an hour or so.

    The brake bounds devices taken away and device time lost with them; `None` does not bound.
    For `order_window_ns` nobody evicts for whom it was evicted, nor for whom that one was: so
    evictions within that time run in no circle, whatever the rules that chose them.
    """

    per_workload_max: int = 1
    per_workload_window_ns: int = 3600 * 10**9
    order_window_ns: int = 24 * 3600 * 10**9
    brake_window_ns: int = 3600 * 10**9
    brake_device_milli_max: int | None = None
    brake_lost_device_milli_ns_max: int | None = None


class QuarantineRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a refused pair is left alone: `base_ns`, then twice as long each time.

    A pair that behaved for `remembered_ns` after its delay starts from the shortest again.
    """

    base_ns: int = 60 * 10**9
    max_ns: int = 3600 * 10**9
    remembered_ns: int = 3600 * 10**9


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the ledger that people read: who has used what lately."""

    account: Account
    resource: str
    amount_nano: int
    half_life_ns: int
    since_ns: int
