"""Commitments against a small world in which everything goes wrong in any order.

The world binds pods as an API server does: once, never a pod that is gone, each write when it
arrives. What it says is delivered in any order, any number of times, or never. Whatever happens:
the invariants hold after each step, the log replays, no write is repeated without a look that came
after it, and once the world calms down every workload runs whole, is back whole, or is given up,
and nothing is held.
"""

from collections import Counter

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gpuyard.model.commitments import (
    CommitmentLog,
    CommitmentRules,
    Confirmed,
    Ended,
    Evict,
    GiveUp,
    MemberFailed,
    MemberGone,
    MemberReady,
    MemberWaiting,
    NotWritten,
    Planned,
    PutBack,
    Release,
    Replan,
    Reread,
    Tick,
    VictimGone,
    VictimStuck,
    WorkloadDeleted,
    Write,
    WriteAccepted,
    WriteLost,
    WriteRefused,
)
from gpuyard.model.ledger import BackOff, Hold
from gpuyard.scheduling.commitments import Commitments, changes, replay
from gpuyard.scheduling.ledger import Ledger

RULES = CommitmentRules(
    ready_within_ns=40,
    back_off_base_ns=3,
    back_off_max_ns=9,
    faults_max=1,
    reply_within_ns=5,
    writes_max=3,
    gone_within_ns=10,
    replans_max=1,
    put_back_within_ns=6,
    put_back_repeats_max=2,
    commitments_max=3,
    members_max=5,
)
WORKLOADS = ("a", "b", "c", "d")
VICTIMS = ("u", "v")
NODES = ("n1", "n2")
TICKS_MAX = 200


class World:
    """Pods by (workload, attempt, pod), and what has been said and not yet been delivered."""

    def __init__(self):
        self.bound = {}  # to which node
        self.gone = set()  # and no write brings it back
        self.writes = []  # on their way to the API
        self.looks = Counter()  # looks that found nothing, by pod and write
        self.said = []  # events that may be delivered
        self.stuck = set()  # pods that do not leave
        self.stays = set()  # victims that do not leave

    def carry_out(self, write):
        """Bind a pod, or not, and return the reply."""
        pod = identity(write)
        named = addressed(write)
        if pod in self.gone or pod in self.bound:
            return WriteRefused(**named, write=write.write, reason="Conflict")
        self.bound[pod] = write.node
        self.said.append(Confirmed(**named, node=write.node))
        return WriteAccepted(**named, write=write.write)

    def look(self, reread):
        pod, named = identity(reread), addressed(reread)
        if pod in self.gone:
            return MemberGone(**named)
        if pod in self.bound:
            return Confirmed(**named, node=self.bound[pod])
        self.looks[pod, reread.write] += 1
        return NotWritten(**named, write=reread.write)

    def take_back(self, order):
        for name in order.pods:
            pod = (order.workload, order.attempt_ns, name)
            if pod not in self.stuck:
                self.remove(pod)

    def remove(self, pod):
        self.bound.pop(pod, None)
        self.gone.add(pod)
        workload, attempt_ns, name = pod
        self.said.append(MemberGone(workload=workload, attempt_ns=attempt_ns, pod=name))


def identity(about):
    return about.workload, about.attempt_ns, about.pod


def addressed(about):
    return {"workload": about.workload, "attempt_ns": about.attempt_ns, "pod": about.pod}


