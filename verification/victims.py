"""Compare the cheapest victim set with the optimum on random small cases.

Each case is a small cluster (2 to 5 nodes, up to 9 workloads that run) and a gang that does not
fit. `gpuyard.scheduling.preemption.cheapest.victims` answers; so does the oracle below, which
shares no code with it and is exhaustive in both of its questions:

- *which victims*: every subset of the workloads that may be evicted, by cost and then by number, up
  to the first that makes room; the first is the optimum. Legality and cost are computed here, from
  the facts of the case.
- *does it make room*: every way to put the gang's pods on the nodes and on their devices, each node
  a plain list of what is left. Greedy placement, patterns and the solver are not used.

A case counts where the optimum exists; its ratio is our cost by the optimum's. Where no set exists
we must say so, and what we say to evict must be legal and make room by the oracle's rules as well.
One case in three asks for pods of several shapes. Beside it, for information: the same cases with
the search among few candidates turned off, which is what large cases get.

Exit 1 where any case is more than 10 % above the optimum, or wrong.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import msgspec
import numpy as np

from gpuyard.model.constraints import LabelSelector, Requirement
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import CPU, Resources
from gpuyard.model.running import Running
from gpuyard.model.workloads import DeviceRequest, PodTemplate, Request
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.cost import Gang, Limits, VictimRules
from gpuyard.scheduling.preemption.cheapest.victims import Victims, cheapest
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.snapshot import Snapshot

RATIO_MAX = 1.10
NOW_NS = 10**15
HOUR_NS = 3600 * 10**9
WORKLOADS_MAX = 9
POLICIES = ("gpuyard", "best-fit", "packing", "kube-most-allocated")
BATCH = 50  # cases that a process takes at once


class Case(NamedTuple):
    """A cluster with who runs on it, a gang, and what the rules and limits are."""

    placer: Placer
    running: tuple[Running, ...]
    gang: Gang
    rules: VictimRules
    limits: Limits


class Outcome(NamedTuple):
    """What came of one seed: the ratios to the optimum, and what is wrong with the answer.

    `ratio` and `greedy_ratio` are `None` where no victim set exists; `is_drawn` is false where the
    gang needed no victims, which makes no case.
    """

    seed: int
    is_drawn: bool
    is_of_several_shapes: bool = False
    ratio: float | None = None
    greedy_ratio: float | None = None
    claims_cheapest: bool = False
    wrong: str = ""
    seconds: float = 0.0


# -- cases


def draw(seed: int) -> Case:
    """Return the case of `seed`."""
    rng = np.random.default_rng(seed)
    snapshot = Snapshot()
    for index in range(int(rng.integers(2, 6))):
        devices = int(rng.choice([2, 4, 8]))
        model = str(rng.choice(["A", "A", "B"]))
        node = Node(
            name=f"n{index}",
            allocatable=Resources.of({CPU: devices * int(rng.choice([4000, 8000]))}),
            devices=tuple(Device(model=model) for _ in range(devices)),
            rank=int(rng.integers(9)),
            unschedulable=bool(rng.random() < 0.05),  # noqa: PLR2004
        )
        snapshot.apply(NodeObserved(node))
    policy = PLACEMENTS[str(rng.choice(POLICIES))]
    placer = Placer(snapshot, policy, rng)
    running = tuple(_fill(rng, snapshot))
    gang = Gang(key="gang", priority=1, queued_ns=NOW_NS // 2, pods=_pods(rng))
    rules = VictimRules(
        whom=("lower", "lower-or-newer-equal")[rng.integers(2)],
        eviction_price_device_ms=int(rng.choice([0, 60_000])),
        grace_ns_max=None if rng.random() < 0.8 else 60 * 10**9,  # noqa: PLR2004
        exact_limit_s=1.0,
    )
    return Case(placer, running, gang, rules, _limits(rng, running))


def _fill(rng: np.random.Generator, snapshot: Snapshot) -> Iterator[Running]:
    """Start workloads wherever they fit, on nodes drawn at random."""
    anywhere = Placer(snapshot, PLACEMENTS["random"], rng)
    for index in range(int(rng.integers(3, WORKLOADS_MAX + 1))):
        count = int(rng.choice([1, 1, 2, 3, 4]))
        template = _template(rng, labels=(("app", f"a{rng.integers(3)}"),))
        pods = [(f"w{index}-{position}", template) for position in range(count)]
        if anywhere.place_all(pods) is None:
            continue
        started_ns = NOW_NS - int(rng.integers(0, 72 * HOUR_NS))
        yield Running(
            key=f"w{index}",
            pods=tuple(pod for pod, _ in pods),
            started_ns=started_ns,
            checkpoint_ns=None if rng.random() < 0.4 else int(rng.integers(started_ns, NOW_NS)),  # noqa: PLR2004
            restart_ns=int(rng.choice([0, 60, 600])) * 10**9,
            grace_ns=int(rng.choice([0, 30, 120])) * 10**9,
            priority=int(rng.choice([-1, 0, 0, 0, 0, 1, 2])),
            queued_ns=int(rng.integers(0, NOW_NS)),
            preemptible=bool(rng.random() < 0.93),  # noqa: PLR2004
        )


def _template(rng: np.random.Generator, labels: tuple[tuple[str, str], ...] = ()) -> PodTemplate:
    count, milli = int(rng.choice([1, 1, 2, 2, 4, 8])), 1000
    if rng.random() < 0.2:  # noqa: PLR2004
        count, milli = 1, int(rng.choice([250, 500, 700]))
    if rng.random() < 0.05:  # noqa: PLR2004
        count = 0
    devices = DeviceRequest(
        count=count,
        milli=milli,
        models=("A",) if rng.random() < 0.15 else (),  # noqa: PLR2004
    )
    cpu = int(rng.choice([500, 2000, 4000, 6000])) * max(1, count)
    request = Request(resources=Resources.of({CPU: cpu}), devices=devices if count else None)
    return PodTemplate(request=request, labels=labels)


def _pods(rng: np.random.Generator) -> tuple[tuple[str, PodTemplate], ...]:
    shapes = 1 if rng.random() < 2 / 3 else int(rng.integers(2, 4))
    return tuple(
        (f"g{shape}-{index}", template)
        for shape in range(shapes)
        for template in [_template(rng)]
        for index in range(int(rng.integers(1, 7 if shapes == 1 else 4)))
    )


def _limits(rng: np.random.Generator, running: tuple[Running, ...]) -> Limits:
    recently = [one.key for one in running if rng.random() < 0.05]  # noqa: PLR2004
    app = Requirement("app", "In", (f"a{rng.integers(3)}",))
    budget = DisruptionBudget(
        namespace="default",
        name="budget",
        selector=LabelSelector((app,)),
        allowed=int(rng.integers(0, 5)),
    )
    return Limits(
        recently_evicted=frozenset(recently),
        device_milli_left=None if rng.random() < 0.8 else int(rng.integers(1, 13)) * 1000,  # noqa: PLR2004
        lost_device_ms_left=None if rng.random() < 0.9 else int(rng.integers(10**9)),  # noqa: PLR2004
        budgets=() if rng.random() < 0.7 else (budget,),  # noqa: PLR2004
    )


# -- the oracle


class Held(NamedTuple):
    """What one pod takes of a node: CPU, and milli of each of its devices by position."""

    node: str
    cpu: int
    devices: tuple[tuple[int, int], ...]


class Box(NamedTuple):
    """What is left of one node: CPU, and (model, milli) of each device, sorted."""

    cpu: int
    devices: tuple[tuple[str, int], ...]


class Ask(NamedTuple):
    """What one pod of the gang asks for."""

    cpu: int
    devices: int
    milli: int
    models: tuple[str, ...]


class Victim(NamedTuple):
    """A workload that may be evicted."""

    key: str
    cost: int
    lost: int
    device_milli: int
    disrupted: int
    held: tuple[Held, ...]


def optimum(case: Case) -> tuple[int, tuple[str, ...]] | None:
    """Return the least cost and its victims, `None` where nothing makes room."""
    victims = legal(case)
    subsets = (
        subset
        for size in range(len(victims) + 1)
        for subset in itertools.combinations(victims, size)
    )
    for subset in sorted(subsets, key=lambda some: (sum(one.cost for one in some), len(some))):
        if within_limits(case, subset) and makes_room(case, subset):
            return sum(one.cost for one in subset), tuple(one.key for one in subset)
    return None


def legal(case: Case) -> list[Victim]:
    """Return everybody who may be evicted, each by themselves."""
    return [_victim(case, one) for one in case.running if _may_go(case, one)]


def _may_go(case: Case, one: Running) -> bool:
    is_newer = one.priority == case.gang.priority and one.queued_ns > case.gang.queued_ns
    is_behind = one.priority < case.gang.priority
    if case.rules.whom == "lower-or-newer-equal":
        is_behind = is_behind or is_newer
    may_wait_ns = case.rules.grace_ns_max
    is_in_time = may_wait_ns is None or one.grace_ns <= may_wait_ns
    is_fresh = one.key in case.limits.recently_evicted
    return is_behind and is_in_time and one.preemptible and not is_fresh


def _victim(case: Case, one: Running) -> Victim:
    bookings = [case.placer.snapshot.bookings[pod] for pod in one.pods]
    held = []
    disrupted = 0
    for booking in bookings:
        request = booking.assignment.template.request
        milli = request.devices.milli if request.devices else 0
        devices = tuple((position, milli) for position in booking.devices)
        held.append(Held(booking.assignment.node, request.resources.get(CPU), devices))
        app = dict(booking.assignment.template.labels)["app"]
        for budget in case.limits.budgets:
            assert budget.selector is not None
            disrupted += app in budget.selector.requirements[0].values
    device_milli = sum(milli for each in held for _, milli in each.devices)
    since_ns = one.started_ns if one.checkpoint_ns is None else one.checkpoint_ns
    product = device_milli * (NOW_NS - since_ns + one.restart_ns)
    lost = product // 10**9 + bool(product % 10**9)
    cost = lost + case.rules.eviction_price_device_ms
    return Victim(one.key, cost, lost, device_milli, disrupted, tuple(held))


def within_limits(case: Case, victims: Iterable[Victim]) -> bool:
    """Tell whether `victims` together stay within brakes and budgets."""
    some, limits = list(victims), case.limits
    amounts = [
        (limits.device_milli_left, sum(one.device_milli for one in some)),
        (limits.lost_device_ms_left, sum(one.lost for one in some)),
        *((budget.allowed, sum(one.disrupted for one in some)) for budget in limits.budgets),
    ]
    return all(left is None or taken <= left for left, taken in amounts)


def makes_room(case: Case, victims: Iterable[Victim]) -> bool:
    """Tell whether the gang could be put anywhere once `victims` have left."""
    snapshot = case.placer.snapshot
    boxes = []
    for node in snapshot.nodes.values():
        if node.unschedulable:
            continue
        slot = snapshot.slot_of[node.name]
        cpu = int(snapshot.fleet.free[slot, snapshot.fleet.resources[CPU]])
        left = snapshot.fleet.device_free[slot].tolist()[: len(node.devices)]
        for victim in victims:
            for held in victim.held:
                if held.node == node.name:
                    cpu += held.cpu
                    for position, milli in held.devices:
                        left[position] += milli
        devices = zip((device.model for device in node.devices), left, strict=True)
        boxes.append(Box(cpu, tuple(sorted(devices))))
    asks = sorted((_ask(template) for _, template in case.gang.pods), reverse=True)
    asks.sort(key=lambda ask: (-ask.devices * ask.milli, -ask.cpu))
    return _fits(tuple(sorted(boxes)), tuple(asks), set())


def _ask(template: PodTemplate) -> Ask:
    devices = template.request.devices
    cpu = template.request.resources.get(CPU)
    if devices is None:
        return Ask(cpu, 0, 0, ())
    return Ask(cpu, devices.count, devices.milli, devices.models)


def _fits(boxes: tuple[Box, ...], asks: tuple[Ask, ...], failed: set[tuple[Box, ...]]) -> bool:
    """Tell whether all of `asks` go into `boxes`; states of fewer asks were tried before.

    `failed` are the states of boxes, each reached with as many pods placed as its CPU tells, from
    which the rest does not fit.
    """
    if not asks:
        return True
    if boxes in failed:
        return False
    for position, box in enumerate(boxes):
        if box in boxes[:position]:
            continue  # the same as one that was tried
        for less in set(_taken(box, asks[0])):
            rest = tuple(sorted((*boxes[:position], less, *boxes[position + 1 :])))
            if _fits(rest, asks[1:], failed):
                return True
    failed.add(boxes)
    return False


def _taken(box: Box, ask: Ask) -> Iterator[Box]:
    """Yield what is left of `box` for each way in which it can give what is asked for."""
    if ask.cpu > box.cpu:
        return
    will_do = [
        position
        for position, (model, left) in enumerate(box.devices)
        if left >= ask.milli and (not ask.models or model in ask.models)
    ]
    for chosen in itertools.combinations(will_do, ask.devices):
        devices = [
            (model, left - ask.milli * (position in chosen))
            for position, (model, left) in enumerate(box.devices)
        ]
        yield Box(box.cpu - ask.cpu, tuple(sorted(devices)))


# -- the comparison


def compare(seed: int) -> Outcome:
    """Draw the case of `seed`, ask both, and compare."""
    case = draw(seed)
    if makes_room(case, ()):
        return Outcome(seed, is_drawn=False)
    several = len({template for _, template in case.gang.pods}) > 1
    start = time.process_time()
    ours = _ask_ours(case, case.rules)
    seconds = time.process_time() - start
    greedy = _ask_ours(case, msgspec.structs.replace(case.rules, exhaustive_max=0))
    best = optimum(case)
    return Outcome(
        seed,
        is_drawn=True,
        is_of_several_shapes=several,
        ratio=None if best is None else _ratio(ours, best[0]),
        greedy_ratio=None if best is None else _ratio(greedy, best[0]),
        claims_cheapest=ours is not None and ours.is_cheapest,
        wrong=_what_is_wrong(case, ours, best) or _what_is_wrong(case, greedy, best),
        seconds=seconds,
    )


def _ask_ours(case: Case, rules: VictimRules) -> Victims | None:
    placer, gang, limits = case.placer, case.gang, case.limits
    answer = cheapest(placer, gang, case.running, rules=rules, limits=limits, now_ns=NOW_NS)
    return answer if isinstance(answer, Victims) else None


def _ratio(ours: Victims | None, best: int) -> float:
    if ours is None:
        return float("inf")
    if best == 0:
        return 1.0 if ours.cost_device_ms == 0 else float("inf")
    return ours.cost_device_ms / best


def _what_is_wrong(
    case: Case, ours: Victims | None, best: tuple[int, tuple[str, ...]] | None
) -> str:
    """Return what the oracle's rules say against the victims; empty where nothing."""
    if ours is None:
        return ""
    by_key = {victim.key: victim for victim in legal(case)}
    if unlawful := set(ours.keys) - set(by_key):
        return f"may not be evicted: {sorted(unlawful)}"
    victims = [by_key[key] for key in ours.keys]
    cost = sum(victim.cost for victim in victims)
    if cost != ours.cost_device_ms:
        return f"the cost is {cost}, not {ours.cost_device_ms}"
    if not within_limits(case, victims):
        return "beyond brake or budget"
    if not makes_room(case, victims):
        return "makes no room"
    if best is not None and ours.is_cheapest and cost > best[0]:
        return f"is called the cheapest at {cost}, but {best} is cheaper"
    return ""


