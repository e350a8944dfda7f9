"""Reasons as data, Kueue's sentences for them, and which of several is told."""

import pytest

from gpuyard.model.constraints import Taint
from gpuyard.model.queues import QUOTA_MAX
from gpuyard.scheduling.flavors.attempts import Attempt, Attempts, no_fit_reason, once
from gpuyard.scheduling.flavors.modes import Mode, Prospect
from gpuyard.scheduling.flavors.reasons import (
    SEVERITY,
    FlavorReason,
    TopologyError,
    milder,
    more_severe,
    quantity,
    sentence,
)
from tests.small_queues import group, no_room


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param(
            FlavorReason(code="ResourceUnavailable", resource="cpu"),
            "resource cpu unavailable in ClusterQueue",
            id="no flavor of the queue has it",
        ),
        pytest.param(
            FlavorReason(
                code="UntoleratedTaint",
                flavor="spot",
                taint=Taint("instance", "spot", "NoSchedule"),
            ),
            "untolerated taint {instance spot NoSchedule <nil>} in flavor spot",
            id="a taint as Go prints it",
        ),
        pytest.param(
            FlavorReason(
                code="ExceedsMaxQuota",
                flavor="one",
                resource="memory",
                needed=10 * 2**20,
                assumed=1000,
                capacity=3 * 2**29,
            ),
            "insufficient quota for memory in flavor one, previously considered podsets requests "
            "(1k) + current podset request (10Mi) > maximum capacity (1536Mi)",
            id="bytes in binary steps from 1024 on",
        ),
        pytest.param(
            FlavorReason(
                code="InsufficientUnusedQuota", flavor="one", resource="cpu", missing=1500
            ),
            "insufficient unused quota for cpu in flavor one, 1500m more needed",
            id="millicores",
        ),
        pytest.param(
            FlavorReason(
                code="ExceedsMaxQuota",
                flavor="one",
                resource="cpu",
                needed=QUOTA_MAX,
                assumed=QUOTA_MAX,
                capacity=QUOTA_MAX - 1,
            ),
            "insufficient quota for cpu in flavor one, previously considered podsets requests "
            "(<unlimited>) + current podset request (9223372036854775807m) > maximum capacity "
            "(9223372036854775806m)",
            id="quota may be without bound",
        ),
        pytest.param(
            FlavorReason(code="OtherSliceFlavor", flavor="two", held="one"),
            "could not assign two flavor since the original workload is assigned: one",
            id="the replaced slice has another flavor",
        ),
        pytest.param(
            FlavorReason(code="TopologyPlacementFailed", flavor="tas", refusal=no_room("a", 3)),
            'topology "hosts" doesn\'t allow to fit any of 3 pod(s)',
            id="what the topology said",
        ),
        pytest.param(
            FlavorReason(code="TopologyOnly", flavor="tas"),
            'Flavor "tas" supports only TopologyAwareScheduling',
            id="pods that ask for no topology",
        ),
        pytest.param(
            TopologyError(code="SeveralTopologyFlavors", flavors=("a", "b")),
            "more than one TAS flavor assigned: a, b",
            id="an error with its flavors",
        ),
        pytest.param(
            TopologyError(code="NoTopologyFlavor"), "no TAS flavor assigned", id="an error without"
        ),
    ],
)
def test_sentences(reason, expected):
    assert sentence(reason) == expected


@pytest.mark.parametrize(
    ("resource", "amount", "expected"),
    [
        pytest.param("cpu", 9000, "9", id="cores"),
        pytest.param("nvidia.com/gpu", 2000, "2k", id="pieces in decimal steps"),
        pytest.param("ephemeral-storage", 2**31, "2Gi", id="storage"),
        pytest.param("hugepages-2Mi", 2**21, "2Mi", id="huge pages"),
        pytest.param("memory", QUOTA_MAX, str(QUOTA_MAX), id="a request is never without bound"),
    ],
)
def test_quantities(resource, amount, expected):
    assert quantity(resource, amount) == expected


