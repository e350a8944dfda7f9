"""The other side of every instruction: an API server, kubelets and pods in virtual time.

`write`, `look` and `take_back` send a request. It arrives when the `World` says, if it does, and is
carried out on what is so at that instant: a pod is bound once, one that is gone stays gone, and a
write that comes late finds things as they are. What is heard of all this comes out of `happen`: the
events that `gpuyard.scheduling.commitments` knows, and `PodLeft` when a node is free of a pod.

Of what happens to a pod at one instant only the last is seen, as a watch shows it: where the watch
takes no time, no reply is heard of a write that was carried out, only what became of the pod.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from typing import NamedTuple, TypeAlias

import msgspec

from gpuyard.model.commitments import (
    Confirmed,
    GiveUp,
    Heard,
    MemberFailed,
    MemberGone,
    MemberReady,
    MemberWaiting,
    NotWritten,
    PutBack,
    Reread,
    Write,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.twin.world import Fault, Try, World, fault, happens, lasts_ns


class PodLeft(NamedTuple):
    """The pod is gone and its node has what it held."""

    pod: str


News: TypeAlias = Heard | PodLeft
_Act: TypeAlias = Callable[[int], Iterable[News]]


class _Pod(msgspec.Struct):
    """A pod that exists, and the start that it belongs to."""

    tried: Try
    commitment: str
    attempt_ns: int
    node: str = ""
    is_leaving: bool = False
    requests: int = 0  # looks and deletions so far


class ApiServer:
    """Everything that happens to pods, in the order of time."""

    def __init__(self, world: World) -> None:
        """Start with no pods."""
        self.world = world
        self.writes = 0
        self._pods: dict[str, _Pod] = {}
        self._due: list[tuple[int, int, _Act]] = []
        self._order = count()

    def next_ns(self) -> int | None:
        """Return when something happens next."""
        return self._due[0][0] if self._due else None

    def happen(self, now_ns: int) -> Iterator[News]:
        """Let happen what is due, also what is asked for meanwhile; yield what is heard of it."""
        while self._due and self._due[0][0] <= now_ns:
            at_ns, _, act = heapq.heappop(self._due)
            yield from act(at_ns)

    def exists(self, pod: str) -> bool:
        """Tell whether there is such a pod, on a node or not."""
        return pod in self._pods

    def forget(self, pod: str) -> None:
        """Let a pod be gone at once: it ended, or its owner took it away."""
        self._pods.pop(pod, None)

    # -- requests

    def write(self, order: Write, tried: Try, now_ns: int) -> None:
        """Send `order`, the next or the first write in this try."""
        world, about = self.world, (tried.pod, tried.number, order.write)
        self.writes += 1
        if order.write == 1:
            self._pods[order.pod] = _Pod(tried, order.workload, order.attempt_ns)
        at_ns = now_ns + lasts_ns(world, world.write, "write", *about)
        if not happens(world, world.request_lost_share, "write lost", *about):
            self._at(at_ns, partial(self._arrive, order))
        elif not happens(world, world.silent_share, "silent", *about):
            self._at(at_ns, _says(_lost(order)))

    def look(self, order: Reread, now_ns: int) -> None:
        """Send the question where a pod is. Without an answer the asker asks again."""
        self._request("look", order.pod, partial(self._answer, order), now_ns)

    def take_back(self, order: PutBack | GiveUp, now_ns: int) -> None:
        """Send a deletion for each pod. Where one is lost, the order is repeated."""
        for name in order.pods:
            self._request("delete", name, partial(self._delete, order, name), now_ns)

    def _request(self, what: str, name: str, act: _Act, now_ns: int) -> None:
        world, pod = self.world, self._pods.get(name)
        about: tuple[str | int, ...] = (what, name)
        if pod is not None:
            pod.requests += 1
            about = (what, name, pod.tried.number, pod.requests)
        if not happens(world, world.request_lost_share, "request lost", *about):
            self._at(now_ns + lasts_ns(world, world.write, "request", *about), act)

    # -- what they do when they arrive

    def _arrive(self, order: Write, now_ns: int) -> Iterable[News]:
        """Bind the pod, or refuse."""
        world, pod = self.world, self._of(order, order.pod)
        if pod is None or pod.is_leaving:
            return (_refused(order, "NotFound"),)
        if pod.node:
            return (_refused(order, "Conflict"),)
        wrong = fault(world, "write", pod.tried, order.node, now_ns)
        if wrong is not None:
            return (_refused(order, wrong.reason, own_fault=wrong.own_fault),)
        pod.node = order.node
        about = pod.tried[1:]
        seen_after_ns = lasts_ns(world, world.watch, "watch", *about)
        self._live(pod, now_ns, now_ns + seen_after_ns)
        if not seen_after_ns:
            return ()
        if not happens(world, world.reply_lost_share, "reply lost", *about, order.write):
            return (_accepted(order),)
        is_silent = happens(world, world.silent_share, "silent", *about, order.write)
        return () if is_silent else (_lost(order),)

    def _answer(self, order: Reread, now_ns: int) -> Iterable[News]:
        pod = self._of(order, order.pod)
        if pod is None:
            return (_gone(order, order.pod),)
        if pod.node:
            return (_confirmed(pod),)
        return (
            NotWritten(
                workload=order.workload,
                attempt_ns=order.attempt_ns,
                pod=order.pod,
                write=order.write,
            ),
        )

    def _delete(self, order: PutBack | GiveUp, name: str, now_ns: int) -> Iterable[News]:
        """Ask a pod to go; one without a node is gone at once."""
        world, pod = self.world, self._of(order, name)
        if pod is None:
            return (_gone(order, name),)
        if pod.is_leaving:
            return ()
        if not pod.node:
            return self._leave(pod, now_ns)
        pod.is_leaving = True
        about = pod.tried[1:]
        self._at(now_ns + lasts_ns(world, world.leave, "leave", *about), partial(self._leave, pod))
        return ()

    # -- what pods do

    def _live(self, pod: _Pod, now_ns: int, seen_ns: int) -> None:
        """Let a pod start on its node, or fail; whoever watches sees it from `seen_ns` on."""
        world, about = self.world, pod.tried[1:]
        wrong = fault(world, "admission", pod.tried, pod.node, now_ns)
        if wrong is not None:
            self._at(seen_ns, partial(self._show, pod, _failed(pod, wrong)))
            return
        start_ns = lasts_ns(world, world.start, "start", *about)
        is_slow = happens(world, world.slow_share, "slow", *about)
        if is_slow:
            start_ns += lasts_ns(world, world.slow, "slow start", *about)
        if start_ns:
            seen = _waiting(pod, world.slow_reason) if is_slow else _confirmed(pod)
            self._at(seen_ns, partial(self._show, pod, seen))
        wrong = fault(world, "start", pod.tried, pod.node, now_ns)
        end = _failed(pod, wrong) if wrong is not None else _ready(pod)
        self._at(seen_ns + start_ns, partial(self._show, pod, end))

    def _show(self, pod: _Pod, heard: Heard, now_ns: int) -> Iterable[News]:
        """Tell what became of a pod, unless it is on its way out."""
        is_there = self._pods.get(pod.tried.pod) is pod and not pod.is_leaving
        return (heard,) if is_there else ()

    def _leave(self, pod: _Pod, now_ns: int) -> Iterable[News]:
        name = pod.tried.pod
        if self._pods.get(name) is not pod:
            return ()
        del self._pods[name]
        gone = MemberGone(workload=pod.commitment, attempt_ns=pod.attempt_ns, pod=name)
        return PodLeft(name), gone

    # -- shared

    def _of(self, order: Write | Reread | PutBack | GiveUp, name: str) -> _Pod | None:
        """Return the pod that an order is about, unless that one is gone."""
        pod = self._pods.get(name)
        if pod is None or (pod.commitment, pod.attempt_ns) != (order.workload, order.attempt_ns):
            return None
        return pod

    def _at(self, at_ns: int, act: _Act) -> None:
        heapq.heappush(self._due, (at_ns, next(self._order), act))


# -- what is heard


def _says(heard: Heard) -> _Act:
    return lambda _now_ns: (heard,)


def _accepted(order: Write) -> WriteAccepted:
    return WriteAccepted(
        workload=order.workload, attempt_ns=order.attempt_ns, pod=order.pod, write=order.write
    )


def _refused(order: Write, reason: str, *, own_fault: bool = False) -> WriteRefused:
    return WriteRefused(
        workload=order.workload,
        attempt_ns=order.attempt_ns,
        pod=order.pod,
        write=order.write,
        reason=reason,
        own_fault=own_fault,
    )


def _lost(order: Write) -> WriteLost:
    return WriteLost(
        workload=order.workload, attempt_ns=order.attempt_ns, pod=order.pod, write=order.write
    )


def _gone(order: Reread | PutBack | GiveUp, name: str) -> MemberGone:
    return MemberGone(workload=order.workload, attempt_ns=order.attempt_ns, pod=name)


def _confirmed(pod: _Pod) -> Confirmed:
    return Confirmed(
        workload=pod.commitment, attempt_ns=pod.attempt_ns, pod=pod.tried.pod, node=pod.node
    )


def _waiting(pod: _Pod, reason: str) -> MemberWaiting:
    return MemberWaiting(
        workload=pod.commitment, attempt_ns=pod.attempt_ns, pod=pod.tried.pod, reason=reason
    )


def _ready(pod: _Pod) -> MemberReady:
    return MemberReady(workload=pod.commitment, attempt_ns=pod.attempt_ns, pod=pod.tried.pod)


def _failed(pod: _Pod, wrong: Fault) -> MemberFailed:
    return MemberFailed(
        workload=pod.commitment,
        attempt_ns=pod.attempt_ns,
        pod=pod.tried.pod,
        reason=wrong.reason,
        own_fault=wrong.own_fault,
    )