def outcomes(cases: int, first_seed: int) -> Iterator[Outcome]:
    """Yield outcomes seed by seed, until `cases` of them have an optimum."""
    found = 0
    with ProcessPoolExecutor() as pool:
        for start in itertools.count(first_seed, 40 * BATCH):
            for outcome in pool.map(compare, range(start, start + 40 * BATCH), chunksize=BATCH):
                yield outcome
                found += outcome.ratio is not None
                if found == cases:
                    pool.shutdown(cancel_futures=True)
                    return


def report(all_outcomes: Iterable[Outcome]) -> int:
    """Print what the outcomes say; return 1 where any misses."""
    drawn = [one for one in all_outcomes if one.is_drawn]
    with_optimum = [one for one in drawn if one.ratio is not None]
    missed = [one for one in with_optimum if one.ratio is not None and one.ratio > RATIO_MAX]
    wrong = [one for one in drawn if one.wrong]
    several = sum(one.is_of_several_shapes for one in with_optimum)
    print(f"cases                      {len(with_optimum)}, {several} of several shapes")
    print(f"without any victim set     {len(drawn) - len(with_optimum)} more")
    print(f"called the cheapest        {_percent(one.claims_cheapest for one in with_optimum)}")
    ours = [one.ratio for one in with_optimum if one.ratio is not None]
    greedy = [one.greedy_ratio for one in with_optimum if one.greedy_ratio is not None]
    for name, ratios in (("ours", ours), ("without exhaustive search", greedy)):
        known = [ratio for ratio in ratios if np.isfinite(ratio)] or [1.0]
        print(
            f"{name:<26} {_percent(ratio == 1 for ratio in ratios)} optimal   "
            f"worst {max(known):.4f}   mean {np.mean(known):.6f}   "
            f"above {RATIO_MAX:.2f}: {sum(ratio > RATIO_MAX for ratio in known)}   "
            f"no answer: {sum(map(np.isinf, ratios))}"
        )
    print(f"CPU seconds of ours        {sum(one.seconds for one in drawn):.1f}")
    for one in missed[:10]:
        print(f"seed {one.seed}: {one.ratio} times the optimum   MISSED")
    for one in wrong[:10]:
        print(f"seed {one.seed}: {one.wrong}   WRONG")
    return 1 if missed or wrong else 0


def _percent(facts: Iterable[bool]) -> str:
    known = list(facts)
    return f"{100 * sum(known) / max(1, len(known)):.2f} %"


def main(argv: list[str] | None = None) -> int:
    """Compare and print; return 1 where the promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m verification.victims", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", type=int, default=10_000, help="cases with an optimum")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    arguments = parser.parse_args(argv)
    return report(outcomes(arguments.cases, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
