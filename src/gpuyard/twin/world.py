"""What no scheduler decides: how long things take, what is refused, what gets lost, who fails.

A `World` is data. By default everything happens at once and nothing goes wrong; each field makes it
rougher in one way, and the same code runs whatever they say.

Chance is drawn by name. A draw depends on the world's seed and on what it is about (which pod,
which of its tries, which write), and on nothing else: neither on the policy, nor on the time, nor
on what was drawn before. So two policies meet the very same world, and a difference between them is
their own (common random numbers).

The kubelet's refusals are those of k8s.io/kubernetes v1.36, pkg/kubelet/lifecycle
(``OutOfnvidia.com/gpu``, ``OutOfcpu``, ...) and pkg/kubelet/cm (``UnexpectedAdmissionError``,
``TopologyAffinityError``); a bound or deleted pod is answered with 409 (``Conflict``). What users'
jobs do themselves: torchrun's rendezvous gives up after 600 s (``join_timeout``); a Job's failed
pods come back after 10 s, doubled each time, at most 6 min (Kubernetes' Job controller).
"""

from hashlib import blake2b
from math import log1p
from typing import Literal, NamedTuple

import msgspec

from gpuyard.model.ledger import NEVER_NS

SECOND_NS = 10**9

Stage = Literal["write", "admission", "start"]


class Try(NamedTuple):
    """One try of a pod to start; `number` counts them from 1."""

    workload: str
    pod: str
    number: int


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """How long something takes: `least_ns`, and beyond it an exponentially distributed part."""

    least_ns: int = 0
    mean_extra_ns: int = 0

    def __post_init__(self) -> None:
        """Refuse what would lead back in time."""
        if self.least_ns < 0 or self.mean_extra_ns < 0:
            raise ValueError(f"a delay of {self.least_ns} + {self.mean_extra_ns} ns is less than 0")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with this `share` (0..1) of tries, and where on the way.

    ``write``: the API server refuses the write. ``admission``: the kubelet refuses the pod.
    ``start``: the pod fails on its node. With `of` a ``workload`` it is drawn once for each
    workload, whose members then fail at every try (a poison job). Only on `nodes`, where some are
    named, and only from `from_ns` until `until_ns`. `own_fault`: elsewhere it would fail as well.
    """

    reason: str
    at: Stage
    share: float
    of: Literal["try", "workload"] = "try"
    own_fault: bool = False
    nodes: tuple[str, ...] = ()
    from_ns: int = 0
    until_ns: int = NEVER_NS

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        _check_share("fault", self.share)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How long everything takes and what goes wrong.

    `write` is the way of any request to the API server and back; what it changed is seen `watch`
    later. A pod is ready `start` after it came to its node, the share `slow_share` of pods `slow`
    later than that. A pod that is asked to go is gone after `leave`.

    Of all requests `request_lost_share` never arrive, of the replies to writes `reply_lost_share`
    do not. Whoever asked sees an error when the answer was due, except with `silent_share` of them.
    What the watch shows overtakes a reply, so a lost one is felt only where `watch` takes time.
    """

    rendezvous_timeout_ns: int = 600 * SECOND_NS
    retry_first_ns: int = 10 * SECOND_NS
    retry_longest_ns: int = 360 * SECOND_NS
    seed: int = 0
    write: Delay = Delay()
    watch: Delay = Delay()
    start: Delay = Delay()
    leave: Delay = Delay()
    slow_share: float = 0.0
    slow: Delay = Delay()
    slow_reason: str = "ContainerCreating"
    request_lost_share: float = 0.0
    reply_lost_share: float = 0.0
    silent_share: float = 0.0
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        for name in ("slow_share", "request_lost_share", "reply_lost_share", "silent_share"):
            _check_share(name, getattr(self, name))


def lasts_ns(world: World, delay: Delay, *about: str | int) -> int:
    """Return how long what `about` names takes."""
    if not delay.mean_extra_ns:
        return delay.least_ns
    return delay.least_ns + round(-log1p(-drawn(world, *about)) * delay.mean_extra_ns)


def happens(world: World, share: float, *about: str | int) -> bool:
    """Tell whether what `about` names is one of the `share`."""
    return share > 0 and drawn(world, *about) < share


def fault(world: World, at: Stage, tried: Try, node: str, now_ns: int) -> Fault | None:
    """Return the first fault that hits this try at this stage, if any does."""
    for index, one in enumerate(world.faults):
        about = tried[1:] if one.of == "try" else tried[:1]
        if (
            one.at == at
            and one.from_ns <= now_ns < one.until_ns
            and (not one.nodes or node in one.nodes)
            and happens(world, one.share, "fault", index, *about)
        ):
            return one
    return None


def drawn(world: World, *about: str | int) -> float:
    """Return a number from 0 to below 1 that belongs to `about` in this world."""
    digest = blake2b(repr((world.seed, *about)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # as many bits as a float keeps


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name}: a share of {share} is not between 0 and 1")
