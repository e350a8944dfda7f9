"""Rows that hand over domains with their counts: how they are ordered, and how balanced.

The source builds such domains by hand, with only as much of a tree as a test needs. Here they
become a tree and its `LevelCounts`: a domain without values gets one that keeps its place, a domain
without children one empty child where the tree is deeper.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.topology import balanced, greedy
from gpuyard.scheduling.topology.counts import LevelCounts
from gpuyard.scheduling.topology.requests import Ask
from gpuyard.scheduling.topology.tree import DomainTree, grow
from verification.oracles.rows import Answers, Json, Kind, Row, Test

Path = tuple[str, ...]
State = dict[str, int]

FIELDS = {
    "pods": "podCount",
    "slices": "sliceCount",
    "pods_with_leader": "podCountWithLeader",
    "slices_with_leader": "sliceCountWithLeader",
    "leaders": "leaderCount",
    "affinity": "affinityScore",
}


class Domains(NamedTuple):
    """Domains as the core knows them; `ids[level][number]` is what the row calls them."""

    tree: DomainTree
    levels: list[LevelCounts]
    ids: list[list[str]]
    level: int  # of those that the row lists at the top

    @property
    def counts(self) -> LevelCounts:
        """What fits into the domains that the row lists."""
        return self.levels[self.level]

    @property
    def all(self) -> IntArray:
        """The domains that the row lists."""
        return np.arange(self.tree.count(self.level))

    def named(self, domains: IntArray | None) -> list[str]:
        """Return what the row calls `domains`."""
        return [] if domains is None else [self.ids[self.level][each] for each in domains.tolist()]

    def ask(self, slices: int, leaders: int, slice_size: int = 1) -> Ask:
        """Return a request at the level that the row lists."""
        return Ask(
            pods=slices * slice_size,
            level=self.level,
            slice_level=self.level,
            slice_size=slice_size,
            inner_sizes=(0,) * len(self.levels),
            leaders=leaders,
        )


def _domains(given: Json) -> Domains:
    """Return the domains of a row, nested or flat."""
    roots = [_nested(one) for one in given]
    listed = dict(entry for index, one in enumerate(roots) for entry in _walk(one, (), index))
    depth = max(len(path) for path in listed)
    tree = grow([f"level-{level}" for level in range(depth)], _to_leaves(set(listed), depth))
    ids: list[list[str]] = []
    levels: list[LevelCounts] = []
    for level in range(depth):
        found = [
            listed.get(tree.path(level, number), ("", {})) for number in range(tree.count(level))
        ]
        ids.append([name for name, _ in found])
        arrays = {
            field: np.array([state.get(key, 0) for _, state in found], dtype=np.int64)
            for field, key in FIELDS.items()
        }
        levels.append(LevelCounts(**arrays))
    top = min(len(path) for path in listed) - 1
    return Domains(tree, levels, ids, top)


def _nested(one: Json) -> Json:
    """Return a domain in the form that has its children inside."""
    return {**one["domain"], "state": one["state"]} if "domain" in one else one


def _walk(one: Json, around: Path, index: int) -> Iterator[tuple[Path, tuple[str, State]]]:
    path = tuple(one.get("levelValues") or (*around, f"{index:04}"))
    yield path, (one["id"], one["state"])
    for number, child in enumerate(one.get("children") or ()):
        yield from _walk(child, path, number)


def _to_leaves(paths: set[Path], depth: int) -> list[Path]:
    around = {path[:length] for path in paths for length in range(1, len(path))}
    return [path + ("",) * (depth - len(path)) for path in sorted(paths - around)]


# -- order


def in_order(row: Row) -> Answers:
    """Answer with the domains as workers alone fill them."""
    domains = _domains(_scored(row))
    best_fit = not row.case["unconstrained"]
    return {
        "wantOrder": domains.named(greedy.in_order(domains.counts, domains.all, best_fit=best_fit))
    }


def in_order_with_leader(row: Row) -> Answers:
    """Answer with the domains as a group fills them."""
    domains = _domains(_scored(row))
    order = greedy.in_order_with_leader(
        domains.counts, domains.all, best_fit=not row.case["unconstrained"]
    )
    return {"wantOrder": domains.named(order)}


def _scored(row: Row) -> Json:
    """Return the domains of a row; without the gate no node has points."""
    if row.case["enableTASPreferredSchedulingAffinity"]:
        return row.case["domains"]
    return [{**one, "state": {**one["state"], "affinityScore": 0}} for one in row.case["domains"]]


def by_values(row: Row) -> Answers:
    """Answer which of two domains comes first."""
    paths = [tuple(row.case[key]["levelValues"]) for key in ("a", "b")]
    tree = grow(row.case["levels"], paths)
    leaves = {tree.path(tree.last, leaf): leaf for leaf in range(tree.count(tree.last))}
    first, second = (leaves[path] for path in paths)
    return {"want": (first > second) - (first < second)}


def by_room_and_entropy(row: Row) -> Answers:
    """Answer with the domains in the order in which sets of them are tried."""
    domains = _domains(row.context["domains"])
    order = balanced.by_room_and_entropy(domains.tree, domains.levels, domains.level, domains.all)
    return {"want": domains.named(order)}


# -- balance


def least_room(row: Row) -> Answers:
    """Answer with the set of domains that holds the group with the least to spare."""
    domains = _domains(row.case["domains"])
    ask = domains.ask(row.case["workerCount"], row.case["leaderCount"])
    return {"want": sorted(domains.named(_least_room(domains, ask, by_entropy=True)))}


def least_room_of_equals(row: Row) -> Answers:
    """Answer with the set that counts among equal ones."""
    domains, call = _domains(row.context["domains"]), row.context["call"]
    ask = domains.ask(call["workerCount"], call["leaderCount"], call["sliceSize"])
    chosen = _least_room(domains, ask, by_entropy=row.case["prioritizeByEntropy"])
    return {"want": sorted(domains.named(chosen))}


def _least_room(domains: Domains, ask: Ask, *, by_entropy: bool) -> IntArray | None:
    order = domains.all
    if by_entropy:
        order = balanced.by_room_and_entropy(domains.tree, domains.levels, domains.level, order)
    return balanced.least_room(domains.counts, domains.all, order, ask)


def shared_out(row: Row) -> Answers:
    """Answer with what each domain gets."""
    domains, chosen = _share_out(row)
    numbers = [] if chosen is None else chosen.tolist()
    return {"want": {domains.ids[domains.level][each]: _state(domains, each) for each in numbers}}


def shared_out_among_equals(row: Row) -> Answers:
    """Answer with the domains that get something."""
    domains, chosen = _share_out(row)
    return {"want": domains.named(chosen), "wantReason": "refused" if chosen is None else ""}


def _share_out(row: Row) -> tuple[Domains, IntArray | None]:
    case, domains = row.case, _domains(row.case["domains"])
    ask = domains.ask(case["sliceCount"], case["leaderCount"], case["sliceSize"])
    return domains, balanced.share_out(domains.counts, domains.all, ask, case["threshold"])


def _state(domains: Domains, number: int) -> State:
    return {key: int(getattr(domains.counts, field)[number]) for field, key in FIELDS.items()}


def pruned(row: Row) -> Answers:
    """Answer with the counts of every domain when what holds too little is gone."""
    domains = _prune(row, row.context["domains"])
    names = row.context["domainIDByName"]
    states = {
        name: (level, number)
        for level, ids in enumerate(domains.ids)
        for number, name in enumerate(ids)
    }
    fields = ("pods", "slices", "pods_with_leader", "slices_with_leader", "leaders")
    found = {
        name: [int(getattr(domains.levels[level], field)[number]) for field in fields]
        for name, identity in names.items()
        for level, number in [states[identity]]
    }
    return {"want": found}


def pruned_scores(row: Row) -> Answers:
    """Answer with the points of every domain when what holds too little is gone."""
    domains = _prune(row, row.case["domains"])
    pairs = zip(domains.ids, domains.levels, strict=True)
    points = {
        name: score
        for ids, counts in pairs
        for name, score in zip(ids, counts.affinity.tolist(), strict=True)
    }
    return {"wantAffinityScore": points}


def _prune(row: Row, given: Json) -> Domains:
    case, domains = row.case, _domains(given)
    ask = domains.ask(0, int(case["leaderRequired"]), case["sliceSize"])
    ask = ask._replace(level=case["level"], slice_level=case["sliceLevelIdx"])
    found = balanced.prune(domains.tree, domains.levels, ask, domains.all, case["threshold"])
    return domains._replace(levels=found)


def candidates(row: Row) -> Answers:
    """Answer with the largest threshold, and how many domains could meet it."""
    flat, params = row.case["domains"], row.case["params"]
    children: dict[str, list[Json]] = {}
    for one in flat:
        children.setdefault(one["parentID"], []).append(one)
    roots = [
        {
            **one,
            "state": one,
            "children": [{**each, "state": each} for each in children.get(one["id"], ())],
        }
        for one in children[""]
    ]
    domains = _domains(roots)
    ask = domains.ask(
        params["count"] // params["sliceSize"], params["leaderCount"], params["sliceSize"]
    )
    ask = ask._replace(level=params["requestedLevelIdx"], slice_level=params["sliceLevelIdx"])
    best = balanced.best_candidates(domains.tree, domains.levels, ask)
    return {
        "wantThreshold": best.threshold if best else 0,
        "wantDomainsCount": len(best.domains) if best else 0,
    }


class AtLeast(dict[str, int]):  # noqa: PLW1641  nobody looks it up
    """Expectations on some domains; the others may be as they like."""

    def __eq__(self, answer: object) -> bool:
        """Tell whether `answer` meets them."""
        return isinstance(answer, dict) and {**answer, **self} == dict(answer)


def _read_states(wanted: Json) -> dict[str, State]:
    return {name: dict(state) for name, state in wanted.items()}


_NOBODY = dict.fromkeys(FIELDS.values(), 1)
ORDER = Kind(lambda wanted: wanted, ["altered"])
CHOSEN = Kind(lambda wanted: sorted(wanted or ()), ["altered"])
SIGN = Kind(lambda wanted: wanted, 1)
STATES = Kind(_read_states, {"altered": _NOBODY})
NUMBERS = Kind(lambda wanted: wanted, {"altered": 1})
SOME_NUMBERS = Kind(AtLeast, {"altered": 1})
TEXT = Kind(lambda wanted: wanted, "altered")

_SORTED = frozenset({"domains", "enableTASPreferredSchedulingAffinity", "unconstrained"})
_SHARED = frozenset({"domains", "leaderCount", "sliceCount", "sliceSize", "threshold"})
_PRUNED = frozenset(
    {"domains", "leaderRequired", "level", "sliceLevelIdx", "sliceSize", "threshold"}
)
SNAPSHOT_FILE = "kueue_tas_snapshot"
FILE = "kueue_tas_balanced_placement"

TESTS: dict[tuple[str, str], Test] = {
    (SNAPSHOT_FILE, "TestSortedDomains"): Test(in_order, _SORTED, {"wantOrder": ORDER}),
    (SNAPSHOT_FILE, "TestSortedDomainsWithLeader"): Test(
        in_order_with_leader, _SORTED, {"wantOrder": ORDER}
    ),
    (SNAPSHOT_FILE, "TestCompareDomainLevelValues"): Test(
        by_values, frozenset({"a", "b", "levels"}), {"want": SIGN}
    ),
    (FILE, "TestCompareDomainCapacityAndEntropy"): Test(
        by_room_and_entropy,
        frozenset({"domains"}),
        {"want": ORDER},
        around=frozenset({"domains"}),
    ),
    (FILE, "TestSelectOptimalDomainSetToFit"): Test(
        least_room, frozenset({"domains", "leaderCount", "workerCount"}), {"want": CHOSEN}
    ),
    (FILE, "TestSelectOptimalDomainSetToFitStableTieBreak"): Test(
        least_room_of_equals,
        frozenset({"prioritizeByEntropy"}),
        {"want": CHOSEN},
        around=frozenset({"domains", "call"}),
    ),
    (FILE, "TestPlaceSlicesOnDomainsBalanced"): Test(shared_out, _SHARED, {"want": STATES}),
    (FILE, "TestPlaceSlicesOnDomainsBalancedStableTieBreak"): Test(
        shared_out_among_equals, _SHARED, {"want": ORDER, "wantReason": TEXT}
    ),
    (FILE, "TestPruneDomainsBelowThreshold"): Test(
        pruned,
        _PRUNED,
        {"want": NUMBERS},
        around=frozenset({"domains", "domainIDByName"}),
    ),
    (FILE, "TestPruneDomainsBelowThresholdPreservesAffinityScore"): Test(
        pruned_scores, _PRUNED, {"wantAffinityScore": SOME_NUMBERS}
    ),
    (FILE, "TestFindBestDomainsForBalancedPlacement"): Test(
        candidates,
        frozenset({"domains", "params"}),
        {"wantThreshold": SIGN, "wantDomainsCount": SIGN},
    ),
}
