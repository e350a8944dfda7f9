"""Jobs as gangs: a tree of groups, how far each of them is, which pods are next to start or to go.

A *leaf* holds pods and is satisfied with `min_count` of them; a *group* holds leaves and groups and
is satisfied with `min_members` satisfied ones (all where nothing is said). A job starts when its
root is satisfied, all at once. Once it is, it grows one pod at a time, and shrinks one pod at a
time, from the group that is furthest ahead; only what has nothing to spare goes whole.

A `View` is a job with some of its pods: what is left of a victim after a first bite, or what of a
pending job is tried. A *relaxed* view asks each group for no more than the pods it has.

Semantics: KAI Scheduler v0.17, pkg/scheduler/api/podgroup_info (allocation_info.go,
eviction_info.go, subgroup_info), plugins subgrouporder, taskorder, elastic, priority.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from gpuyard.model.workloads import PodTemplate, Workload
from gpuyard.scheduling.deserved.shares import Amounts, plus
from gpuyard.scheduling.passes.amounts import amounts_of

PodState = Literal[
    "pending",
    "allocated",  # decided in this cycle: starts at once
    "pipelined",  # decided in this cycle: has a node, and waits there for somebody to leave
    "running",
    "releasing",
    "stuck",  # releasing for so long that nobody counts on it
    "succeeded",
    "failed",
]
STAYS: frozenset[PodState] = frozenset({"allocated", "pipelined", "running"})
HOLDS: frozenset[PodState] = frozenset({"allocated", "running"})
USES: frozenset[PodState] = STAYS | {"releasing", "stuck"}
ALIVE: frozenset[PodState] = STAYS | {"pending"}
NON_PREEMPTIBLE_PRIORITY = 100


class DomainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of a group belong into one domain of `required`, and rather of `preferred`.

    Both are levels (node labels) of `topology`, "" where there is no such wish.
    """

    topology: str
    required: str = ""
    preferred: str = ""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A group of pods that is satisfied with `min_count` of them."""

    name: str
    min_count: int
    domain: DomainRequest | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of groups that is satisfied with `min_members` of them (`None`: all)."""

    name: str
    members: "tuple[Group | Leaf, ...]"
    min_members: int | None = None
    domain: DomainRequest | None = None

    def leaves(self) -> Iterator[Leaf]:
        """Yield all leaves, depth first."""
        for member in self.members:
            if isinstance(member, Leaf):
                yield member
            else:
                yield from member.leaves()


class Pod:
    """One pod; `state`, `node` and `devices` change during a cycle, and only in a `Session`.

    `turn` orders pods of a job: a larger one goes first, `None` comes after all others.
    `tentative` marks what this cycle did and has not settled.
    """

    __slots__ = (
        "amounts",
        "before",
        "devices",
        "job",
        "key",
        "leaf",
        "node",
        "state",
        "template",
        "tentative",
        "turn",
    )

    def __init__(
        self,
        key: str,
        leaf: str,
        template: PodTemplate,
        state: PodState = "pending",
        *,
        node: str = "",
        devices: tuple[int, ...] | None = None,
        turn: int | None = None,
    ) -> None:
        """Take what was observed."""
        self.key = key
        self.leaf = leaf
        self.template = template
        self.state = state
        self.node = node
        self.devices = devices
        self.turn = turn
        self.job = ""
        self.before = state
        self.tentative = False
        self.amounts: Amounts = amounts_of(template.request)

    def __repr__(self) -> str:
        return f"pod {self.key} ({self.state})"

    @property
    def is_leaving(self) -> bool:
        """Tell whether the pod runs and was told to go, be it to another place."""
        ran = self.before in HOLDS and self.before != "allocated"
        return ran and self.state in ("releasing", "pipelined")

    def may_start(self, *, really: bool) -> bool:
        """Tell whether the pod waits for a node; on trial also one that was just told to go."""
        evicted = self.state == "releasing" and self.tentative
        return self.state == "pending" or (evicted and not really)


