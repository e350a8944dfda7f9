"""Which of two flavors is better, and whether the search goes on behind one."""

import itertools

import pytest

from gpuyard.model.queues import FlavorFungibility
from gpuyard.scheduling.flavors.modes import (
    BEST,
    WORST,
    Grade,
    Mode,
    Prospect,
    is_preferred,
    tries_next,
)

NO_FIT, NO_CANDIDATES, PREEMPT, RECLAIM, FIT = Prospect
QUOTA_FIRST = FlavorFungibility(preference="BorrowingOverPreemption")
PEACE_FIRST = FlavorFungibility(preference="PreemptionOverBorrowing")


@pytest.mark.parametrize(
    ("better", "worse", "fungibility"),
    [
        pytest.param((FIT, 9), (RECLAIM, 0), QUOTA_FIRST, id="rather borrow than evict"),
        pytest.param((RECLAIM, 0), (FIT, 1), PEACE_FIRST, id="rather evict than borrow"),
        pytest.param((RECLAIM, 1), (PREEMPT, 1), PEACE_FIRST, id="equally far: the better mode"),
        pytest.param((RECLAIM, 5), (PREEMPT, 0), QUOTA_FIRST, id="reclaim before preempt"),
        pytest.param((FIT, 1), (FIT, 2), QUOTA_FIRST, id="equal modes: the nearer quota"),
        pytest.param((FIT, 1), (FIT, 2), PEACE_FIRST, id="equal modes: the nearer quota, too"),
        pytest.param(
            (PREEMPT, 9), (NO_CANDIDATES, 0), PEACE_FIRST, id="nobody to evict is no possibility"
        ),
        pytest.param((NO_CANDIDATES, 9), (NO_FIT, 0), PEACE_FIRST, id="never is worse than later"),
        pytest.param(
            (NO_CANDIDATES, 0), (NO_CANDIDATES, 1), PEACE_FIRST, id="both wait: the nearer quota"
        ),
    ],
)
def test_preference(better, worse, fungibility):
    assert is_preferred(Grade(*better), Grade(*worse), fungibility)
    assert not is_preferred(Grade(*worse), Grade(*better), fungibility)


def test_by_default_borrowing_comes_before_preemption():
    assert is_preferred(Grade(FIT, 3), Grade(RECLAIM, 0), FlavorFungibility())


@pytest.mark.parametrize("fungibility", [QUOTA_FIRST, PEACE_FIRST])
def test_preference_is_an_order(fungibility):
    grades = [Grade(prospect, level) for prospect in Prospect for level in range(3)]

    def better(one, other):
        return is_preferred(one, other, fungibility)

    for one, other in itertools.product(grades, repeat=2):
        assert not (better(one, other) and better(other, one))
        if one.prospect is not NO_FIT:
            assert better(BEST, one) == (one != BEST)
            assert better(one, WORST)
    for one, other, third in itertools.product(grades, repeat=3):
        if better(one, other) and better(other, third):
            assert better(one, third)


@pytest.mark.parametrize(
    ("prospect", "level", "borrow", "preempt", "expected"),
    [
        pytest.param(FIT, 0, "TryNextFlavor", "TryNextFlavor", False, id="own quota is the best"),
        pytest.param(FIT, 1, "MayStopSearch", "TryNextFlavor", False, id="borrowing will do"),
        pytest.param(FIT, 1, "TryNextFlavor", "MayStopSearch", True, id="rather not borrow"),
        pytest.param(PREEMPT, 0, "MayStopSearch", "TryNextFlavor", True, id="rather not evict"),
        pytest.param(RECLAIM, 0, "MayStopSearch", "TryNextFlavor", True, id="nor reclaim"),
        pytest.param(RECLAIM, 0, "TryNextFlavor", "MayStopSearch", False, id="evicting will do"),
        pytest.param(PREEMPT, 1, "TryNextFlavor", "MayStopSearch", True, id="evict, not borrow"),
        pytest.param(
            NO_CANDIDATES, 0, "MayStopSearch", "MayStopSearch", True, id="nobody to evict"
        ),
        pytest.param(NO_FIT, 0, "MayStopSearch", "MayStopSearch", True, id="it never fits"),
    ],
)
def test_going_on(prospect, level, borrow, preempt, expected):
    fungibility = FlavorFungibility(when_can_borrow=borrow, when_can_preempt=preempt)
    assert tries_next(Grade(prospect, level), fungibility) is expected


@pytest.mark.parametrize(
    ("prospect", "mode", "needs_preemption"),
    [
        pytest.param(NO_FIT, Mode.NO_FIT, False, id="never"),
        pytest.param(NO_CANDIDATES, Mode.PREEMPT, True, id="quota would do"),
        pytest.param(PREEMPT, Mode.PREEMPT, True, id="own victims"),
        pytest.param(RECLAIM, Mode.PREEMPT, True, id="others' victims"),
        pytest.param(FIT, Mode.FIT, False, id="now"),
    ],
)
def test_what_a_prospect_means(prospect, mode, needs_preemption):
    assert (prospect.mode, prospect.needs_preemption) == (mode, needs_preemption)


def test_names_are_kueues():
    assert [mode.text for mode in Mode] == ["NoFit", "Preempt", "DeferredFit", "Fit"]
    assert PREEMPT.text == "Preempt"
    assert NO_CANDIDATES.text == "NoCandidates"
    assert RECLAIM.text == "Reclaim"