class Machine(RuleBasedStateMachine):
    """Plans, deliveries, losses, failures and time in any order."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.commitments = Commitments(RULES)
        self.ledger = Ledger()
        self.now_ns = 1
        self.rereads = []
        self.replans = set()
        self.began = set()  # attempts
        self.ended = {}  # attempt -> outcome
        self.written = Counter()  # by pod
        self.meant = {}  # by workload: the nodes that were planned last

    # -- what the machine does with instructions

    def tell(self, event):
        instructions = self.commitments.apply(event, self.now_ns)
        self.began |= {(each.workload, each.attempt_ns) for each in self.commitments.all()}
        for instruction in instructions:
            self.ledger = self.ledger.after(changes(instruction, self.ledger))
            self.obey(instruction)
        self.commitments.validate()

    def obey(self, instruction):
        match instruction:
            case Write():
                self.check_write(instruction)
                self.world.writes.append(instruction)
            case Reread():
                self.rereads.append(instruction)
            case PutBack() | GiveUp():
                self.check_back_off(instruction)
                self.world.take_back(instruction)
            case Evict(victim=victim):
                if victim not in self.world.stays:
                    self.world.said.append(VictimGone(victim))
            case Replan(workload=workload, attempt_ns=attempt_ns):
                assert (workload, attempt_ns) not in self.replans  # once
                self.replans.add((workload, attempt_ns))
            case Release(workload=workload):
                assert self.ledger.get(Hold, workload) is None
            case Ended():
                self.check_end(instruction)

    def check_write(self, write):
        pod = identity(write)
        self.written[pod] += 1
        assert write.write == self.written[pod] <= RULES.writes_max
        if write.write > 1:
            assert self.world.looks[pod, write.write - 1], "written again without a look"

    def check_back_off(self, order):
        entry = self.ledger.get(BackOff, order.workload)
        assert entry == order.back_off
        if isinstance(order, PutBack):
            assert self.now_ns < entry.not_before_ns <= self.now_ns + RULES.back_off_max_ns or (
                order.pods  # repeated
            )

    def check_end(self, ended):
        attempt = ended.workload, ended.attempt_ns
        assert attempt not in self.ended, "ended twice"
        self.ended[attempt] = ended.outcome
        self.began.add(attempt)
        assert self.ledger.get(Hold, ended.workload) is None
        there = {pod for pod in self.world.bound if pod[:2] == attempt}
        if ended.outcome == "put-back":
            assert not there, "put back, and some are still there"
        if ended.outcome == "given-up" and there:
            assert there <= self.world.stuck
            assert self.ledger.get(BackOff, ended.workload).reason == "StuckTerminating"
        if ended.outcome == "running":
            meant = self.meant[ended.workload]
            lost = {pod for pod in self.world.gone if pod[:2] == attempt}
            assert {pod[2] for pod in there | lost} == set(meant), "some never had a node"
            assert all(self.world.bound[pod] == meant[pod[2]] for pod in there)

    # -- what happens

    @rule(
        workload=st.sampled_from(WORKLOADS),
        nodes=st.lists(st.sampled_from(NODES), min_size=1, max_size=3),
        victims=st.frozensets(st.sampled_from(VICTIMS)),
        hold_for_ns=st.none() | st.integers(1, 60),
    )
    def plan(self, workload, nodes, victims, hold_for_ns):
        known = self.ledger.get(BackOff, workload)
        now = self.commitments.get(workload)
        if now is not None and now.state != "replanning":
            return
        if (
            now is None
            and known is not None
            and (known.not_before_ns is None or known.not_before_ns > self.now_ns)
        ):
            return
        until_ns = None if hold_for_ns is None else self.now_ns + hold_for_ns
        if until_ns is not None:
            hold = Hold(workload=workload, rooms=(), since_ns=self.now_ns, until_ns=until_ns)
            self.ledger = Ledger([*self.ledger.entries(), hold])
        named = {f"{workload}-{index}": node for index, node in enumerate(nodes)}
        self.meant[workload] = named
        self.tell(
            Planned(
                workload=workload,
                nodes=named,
                victims=victims,
                hold_until_ns=until_ns,
                before=known,
            )
        )

    @rule(
        draw=st.data(), fate=st.sampled_from(["answered", "reply lost", "never arrives", "silent"])
    )
    @precondition(lambda self: self.world.writes)
    def a_write_arrives(self, draw, fate):
        write = self.taken(draw, self.world.writes)
        if fate == "never arrives":
            self.tell(WriteLost(**addressed(write), write=write.write))
            return
        reply = self.world.carry_out(write)
        if fate == "answered":
            self.world.said.append(reply)
        if fate == "reply lost":
            self.world.said.append(WriteLost(**addressed(write), write=write.write))

    @rule(workload=st.sampled_from(WORKLOADS), how_well=st.integers(1, 3))
    def a_start_goes_well(self, workload, how_well):
        """All that is out is carried out and heard of, and perhaps all but one become ready."""
        for write in [each for each in self.world.writes if each.workload == workload]:
            self.world.writes.remove(write)
            self.tell(self.world.carry_out(write))
        now = self.commitments.get(workload)
        attempt = (workload, now.attempt_ns) if now else None
        there = sorted(pod for pod in self.world.bound if pod[:2] == attempt)
        for pod in there if how_well > 1 else there[1:]:
            named = {"workload": pod[0], "attempt_ns": pod[1], "pod": pod[2]}
            self.tell(Confirmed(**named, node=self.world.bound[pod]))
            if how_well > 2:
                self.tell(MemberReady(**named))

    @rule(draw=st.data())
    @precondition(lambda self: self.world.writes)
    def a_reply_is_late_and_the_write_as_well(self, draw):
        write = draw.draw(st.sampled_from(self.world.writes))  # it stays on its way
        self.tell(WriteLost(**addressed(write), write=write.write))

    @rule(draw=st.data(), is_answered=st.booleans())
    @precondition(lambda self: self.rereads)
    def a_look_is_made(self, draw, is_answered):
        answer = self.world.look(self.taken(draw, self.rereads))
        if is_answered:
            self.world.said.append(answer)

    @rule(draw=st.data(), times=st.integers(0, 2), keep=st.booleans())
    @precondition(lambda self: self.world.said)
    def deliver(self, draw, times, keep):
        event = draw.draw(st.sampled_from(self.world.said))
        if not keep and (times or is_reply(event)):  # the watch loses nothing for ever
            self.world.said.remove(event)
        for _ in range(times):
            self.tell(event)

    @rule(draw=st.data(), kind=st.sampled_from([MemberReady, MemberWaiting, MemberFailed]))
    @precondition(lambda self: self.world.bound)
    def a_member_goes_on(self, draw, kind):
        workload, attempt_ns, pod = draw.draw(st.sampled_from(sorted(self.world.bound)))
        told = {} if kind is MemberReady else {"reason": kind.__name__}
        self.world.said.append(kind(workload=workload, attempt_ns=attempt_ns, pod=pod, **told))

    @rule(draw=st.data(), is_stuck=st.booleans())
    @precondition(lambda self: self.world.bound)
    def a_member_vanishes_or_will_never_leave(self, draw, is_stuck):
        pod = draw.draw(st.sampled_from(sorted(self.world.bound)))
        if is_stuck:
            self.world.stuck.add(pod)
        elif pod not in self.world.stuck:
            self.world.remove(pod)

    @rule(victim=st.sampled_from(VICTIMS), stays=st.booleans())
    def a_victim_changes_its_mind(self, victim, stays):
        (self.world.stays.add if stays else self.world.stays.discard)(victim)

    @rule(victim=st.sampled_from(VICTIMS), kind=st.sampled_from([VictimGone, VictimStuck]))
    def a_victim_is_heard_of(self, victim, kind):
        self.tell(kind(victim))

    @rule(workload=st.sampled_from(WORKLOADS))
    def delete(self, workload):
        now = self.commitments.get(workload)
        if now is not None:  # the owner takes the pods away
            for pod in now.members:
                self.world.remove((workload, now.attempt_ns, pod))
                self.world.stuck.discard((workload, now.attempt_ns, pod))
        self.tell(WorkloadDeleted(workload))
        assert self.commitments.get(workload) is None

    @rule(ns=st.integers(1, 15))
    def time_passes(self, ns):
        self.now_ns += ns
        self.tell(Tick())

    @rule()
    def crash(self):
        """The table is lost; the next process says what was on its way, from what it can see."""
        former = self.commitments.all()
        self.world.writes.clear()  # with the process go its requests
        self.rereads.clear()
        # To start a process takes longer than the few instants by which names may run ahead.
        self.now_ns = max(self.now_ns, self.commitments._last_attempt_ns) + 1
        self.commitments = Commitments(RULES, now_ns=self.now_ns)
        for old in former:
            self.ended[old.workload, old.attempt_ns] = "lost"
            self.recover(old)

    def recover(self, old):
        hold = self.ledger.get(Hold, old.workload)
        if old.state != "starting":  # nothing was written, or all of it is leaving: plan anew
            for pod in [
                pod for pod in self.world.bound if pod[:2] == (old.workload, old.attempt_ns)
            ]:
                self.world.remove(pod)
            if hold:
                self.ledger = Ledger(each for each in self.ledger.entries() if each != hold)
            return
        attempt = old.workload, self.next_attempt_ns()
        self.meant[old.workload] = {pod: member.node for pod, member in old.members.items()}
        for world in (self.world.bound, self.world.gone, self.world.stuck):
            for pod in [pod for pod in world if pod[:2] == (old.workload, old.attempt_ns)]:
                renamed = (*attempt, pod[2])
                if world is self.world.bound:
                    world[renamed] = world.pop(pod)
                else:
                    world.remove(pod)
                    world.add(renamed)
        for pod in old.members:
            self.written[*attempt, pod] = 1  # as far as anybody knows
        self.tell(
            Planned(
                workload=old.workload,
                nodes=self.meant[old.workload],
                hold_until_ns=hold.until_ns if hold else None,
                before=self.ledger.get(BackOff, old.workload),
                recovered_since_ns=old.attempt_ns,
            )
        )

    def next_attempt_ns(self):
        """Return how the next attempt will be named."""
        return max(self.now_ns, self.commitments._last_attempt_ns + 1)

    @staticmethod
    def taken(draw, things):
        return things.pop(draw.draw(st.integers(0, len(things) - 1)))

    # -- what holds

    @invariant()
    def the_log_replays(self):
        written = msgspec.json.encode(self.commitments.log())
        again = replay(msgspec.json.decode(written, type=CommitmentLog))
        assert again.all() == self.commitments.all()

    @invariant()
    def what_is_held_is_held_for_somebody_on_the_way(self):
        for workload in self.ledger.of(Hold):
            now = self.commitments.get(workload)
            assert now is not None
            assert now.hold_until_ns is not None

    def teardown(self):
        """The world calms down: all is delivered, and time passes until nobody waits."""
        for _ in range(TICKS_MAX):
            for write in [*self.world.writes]:
                self.world.writes.remove(write)
                self.world.said.append(self.world.carry_out(write))
            while self.rereads:
                self.world.said.append(self.world.look(self.rereads.pop()))
            while self.world.said:
                self.tell(self.world.said.pop(0))
            if self.world.writes or self.rereads:
                continue
            due_ns = self.commitments.next_due_ns()
            if due_ns is None:
                break
            self.now_ns = max(self.now_ns + 1, due_ns)
            self.tell(Tick())
        assert self.commitments.all() == ()
        assert self.ledger.of(Hold) == {}
        assert set(self.ended) == self.began


def is_reply(event):
    return isinstance(event, WriteAccepted | WriteRefused | WriteLost | NotWritten)


TestCommitments = Machine.TestCase
TestCommitments.settings = settings(stateful_step_count=40)