class Job:
    """A workload during one cycle.

    `stale_since_ns`: since when it ran incomplete; `stale_grace_ns` overrules the knob, negative
    means for ever.
    """

    def __init__(  # noqa: PLR0913  one fact each
        self,
        key: str,
        queue: str,
        root: Group,
        pods: Iterable[Pod],
        *,
        priority: int = 0,
        preemptible: bool = True,
        created_ns: int = 0,
        started_ns: int | None = None,
        evicted_ns: int | None = None,
        preemption_delay_ns: int = 0,
        stale_since_ns: int | None = None,
        stale_grace_ns: int | None = None,
    ) -> None:
        """Take what was observed."""
        self.key = key
        self.queue = queue
        self.root = root
        self.pods = sorted(pods, key=_turn)
        self.priority = priority
        self.preemptible = preemptible
        self.created_ns = created_ns
        self.started_ns = started_ns
        self.evicted_ns = evicted_ns
        self.preemption_delay_ns = preemption_delay_ns
        self.stale_since_ns = stale_since_ns
        self.stale_grace_ns = stale_grace_ns
        for pod in self.pods:
            pod.job = key

    def __repr__(self) -> str:
        return f"job {self.key}"

    def view(self) -> "View":
        """Return the job with all its pods."""
        return View(self, self.pods)

    @property
    def is_elastic(self) -> bool:
        """Tell whether any leaf has more pods than it needs."""
        return any(leaf.min_count < len(_in(leaf, self.pods)) for leaf in self.root.leaves())


def of_workload(workload: Workload, pods: Iterable[Pod], queue: str) -> Job:
    """Return the job of a workload whose pod sets are leaves of one gang.

    What has priority 100 or more cannot be preempted.
    """
    members = tuple(
        Leaf(name=each.name, min_count=each.count if each.min_count is None else each.min_count)
        for each in workload.pod_sets
    )
    return Job(
        workload.key,
        queue,
        Group(name="", members=members),
        pods,
        priority=workload.priority,
        preemptible=workload.priority < NON_PREEMPTIBLE_PRIORITY,
        created_ns=workload.created_ns,
    )


