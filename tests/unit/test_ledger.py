"""What only we know: entries by key, changes, limits, and what may be evicted or tried again."""

from typing import get_args

import msgspec
import pytest

from gpuyard.model.ledger import (
    KINDS,
    Account,
    BackOff,
    DecayedUsage,
    EntryPenalty,
    Eviction,
    EvictionRules,
    Forgotten,
    Hold,
    LedgerChange,
    LedgerEntry,
    Quarantine,
    QuarantineRules,
    Recorded,
    Reservation,
    Room,
    RuntimeEstimate,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import DeviceRequest, Request
from gpuyard.scheduling.ledger import Ledger, LedgerFullError
from gpuyard.scheduling.ledger.delays import growing_delay_ns, quarantined, refused
from gpuyard.scheduling.ledger.evictions import binding_limit, eviction, gave_way

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

EIGHT = Request(devices=DeviceRequest(count=8))
ONE = Request(devices=DeviceRequest(count=1), resources=Resources.of({"cpu": 1000}))
ROOM = Room(request=EIGHT, count=2, node="n1")
TEAM = Account("queue", "ml/team")
ANN = Account("user", "ann")


def hold(workload="w", until_ns=HOUR):
    return Hold(workload=workload, rooms=(ROOM,), since_ns=0, until_ns=until_ns)


def back_off(workload="w", not_before_ns=MINUTE, attempts=1):
    return BackOff(
        workload=workload,
        attempts=attempts,
        faults=0,
        not_before_ns=not_before_ns,
        reason="NotReady",
    )


def evicted(workload="w", at_ns=0, device_milli=8000, lost_ns=HOUR, rules=None, by="other"):
    return eviction(
        workload,
        made_way_for=by,
        device_milli=device_milli,
        lost_ns=lost_ns,
        now_ns=at_ns,
        rules=rules or EvictionRules(),
    )


ONE_OF_EACH = (
    hold(),
    Reservation(workload="w", rooms=(ROOM,), from_ns=MINUTE, until_ns=HOUR),
    back_off(),
    evicted(rules=EvictionRules(order_window_ns=HOUR)),
    DecayedUsage(account=TEAM, amounts_nano=(("gpu", 5),), sampled_ns=0, half_life_ns=HOUR),
    EntryPenalty(account=ANN, workload="w", amounts_nano=(("gpu", 1),), pushed_ns=7),
    RuntimeEstimate(
        subject="ann/train",
        p10_ns=1,
        p50_ns=2,
        p90_ns=3,
        limit_ns=None,
        source="history",
        learned_ns=4,
    ),
    Quarantine(
        request=EIGHT,
        node="n1",
        refusals=1,
        until_ns=MINUTE,
        remembered_until_ns=HOUR,
        reason="OutOfnvidia.com/gpu",
    ),
)


# -- the store


def test_the_list_above_has_each_kind_once():
    assert {type(entry) for entry in ONE_OF_EACH} == set(get_args(LedgerEntry))


def test_each_kind_says_where_it_survives_its_limit_and_what_is_lost():
    assert set(KINDS) == set(get_args(LedgerEntry))
    for about in KINDS.values():
        assert about.home.startswith(("annotation ", "status.", "ConfigMap ", "none: again from "))
        assert about.limit > 0
        assert about.lost.endswith(".")


def test_an_entry_stands_until_it_is_forgotten():
    ledger = Ledger().after([Recorded(hold())])
    assert ledger.get(Hold, "w") == hold()
    assert ledger.after([Forgotten(hold())]) == Ledger()


def test_a_change_leaves_the_ledger_before_it_alone():
    before = Ledger([hold()])
    before.after([Forgotten(hold()), Recorded(back_off())])
    assert before == Ledger([hold()])


def test_of_two_entries_with_one_key_the_later_stands():
    longer = hold(until_ns=2 * HOUR)
    assert Ledger([hold(), longer]).entries() == (longer,)


def test_forgetting_goes_by_key_not_by_value():
    assert Ledger([hold(until_ns=2 * HOUR)]).after([Forgotten(hold())]) == Ledger()


@pytest.mark.parametrize("entry", ONE_OF_EACH, ids=lambda entry: type(entry).__name__)
def test_a_change_made_twice_is_made_once(entry):
    rest = Ledger(each for each in ONE_OF_EACH if each is not entry)
    once = rest.after([Recorded(entry)])
    assert once.after([Recorded(entry)]) == once
    assert once.after([Forgotten(entry), Forgotten(entry)]) == rest


def test_kinds_do_not_share_keys():
    both = Ledger([hold("w"), back_off("w")])
    assert both.after([Forgotten(hold("w"))]) == Ledger([back_off("w")])


def test_the_order_of_entries_does_not_depend_on_history():
    forwards, backwards = Ledger(ONE_OF_EACH), Ledger(reversed(ONE_OF_EACH))
    assert forwards.entries() == backwards.entries()
    assert repr(forwards) == repr(backwards)


def test_changes_survive_a_file():
    changes = tuple(kind(entry) for entry in ONE_OF_EACH for kind in (Recorded, Forgotten))
    written = msgspec.json.encode(changes)
    assert msgspec.json.decode(written, type=tuple[LedgerChange, ...]) == changes


@pytest.mark.parametrize(
    ("now_ns", "expected"),
    [
        pytest.param(HOUR - 1, {"Hold", "Reservation", "Eviction", "Quarantine"}, id="before"),
        pytest.param(HOUR, set(), id="at the instant it is over"),
    ],
)
def test_what_ended_is_swept_up(now_ns, expected):
    ledger = Ledger(ONE_OF_EACH)
    left = ledger.after(ledger.expired(now_ns))
    always = {"BackOff", "DecayedUsage", "EntryPenalty", "RuntimeEstimate"}
    assert {type(entry).__name__ for entry in left.entries()} == expected | always


def test_usage_is_readable_as_rows():
    usage = DecayedUsage(
        account=TEAM, amounts_nano=(("cpu", 3), ("gpu", 5)), sampled_ns=9, half_life_ns=HOUR
    )
    rows = Ledger([usage, ONE_OF_EACH[0]]).rows()
    assert [(row.account, row.resource, row.amount_nano) for row in rows] == [
        (TEAM, "cpu", 3),
        (TEAM, "gpu", 5),
    ]
    assert {(row.half_life_ns, row.since_ns) for row in rows} == {(HOUR, 9)}


# -- limits


def at_most(monkeypatch, kind, limit):
    monkeypatch.setitem(KINDS, kind, msgspec.structs.replace(KINDS[kind], limit=limit))


def test_at_the_limit_a_hold_is_refused_and_nothing_changes(monkeypatch):
    at_most(monkeypatch, Hold, 1)
    full = Ledger([hold("a")])
    assert full.room(Hold) == 0
    with pytest.raises(LedgerFullError, match="1 entries of Hold"):
        full.after([Recorded(back_off()), Recorded(hold("b"))])
    assert full == Ledger([hold("a")])


def test_at_the_limit_a_hold_may_still_be_changed_or_make_place(monkeypatch):
    at_most(monkeypatch, Hold, 1)
    full = Ledger([hold("a")])
    assert full.after([Recorded(hold("a", 2 * HOUR))]).get(Hold, "a").until_ns == 2 * HOUR
    assert full.after([Forgotten(hold("a")), Recorded(hold("b"))]) == Ledger([hold("b")])


def test_at_the_limit_the_delay_that_is_over_first_is_forgotten(monkeypatch):
    at_most(monkeypatch, BackOff, 2)
    ledger = Ledger([back_off("given up", None), back_off("late", HOUR), back_off("soon", MINUTE)])
    assert sorted(ledger.of(BackOff)) == ["given up", "late"]


# -- growing delays


@pytest.mark.parametrize(
    ("attempt", "expected_s"),
    [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (1_000_000, 3600)],
)
def test_a_delay_doubles_up_to_its_cap(attempt, expected_s):
    delay_ns = growing_delay_ns(attempt, base_ns=MINUTE, max_ns=HOUR)
    assert delay_ns == expected_s * SECOND


def test_before_the_first_attempt_the_delay_is_the_shortest():
    assert growing_delay_ns(0, base_ns=MINUTE, max_ns=HOUR) == MINUTE


# -- pairs that a kubelet refused

RULES = QuarantineRules(base_ns=MINUTE, max_ns=4 * MINUTE, remembered_ns=HOUR)


def refuse(ledger, now_ns, request=EIGHT, node="n1"):
    entry = refused(ledger, request, node, reason="OutOfcpu", now_ns=now_ns, rules=RULES)
    return ledger.after([Recorded(entry)])


def test_a_refused_pair_is_left_alone_and_no_other():
    ledger = refuse(Ledger(), 0)
    assert set(quarantined(ledger, EIGHT, MINUTE - 1)) == {"n1"}
    assert quarantined(ledger, ONE, 0) == {}
    assert quarantined(ledger, EIGHT, MINUTE) == {}


def test_refused_again_it_is_left_alone_for_longer_up_to_the_cap():
    ledger, now_ns, delays = Ledger(), 0, []
    for _ in range(4):
        ledger = refuse(ledger, now_ns)
        (entry,) = ledger.entries()
        delays.append(entry.until_ns - now_ns)
        now_ns = entry.until_ns
    assert delays == [MINUTE, 2 * MINUTE, 4 * MINUTE, 4 * MINUTE]


def test_who_behaved_for_long_enough_starts_anew():
    ledger = refuse(Ledger(), 0)
    again = refuse(ledger, MINUTE + HOUR)
    assert again.get(Quarantine, (EIGHT, "n1")).refusals == 1


# -- evictions


def limit_of(known, asked, **rules):
    limit = binding_limit(Ledger(known), asked, EvictionRules(**rules))
    return limit and (limit.where, limit.needed, limit.have)


@pytest.mark.parametrize(
    ("past", "asked", "rules", "expected"),
    [
        pytest.param((), (), {}, None, id="nobody asks"),
        pytest.param((), ("a", "b"), {}, None, id="two workloads, once each"),
        pytest.param((("a", 0),), ("a",), {}, ("a", 1, 0), id="the same one again"),
        pytest.param((("a", 0),), ("b",), {}, None, id="another one"),
        pytest.param((("a", 0),), ("a",), {"per_workload_max": 2}, None, id="twice is allowed"),
        pytest.param((), ("a",), {"per_workload_max": 0}, ("a", 1, 0), id="never is allowed"),
        pytest.param(
            (("a", -HOUR),), ("a",), {}, None, id="a window later it may be evicted again"
        ),
        pytest.param(
            (("a", -HOUR + 1),), ("a",), {}, ("a", 1, 0), id="just inside the window it may not"
        ),
        pytest.param(
            (("a", 0),),
            ("b",),
            {"brake_device_milli_max": 15_999},
            ("all workloads", 8000, 7999),
            id="the brake counts devices of everybody",
        ),
        pytest.param(
            (("a", 0),), ("b",), {"brake_device_milli_max": 16_000}, None, id="up to the brake"
        ),
        pytest.param(
            (("a", -HOUR),), ("b",), {"brake_device_milli_max": 8000}, None, id="the brake lets go"
        ),
        pytest.param(
            (),
            ("b", "c"),
            {"brake_device_milli_max": 8000},
            ("all workloads", 16_000, 8000),
            id="those asked about count together",
        ),
        pytest.param(
            (("a", 0),),
            ("b",),
            {"brake_lost_device_milli_ns_max": 8000 * HOUR},
            ("all workloads", 8000 * HOUR, 0),
            id="device time lost has a brake of its own",
        ),
    ],
)
def test_limits_of_evictions(past, asked, rules, expected):
    known = [evicted(name, at_ns) for name, at_ns in past]
    assert limit_of(known, [evicted(name, 0) for name in asked], **rules) == expected


def test_what_the_ledger_cannot_count_is_not_evicted(monkeypatch):
    at_most(monkeypatch, Eviction, 1)
    assert limit_of([], [evicted("a")]) is None
    assert limit_of([evicted("a")], [evicted("b")]) == ("all workloads", 1, 0)


def test_an_eviction_is_remembered_as_long_as_a_window_reaches_back():
    rules = EvictionRules(
        per_workload_window_ns=2 * HOUR, brake_window_ns=HOUR, order_window_ns=HOUR
    )
    known = Ledger([evicted("a", rules=rules)])
    assert known.expired(2 * HOUR - 1) == ()
    assert len(known.expired(2 * HOUR)) == 1


def test_who_gave_way_to_whom_is_remembered_for_a_window():
    rules = EvictionRules(order_window_ns=HOUR)
    known = Ledger([evicted("a", by="b"), evicted("a", 1, by="c"), evicted("b", 1, by="c")])
    assert gave_way(known, HOUR - 1, rules) == {"a": {"b", "c"}, "b": {"c"}}
    assert gave_way(known, HOUR, rules) == {"a": {"c"}, "b": {"c"}}
