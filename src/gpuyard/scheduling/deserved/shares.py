"""The queues of a tree, what they deserve, what they hold, and what they ask for.

Jobs belong to leaves; what a leaf holds and asks for counts in all its ancestors. `DeservedQueue`
is what the administrator wrote; `Share` is the state of one queue during one cycle. A job's amounts
are a mapping from resource to amount in which a missing resource is zero.

A queue without a parent is a root. All queues of a tree know the same resources: those that any
queue of the tree names, each with the amounts of `Quota()` where it does not.

Semantics: KAI Scheduler v0.17, pkg/scheduler/plugins/proportion/resource_share. Where we differ,
on purpose: no bound is ``UNLIMITED``, larger than every amount, instead of -1; a queue whose parent
does not exist is an error here, KAI leaves it out with all its jobs.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpuyard.model.queues import QUOTA_MAX, WEIGHT_ONE_NANO

UNLIMITED = QUOTA_MAX
DEFAULT_PRIORITY = 100

Amounts = Mapping[str, int]
NOTHING: Amounts = {}


class DeservedQueueError(ValueError):
    """Queues that contradict themselves; one sentence, nothing was built."""


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What a queue deserves of one resource, what it may hold at most, its part of the rest.

    `weight_nano` 0 gets nothing of the rest. `usage_nano` is what the queue used lately, as a part
    of the cluster in billionths, decayed over time.
    """

    deserved: int = 0
    limit: int = UNLIMITED
    weight_nano: int = WEIGHT_ONE_NANO
    usage_nano: int = 0


class DeservedQueue(msgspec.Struct, frozen=True, kw_only=True):
    """One queue; `quotas` by resource.

    The least run times protect its workloads: `preempt_min_runtime_ns` from others of the queue,
    `reclaim_min_runtime_ns` from other queues; `None` takes what its parent says.
    """

    name: str
    parent: str = ""
    priority: int = DEFAULT_PRIORITY
    created_ns: int = 0
    quotas: tuple[tuple[str, Quota], ...] = ()
    preempt_min_runtime_ns: int | None = None
    reclaim_min_runtime_ns: int | None = None


class Share:
    """A queue in its tree; all amounts by resource. Only the amounts change."""

    __slots__ = ("allocated", "children", "fair", "fixed", "parent", "queue", "quotas", "requested")

    def __init__(self, queue: DeservedQueue, quotas: dict[str, Quota]) -> None:
        """Start alone, with nothing held and nothing asked for."""
        self.queue = queue
        self.quotas = quotas
        self.parent: Share | None = None
        self.children: list[Share] = []
        self.allocated = dict.fromkeys(quotas, 0)
        self.fixed = dict.fromkeys(quotas, 0)  # the part of `allocated` that cannot be preempted
        self.requested = dict.fromkeys(quotas, 0)  # held and pending
        self.fair = dict.fromkeys(quotas, 0)

    def __repr__(self) -> str:
        return f"queue {self.queue.name}"

    @property
    def name(self) -> str:
        """The queue's name."""
        return self.queue.name

    def to_root(self) -> "Iterator[Share]":
        """Yield the queue itself, its parent, and so on."""
        step: Share | None = self
        while step is not None:
            yield step
            step = step.parent

    def requestable(self, resource: str) -> int:
        """Return what the queue could use now: what it asks for, up to its limit."""
        return min(self.requested[resource], self.quotas[resource].limit)

    def allocatable(self, resource: str) -> int:
        """Return what the queue may hold without owing it: deserved or fair, up to its limit."""
        quota = self.quotas[resource]
        return min(quota.limit, max(quota.deserved, self.fair[resource]))


class ShareTree:
    """All queues by name, parents before children."""

    def __init__(self, shares: dict[str, Share], resources: tuple[str, ...]) -> None:
        """Take what `build` made."""
        self.shares = shares
        self.resources = resources

    def __getitem__(self, name: str) -> Share:
        return self.shares[name]

    def __contains__(self, name: str) -> bool:
        return name in self.shares

    @property
    def roots(self) -> list[Share]:
        """The queues without a parent."""
        return [share for share in self.shares.values() if share.parent is None]

    def hold(self, name: str, amounts: Amounts, *, preemptible: bool, times: int = 1) -> None:
        """Count `amounts` as held by the leaf `name` and its ancestors; `times` -1 undoes it."""
        for share in self.shares[name].to_root():
            for resource, amount in amounts.items():
                share.allocated[resource] += times * amount
                if not preemptible:
                    share.fixed[resource] += times * amount

    def ask(self, name: str, amounts: Amounts) -> None:
        """Count `amounts` as asked for by the leaf `name`, held already or not."""
        for share in self.shares[name].to_root():
            for resource, amount in amounts.items():
                share.requested[resource] += amount

    def copy(self) -> "ShareTree":
        """Return the same state, independent of this one."""
        twins = {name: Share(share.queue, share.quotas) for name, share in self.shares.items()}
        for name, share in self.shares.items():
            twin = twins[name]
            twin.parent = twins[share.parent.name] if share.parent else None
            twin.children = [twins[child.name] for child in share.children]
            for field in ("allocated", "fixed", "requested", "fair"):
                setattr(twin, field, dict(getattr(share, field)))
        return ShareTree(twins, self.resources)


def build(queues: Iterable[DeservedQueue]) -> ShareTree:
    """Return the tree of `queues`, with nothing held.

    Raises DeservedQueueError where a name appears twice, a parent does not exist, or queues are
    their own ancestors.
    """
    listed = list(queues)
    resources = tuple(sorted({name for queue in listed for name, _ in queue.quotas}))
    shares: dict[str, Share] = {}
    for queue in listed:
        if queue.name in shares:
            raise DeservedQueueError(f"queue {queue.name} appears twice")
        quotas = {**dict.fromkeys(resources, Quota()), **dict(queue.quotas)}
        shares[queue.name] = Share(queue, quotas)
    for share in shares.values():
        if share.queue.parent:
            if share.queue.parent not in shares:
                raise DeservedQueueError(
                    f"queue {share.name} has the parent {share.queue.parent}, which does not exist"
                )
            share.parent = shares[share.queue.parent]
            share.parent.children.append(share)
    return ShareTree(_parents_first(shares), resources)


def _parents_first(shares: dict[str, Share]) -> dict[str, Share]:
    """Return the shares in the order of the levels; finds cycles."""
    ordered: dict[str, Share] = {}
    level = [share for share in shares.values() if share.parent is None]
    while level:
        ordered.update((share.name, share) for share in level)
        level = [child for share in level for child in share.children]
    if len(ordered) < len(shares):
        name = min(shares.keys() - ordered.keys())
        raise DeservedQueueError(f"queue {name} is below itself, or below queues that are")
    return ordered


def plus(left: Amounts, right: Amounts, times: int = 1) -> dict[str, int]:
    """Return ``left + times · right``, resource by resource."""
    total = dict(left)
    for resource, amount in right.items():
        total[resource] = total.get(resource, 0) + times * amount
    return total