class View:
    """A job with some of its pods."""

    __slots__ = ("is_relaxed", "job", "pods")

    def __init__(self, job: Job, pods: Iterable[Pod], *, is_relaxed: bool = False) -> None:
        """Keep the pods in the order of their turns."""
        self.job = job
        self.pods = sorted(pods, key=_turn)
        self.is_relaxed = is_relaxed

    def held(self) -> Amounts:
        """Return what the pods of the view hold now."""
        return total(pod for pod in self.pods if pod.state in HOLDS)

    # -- how far the gang is

    def needs(self, member: Group | Leaf) -> int:
        """Return how much of `member` must be there."""
        if isinstance(member, Leaf):
            there = len(_in(member, self.pods))
            return min(member.min_count, there) if self.is_relaxed and there else member.min_count
        if member.min_members is None:
            return len(member.members)
        if self.is_relaxed:
            return min(member.min_members, sum(self._has_pods(each) for each in member.members))
        return member.min_members

    def has(self, member: Group | Leaf) -> int:
        """Return how much of `member` is there: pods that stay, or satisfied members."""
        if isinstance(member, Leaf):
            return sum(pod.state in STAYS for pod in _in(member, self.pods))
        return sum(self.is_satisfied(each) for each in member.members)

    def is_satisfied(self, member: Group | Leaf) -> bool:
        """Tell whether enough of `member` is there."""
        return self.has(member) >= self.needs(member)

    def is_ready(self) -> bool:
        """Tell whether enough pods exist to start the job."""
        return self._is_ready(self.job.root)

    def is_whole(self) -> bool:
        """Tell whether every leaf uses what it needs, pods that are leaving included."""
        return all(
            sum(pod.state in USES for pod in _in(leaf, self.pods)) >= self.needs(leaf)
            for leaf in self.job.root.leaves()
        )

    def progress(self) -> int:
        """Return 0 while a leaf has too few pods, 1 when all have just enough, 2 beyond."""
        spare = [self.has(leaf) - self.needs(leaf) for leaf in self.job.root.leaves()]
        return 0 if min(spare, default=0) < 0 else 1 + any(spare)

    def rank(self) -> tuple[int, int, int, str]:
        """Return the place among the jobs of its queue: smaller goes first."""
        return -self.job.priority, self.progress(), self.job.created_ns, self.job.key

    def in_turn(self, group: Group) -> list[Group | Leaf]:
        """Return the members of `group`, who lacks most first."""
        return sorted(group.members, key=self._member_turn)

    # -- which pods are next

    def to_start(self, *, really: bool) -> list[Pod]:
        """Return the pods that would start next, all together; none where none can."""
        return self._to_start(self.job.root, really=really)

    def to_evict(self) -> list[Pod]:
        """Return the pods that would go first, all together."""
        root = self.job.root
        return self._spare(root) or self._all_that_stay(root)

    def _to_start(self, group: Group, *, really: bool) -> list[Pod]:
        members = self.in_turn(group)
        if not self.is_satisfied(group):
            members.sort(key=lambda each: not self._may_be_satisfied(each, really=really))
            found: list[Pod] = []
            for member in members[: self.needs(group)]:
                if not self.is_satisfied(member):
                    found += self._member_to_start(member, really=really)
            return found
        for member in members:
            if one := self._member_to_start(member, really=really):
                return one
        return []

    def _may_be_satisfied(self, member: Group | Leaf, *, really: bool) -> bool:
        """Tell whether there are pods enough: who lacks pods would only stand in others' way."""
        if isinstance(member, Group):
            able = sum(self._may_be_satisfied(each, really=really) for each in member.members)
            return able >= self.needs(member)
        waiting = sum(pod.may_start(really=really) for pod in _in(member, self.pods))
        return self.has(member) + waiting >= self.needs(member)

    def _member_to_start(self, member: Group | Leaf, *, really: bool) -> list[Pod]:
        if isinstance(member, Group):
            return self._to_start(member, really=really)
        waiting = [pod for pod in _in(member, self.pods) if pod.may_start(really=really)]
        missing = self.needs(member) - self.has(member)
        return waiting[: missing if missing > 0 else 1]

    def _spare(self, group: Group) -> list[Pod]:
        satisfied = self.has(group)
        if not satisfied:
            return []
        members = self.in_turn(group)[::-1]
        if self._has_spare(group):
            for member in members:
                spare = self._member_spare(member)
                if spare:
                    return spare
        if self.needs(group) < satisfied:
            for member in members:
                if whole := self._all_that_stay(member):
                    return whole
        return []

    def _member_spare(self, member: Group | Leaf) -> list[Pod]:
        if isinstance(member, Group):
            return self._spare(member)
        if self.has(member) <= self.needs(member):
            return []
        return self._all_that_stay(member)[:1]

    def _has_spare(self, member: Group | Leaf) -> bool:
        if self.has(member) > self.needs(member):
            return True
        return isinstance(member, Group) and any(self._has_spare(each) for each in member.members)

    def _all_that_stay(self, member: Group | Leaf) -> list[Pod]:
        """Return the pods of `member` that would have to go, the last to start first."""
        leaves = [member] if isinstance(member, Leaf) else list(member.leaves())
        return [pod for leaf in leaves for pod in _in(leaf, self.pods)[::-1] if pod.state in STAYS]

    def _member_turn(self, member: Group | Leaf) -> tuple[bool, bool, Fraction, str]:
        """Return the place among its siblings: who lacks most by its own measure goes first."""
        has, needs = self.has(member), self.needs(member)
        if has < needs:
            return False, False, Fraction(0), member.name
        return True, needs == 0, Fraction(has, needs or 1), member.name

    def _has_pods(self, member: Group | Leaf) -> bool:
        if isinstance(member, Leaf):
            return bool(_in(member, self.pods))
        return any(self._has_pods(each) for each in member.members)

    def _is_ready(self, member: Group | Leaf) -> bool:
        if isinstance(member, Leaf):
            alive = sum(pod.state in ALIVE for pod in _in(member, self.pods))
            return alive >= self.needs(member)
        return sum(self._is_ready(each) for each in member.members) >= self.needs(member)


def total(pods: Iterable[Pod]) -> Amounts:
    """Return what all of `pods` ask for together."""
    amounts: Amounts = {}
    for pod in pods:
        amounts = plus(amounts, pod.amounts)
    return amounts


def _in(leaf: Leaf, pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if pod.leaf == leaf.name]


def _turn(pod: Pod) -> tuple[bool, int, str]:
    return pod.turn is None, -(pod.turn or 0), pod.key
