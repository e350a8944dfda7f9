"""What Kubernetes says of priority, groups, budgets and instants, as the model has it."""

import pytest

from gpuyard.dialects import core
from gpuyard.dialects.core.instants import nanoseconds
from gpuyard.dialects.wire import DialectError
from gpuyard.model.constraints import LabelSelector, Requirement
from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.pod_groups import PodGroup

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0, id="the epoch"),
        pytest.param("1970-01-01T00:00:01Z", SECOND, id="whole seconds"),
        pytest.param("1970-01-01T00:00:00.000000003Z", 3, id="one digit for each nanosecond"),
        pytest.param("1970-01-01T00:00:00.25Z", SECOND // 4, id="fewer digits"),
        pytest.param("1970-01-01T01:00:00+01:00", 0, id="east of Greenwich"),
        pytest.param("1969-12-31T23:59:59.5Z", -SECOND // 2, id="before the epoch"),
        pytest.param(
            "2026-11-23T18:03:28.301649805Z", 1795457008301649805, id="every digit is kept"
        ),
    ],
)
def test_instants(text, expected):
    assert nanoseconds(text, "here") == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-23", "2026-13-01T00:00:00Z"])
def test_what_is_no_instant_says_where(text):
    with pytest.raises(DialectError, match=r"^Pod a/b: status\.startTime: "):
        core.assignment(
            {
                "metadata": {"name": "b", "namespace": "a"},
                "spec": {"nodeName": "n"},
                "status": {"startTime": text},
            }
        )


def pod(spec=None, status=None, **metadata):
    return {
        "metadata": {"name": "p", "namespace": "a", **metadata},
        "spec": {"nodeName": "n", **(spec or {})},
        "status": status or {},
    }


def test_a_running_pod_has_priority_start_and_group():
    read = core.assignment(
        pod(
            {"priority": -7, "schedulingGroup": {"podGroupName": "g"}},
            {"startTime": "1970-01-01T00:00:02Z"},
        )
    )
    assert (read.priority, read.start_ns, read.group) == (-7, 2 * SECOND, "a/g")
    plain = core.assignment(pod())
    assert (plain.priority, plain.start_ns, plain.group) == (0, None, "")
    assert core.assignment(pod({"schedulingGroup": {}})).group == ""


def condition(status="True", reason="PreemptionByScheduler", kind="DisruptionTarget"):
    return {"conditions": [{"type": "Ready"}, {"type": kind, "status": status, "reason": reason}]}


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        pytest.param(condition(), {"deletionTimestamp": "2026-11-23T18:03:28Z"}, True, id="yes"),
        pytest.param(condition(), {}, False, id="not on its way out yet"),
        pytest.param(
            condition("False"),
            {"deletionTimestamp": "2026-11-23T18:03:28Z"},
            False,
            id="taken back",
        ),
        pytest.param(
            condition(reason="EvictionByEvictionAPI"),
            {"deletionTimestamp": "2026-11-23T18:03:28Z"},
            False,
            id="by somebody else",
        ),
        pytest.param(
            condition(kind="Other"),
            {"deletionTimestamp": "2026-11-23T18:03:28Z"},
            False,
            id="other",
        ),
        pytest.param({}, {"deletionTimestamp": "2026-11-23T18:03:28Z"}, False, id="nothing said"),
    ],
)
def test_who_leaves_because_a_scheduler_said_so(status, metadata, expected):
    read = core.assignment(pod(status=status, **metadata))
    assert read.preempted is expected
    assert read.terminating is ("deletionTimestamp" in metadata)


def test_a_waiting_pod():
    read = core.pending_pod(
        pod(
            {
                "nodeName": "",
                "priority": 3,
                "preemptionPolicy": "Never",
                "schedulingGroup": {"podGroupName": "g"},
            },
            {"nominatedNodeName": "n1"},
        )
    )
    assert (read.key, read.priority, read.preempts) == ("a/p", 3, False)
    assert (read.nominated_node, read.group) == ("n1", "a/g")
    plain = core.pending_pod({"metadata": {"name": "p"}, "spec": {}})
    assert (plain.priority, plain.preempts, plain.nominated_node, plain.group) == (0, True, "", "")
    assert plain.template == core.pod_template({"metadata": {"name": "p"}, "spec": {}})


def test_a_disruption_budget():
    read = core.disruption_budget(
        {
            "metadata": {"name": "b", "namespace": "a"},
            "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "x"}}},
            "status": {"disruptionsAllowed": 2, "disruptedPods": {"p": "2026-11-23T18:03:28Z"}},
        }
    )
    assert read == DisruptionBudget(
        namespace="a",
        name="b",
        selector=LabelSelector((Requirement("app", "In", ("x",)),)),
        allowed=2,
        disrupted=frozenset({"a/p"}),
    )


def test_a_disruption_budget_that_says_little_allows_nothing():
    read = core.disruption_budget({"metadata": {"name": "b"}, "spec": {}})
    assert (read.allowed, read.selector, read.disrupted) == (0, None, frozenset())
    gone = {"metadata": {"name": "b"}, "spec": {}, "status": {"disruptedPods": {"p": "x"}}}
    assert core.disruption_budget(gone).disrupted == {"p"}


def group(name="g", namespace="a", **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(group(), PodGroup(key="a/g"), id="nothing said"),
        pytest.param(group(namespace=""), PodGroup(key="g"), id="of no namespace"),
        pytest.param(group(schedulingPolicy={"basic": {}}), PodGroup(key="a/g"), id="basic"),
        pytest.param(
            group(schedulingPolicy={"gang": {"minCount": 4}}, priority=9),
            PodGroup(key="a/g", min_count=4, priority=9),
            id="a gang",
        ),
        pytest.param(
            group(schedulingConstraints={"topology": [{"key": "rack"}]}),
            PodGroup(key="a/g", topology_key="rack"),
            id="one domain",
        ),
        pytest.param(
            group(schedulingConstraints={"topology": []}), PodGroup(key="a/g"), id="any domain"
        ),
        pytest.param(group(disruptionMode="Pod"), PodGroup(key="a/g"), id="pod by pod"),
        pytest.param(
            group(disruptionMode="PodGroup"), PodGroup(key="a/g", disruption="group"), id="as one"
        ),
    ],
)
def test_a_pod_group(given, expected):
    assert core.pod_group(given) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (group(disruptionMode="Half"), "PodGroup a/g: spec.disruptionMode: "),
        (group(schedulingPolicy={"gang": {}}), "spec.schedulingPolicy.gang: "),
    ],
    ids=["an unknown mode", "a gang of no size"],
)
def test_a_pod_group_that_cannot_be_read_says_why(given, said):
    with pytest.raises(DialectError, match=said):
        core.pod_group(given)
