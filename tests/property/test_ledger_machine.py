"""The ledger against a plain dictionary, with limits that are met all the time."""

import msgspec
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gpuyard.model.ledger import (
    KINDS,
    Account,
    BackOff,
    DecayedUsage,
    EntryPenalty,
    Forgotten,
    Hold,
    LedgerChange,
    Recorded,
)
from gpuyard.scheduling import admission_fair_sharing as afs
from gpuyard.scheduling.ledger import Ledger, LedgerFullError

LIMITS = {Hold: 3, BackOff: 3, DecayedUsage: 3, EntryPenalty: 15}  # no charge is crowded out
WORKLOADS = st.sampled_from("abcde")
ACCOUNTS = st.sampled_from([Account("queue", "q"), Account("user", "u"), Account("queue", "r")])
INSTANTS = st.integers(0, 20)
AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "gpu"]), st.integers(0, 10**12)).map(
    lambda amounts: tuple(sorted(amounts.items()))
)

HOLDS = st.builds(
    Hold, workload=WORKLOADS, rooms=st.just(()), since_ns=st.just(0), until_ns=INSTANTS
)
BACK_OFFS = st.builds(
    BackOff,
    workload=WORKLOADS,
    attempts=st.integers(1, 4),
    faults=st.just(0),
    not_before_ns=st.none() | INSTANTS,
    reason=st.just("NotReady"),
)
CHANGES = st.builds(Recorded, HOLDS | BACK_OFFS) | st.builds(Forgotten, HOLDS | BACK_OFFS)


class Machine(RuleBasedStateMachine):
    """Changes, sweeps, charges and samples in any order."""

    def __init__(self):
        super().__init__()
        self.limits = {kind: KINDS[kind] for kind in LIMITS}
        for kind, limit in LIMITS.items():
            KINDS[kind] = msgspec.structs.replace(KINDS[kind], limit=limit)
        self.ledger = Ledger()
        self.now_ns = 0

    def teardown(self):
        KINDS.update(self.limits)

    @rule(changes=st.lists(CHANGES, max_size=6))
    def change(self, changes):
        before = self.ledger
        kept = Ledger(before.entries())
        try:
            self.ledger = before.after(changes)
        except LedgerFullError:
            assert before.room(Hold) < sum(type(each.entry) is Hold for each in changes)
        assert before == kept
        if self.ledger is not before:
            one_by_one = before
            for change in changes:
                one_by_one = one_by_one.after([change])
            newest = {each.entry.key: each for each in changes if type(each.entry) is Hold}
            for key, change in newest.items():
                stands = change.entry if isinstance(change, Recorded) else None
                assert self.ledger.get(Hold, key) == stands
            assert self.ledger.of(Hold) == one_by_one.of(Hold)

    @rule(ns=INSTANTS)
    def sweep(self, ns):
        self.now_ns += ns
        self.ledger = self.ledger.after(self.ledger.expired(self.now_ns))
        assert self.ledger.expired(self.now_ns) == ()

    @rule(account=ACCOUNTS, workload=WORKLOADS, amounts=AMOUNTS)
    def push(self, account, workload, amounts):
        self.ledger = self.ledger.after(
            afs.pushed(self.ledger, account, workload, amounts, now_ns=self.now_ns, half_life_ns=7)
        )

    @rule(account=ACCOUNTS, workload=WORKLOADS)
    def drop(self, account, workload):
        self.ledger = self.ledger.after(afs.dropped(self.ledger, account, workload))
        assert afs.dropped(self.ledger, account, workload) == ()

    @rule(account=ACCOUNTS, workload=WORKLOADS)
    def settle_now(self, account, workload):
        """What is consumed and what is pending add up to the same before and after."""
        before = self.total(account)
        self.ledger = self.ledger.after(
            afs.settled(self.ledger, account, workload, (), now_ns=0, half_life_ns=7)
        )
        assert self.total(account) == before

    @rule(account=ACCOUNTS, held=AMOUNTS)
    def sample(self, account, held):
        before = self.ledger.get(DecayedUsage, account)
        consumed = dict(before.amounts_nano) if before else {}
        self.ledger = self.ledger.after(
            afs.sampled(self.ledger, account, held, now_ns=self.now_ns, half_life_ns=7)
        )
        for name, amount in self.ledger.get(DecayedUsage, account).amounts_nano:
            ends = consumed.get(name, 0), dict(held).get(name, 0)
            assert max(0, min(ends) - 2) <= amount <= max(ends)  # two roundings

    def total(self, account):
        usage = self.ledger.get(DecayedUsage, account)
        total = dict(usage.amounts_nano if usage else ())
        for name, amount in afs.pending_penalties(self.ledger).get(account, ()):
            total[name] = total.get(name, 0) + amount
        return {name: amount for name, amount in total.items() if amount}

    @invariant()
    def it_is_sound(self):
        self.ledger.validate()

    @invariant()
    def it_survives_a_file(self):
        written = msgspec.json.encode([Recorded(entry) for entry in self.ledger.entries()])
        assert Ledger().after(msgspec.json.decode(written, type=list[LedgerChange])) == self.ledger


TestLedger = Machine.TestCase
TestLedger.settings = settings(stateful_step_count=30)