def test_severity_is_an_order():
    assert SEVERITY[0] == ""
    for index, reason in enumerate(SEVERITY[1:]):
        assert (
            more_severe(SEVERITY[index], reason) == more_severe(reason, SEVERITY[index]) == reason
        )
        assert milder(SEVERITY[index], reason) == milder(reason, SEVERITY[index]) == SEVERITY[index]


def attempt(flavor, reason, mode=Mode.NO_FIT, **more):
    return Attempt(flavor=flavor, mode=mode, no_fit_reason=reason, **more)


MEMORY = {"memory": 1}


@pytest.mark.parametrize(
    ("attempts", "groups", "expected"),
    [
        pytest.param([], [group(a=1)], "NoMatchingFlavor", id="nothing tried"),
        pytest.param(
            [attempt("a", "NoMatchingFlavor"), attempt("b", "WaitingForQuota")],
            [group(a=1, b=1)],
            "WaitingForQuota",
            id="of alternatives the mildest",
        ),
        pytest.param(
            [attempt("a", "WaitingForQuota"), attempt("b", "ExceedsMaxQuota")],
            [group(a=1), group(b=MEMORY)],
            "ExceedsMaxQuota",
            id="of what is needed together the most severe",
        ),
        pytest.param(
            [attempt("a", "", Mode.FIT), attempt("b", "ExceedsMaxQuota")],
            [group(a=1, b=1)],
            "ExceedsMaxQuota",
            id="a flavor that would do is no reason",
        ),
        pytest.param(
            [attempt("a", "NoMatchingFlavor"), attempt("b", "WaitingForQuota")],
            [group(a=1, b=1), group(a=MEMORY)],
            "NoMatchingFlavor",
            id="a flavor of two groups counts in both",
        ),
        pytest.param(
            [attempt("gone", "NoMatchingFlavor"), attempt("a", "WaitingForQuota")],
            [group(a=1)],
            "NoMatchingFlavor",
            id="a flavor of no group stands for itself",
        ),
    ],
)
def test_reason_for_a_pod_set(attempts, groups, expected):
    assert no_fit_reason(attempts, groups) == expected


def test_two_looks_at_a_flavor_are_one_attempt_the_worse_of_both():
    short = FlavorReason(code="InsufficientUnusedQuota", flavor="a", resource="cpu", missing=1)
    unfit = FlavorReason(code="NodeAffinityMismatch", flavor="a")
    attempts = Attempts()
    groups = [group(a=1), group(a=MEMORY)]
    first = attempt("a", "", Mode.PREEMPT, borrowing=2, prospect=Prospect.RECLAIM, reasons=(short,))
    attempts.add([first], resource="cpu", group=groups[0])
    second = attempt("a", "WaitingForQuota", borrowing=1, reasons=(unfit, short))
    attempts.add([second], resource="memory", group=groups[1])
    assert attempts.by_name() == (
        attempt(
            "a",
            "WaitingForQuota",
            borrowing=2,
            prospect=Prospect.RECLAIM,
            reasons=once([short, unfit]),
        ),
    )


def test_a_flavor_that_a_later_search_did_not_reach_does_not_provide():
    both = group(a=1, b=1)
    attempts = Attempts()
    attempts.add([attempt("a", "", Mode.FIT)], resource="cpu", group=both)
    attempts.add([attempt("b", "", Mode.FIT)], resource="memory", group=both)
    missed, found = attempts.by_name()
    assert (missed.mode, missed.no_fit_reason) == (Mode.NO_FIT, "NoMatchingFlavor")
    assert [sentence(each) for each in missed.reasons] == [
        "flavor a does not provide resource memory"
    ]
    assert found.mode is Mode.FIT


def test_a_search_that_looked_at_nothing_says_nothing_about_others():
    attempts = Attempts()
    attempts.add([attempt("a", "", Mode.FIT)], resource="cpu", group=group(a=1))
    attempts.add([], resource="memory", group=group(a=1))
    assert [each.mode for each in attempts.by_name()] == [Mode.FIT]
