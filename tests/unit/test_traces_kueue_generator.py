"""Kueue's generator files: what they create, and one sentence for each that cannot be used."""

import pytest

from gpuyard.model.queues import LocalQueue, QueuePreemption, ResourceFlavor
from gpuyard.model.topology import HOSTNAME, SliceRequest, TopologyRequest
from gpuyard.traces.kueue_generator import load_generator
from gpuyard.traces.trace import TraceError

PLAIN = """\
cohorts:
- className: cohort
  count: 2
  queuesSets:
  - className: cq
    count: 3
    nominalQuota: 20
    borrowingLimit: 1500m
    reclaimWithinCohort: Any
    withinClusterQueue: LowerPriority
    workloadsSets:
    - count: 2
      creationIntervalMs: 100
      workloads:
      - className: small
        runtimeMs: 200
        priority: 50
        request: 1
      - className: large
        runtimeMs: 1000
        priority: 200
        request: 500m
    - count: 1
      creationIntervalMs: 7
      workloads:
      - {className: small, runtimeMs: 1, request: 2}
"""

RACK = "example.com/rack"
PLACED = f"""\
topology:
  name: yard
  levels:
  - {{name: rack, count: 2, nodeLabel: {RACK}}}
  - {{name: host, count: 3, nodeLabel: {HOSTNAME}, capacity: {{cpu: 4, memory: 1Gi}}}}
resourceFlavor: {{name: tas, nodeLabel: group, topologyName: yard}}
cohorts:
- className: c
  count: 1
  queuesSets:
  - className: q
    count: 1
    nominalQuota: 8
    workloadsSets:
    - count: 1
      creationIntervalMs: 5
      workloads:
      - {{className: a, runtimeMs: 1, request: 1, podCount: 2, tasConstraint: required,
         tasLevel: {RACK}}}
      - {{className: b, runtimeMs: 1, request: 1, podCount: 3, tasConstraint: preferred,
         tasLevel: {RACK}}}
      - {{className: c, runtimeMs: 1, request: 1, podCount: 4, tasConstraint: balanced,
         tasLevel: {RACK}, sliceSize: 2}}
"""


@pytest.fixture
def load(tmp_path):
    def loaded(text, **more):
        path = tmp_path / "generator.yaml"
        path.write_text(text, encoding="utf-8")
        return load_generator(path, **more)

    return loaded


def test_queues_are_named_by_class_position_and_cohort(load):
    read = load(PLAIN)
    names = [queue.name for queue in read.cluster_queues]
    assert names == [f"cq-0-{q}-cohort-{c}" for c in (0, 1) for q in (0, 1, 2)]
    assert {queue.cohort for queue in read.cluster_queues} == {"cohort-0", "cohort-1"}
    first = read.cluster_queues[0]
    (group,) = first.resource_groups
    ((quota,),) = [each.resources for each in group.flavors]
    assert (quota.resource, quota.nominal, quota.borrowing_limit) == ("cpu", 20_000, 1_500)
    assert first.preemption == QueuePreemption(
        within_cluster_queue="LowerPriority", reclaim_within_cohort="Any"
    )
    name = first.name
    assert read.local_queues[0] == LocalQueue(namespace=name, name=name, cluster_queue=name)
    assert read.flavor == ResourceFlavor(name="rf")


def test_sets_run_side_by_side_and_each_one_after_the_other(load):
    queue = "cq-0-0-cohort-0"
    mine = [
        (each.workload.key.removeprefix(f"{queue}/"), each.workload.created_ns, each.runtime_ns)
        for each in load(PLAIN).arrivals
        if each.workload.key.startswith(queue)
    ]
    assert mine == [
        ("small-0-0-0", 100_000_000, 200_000_000),
        ("large-0-0-1", 200_000_000, 1_000_000_000),
        ("small-0-1-0", 300_000_000, 200_000_000),
        ("large-0-1-1", 400_000_000, 1_000_000_000),
        ("small-1-0-0", 7_000_000, 1_000_000),
    ]


def test_a_workload_knows_its_queue_class_priority_and_request(load):
    read = load(PLAIN)
    large = next(each.workload for each in read.arrivals if "large" in each.workload.key)
    assert read.classes[large.key] == "large"
    assert (large.queue, large.priority) == ("cq-0-0-cohort-0/cq-0-0-cohort-0", 200)
    (pod_set,) = large.pod_sets
    assert (pod_set.count, pod_set.topology) == (1, None)
    assert pod_set.template.request.resources.as_dict() == {"cpu": 500}
    assert read.arrivals[-1].workload.priority == 0


def test_queues_may_begin_one_after_the_other(load):
    first = [
        each.workload.created_ns
        for each in load(PLAIN, queue_every_ns=10).arrivals
        if "small-1" in each.workload.key
    ]
    assert first == [7_000_000 + 10 * index for index in range(6)]


def test_a_queue_without_borrowing_limit_borrows_what_there_is(load):
    read = load(PLAIN.replace("    borrowingLimit: 1500m\n", ""))
    assert read.cluster_queues[0].resource_groups[0].flavors[0].resources[0].borrowing_limit is None


def test_nodes_carry_the_labels_of_their_domains(load):
    read = load(PLACED)
    assert read.topology.levels == (RACK, HOSTNAME)
    assert read.flavor == ResourceFlavor(
        name="tas", node_labels=(("group", "tas"),), topology="yard"
    )
    assert [node.name for node in read.nodes] == [
        f"node-r{rack}-h{host}" for rack in (0, 1) for host in (0, 1, 2)
    ]
    last = read.nodes[-1]
    assert dict(last.labels) == {
        RACK: "rack-1",
        HOSTNAME: "node-r1-h2",
        "tas-node-group": "tas",
    }
    assert last.allocatable.as_dict() == {"cpu": 4_000, "memory": 2**30, "pods": 110}
    assert [node.rank for node in read.nodes] == list(range(6))


def test_pods_say_how_they_stand(load):
    asked = [each.workload.pod_sets[0] for each in load(PLACED).arrivals]
    assert [(each.count, each.topology) for each in asked] == [
        (2, TopologyRequest(mode="required", level=RACK)),
        (3, TopologyRequest(mode="preferred", level=RACK)),
        (4, TopologyRequest(mode="unconstrained", slices=(SliceRequest(RACK, 2),))),
    ]


@pytest.mark.parametrize(
    ("text", "before", "after", "line", "said"),
    [
        pytest.param(PLAIN, "count: 3", "count: -3", 6, "from 0 to", id="a negative count"),
        pytest.param(PLAIN, "count: 3", "count: 1.5", 6, "whole number", id="half a queue"),
        pytest.param(PLAIN, "count: 3", "count: 0o17", 6, "'0o17'", id="an octal number"),
        pytest.param(PLAIN, "count: 3", "count: [3]", 6, "one value", id="a list for a number"),
        pytest.param(PLAIN, "count: 3", "count: 9000000", 6, "100000", id="too many queues"),
        pytest.param(
            PLAIN, "count: 2\n      c", "count: 900000\n      c", 5, "1000000", id="workloads"
        ),
        pytest.param(PLAIN, "1500m", "much", 8, "not a quantity", id="no quantity"),
        pytest.param(PLAIN, "1500m", "-1", 8, "at least 0", id="a negative quantity"),
        pytest.param(PLAIN, "Any", "Some", 9, "known are", id="a policy nobody knows"),
        pytest.param(PLAIN, "Any", "lowerPriority", 9, "did you mean", id="a misspelt policy"),
        pytest.param(PLAIN, "nominalQuota", "nominalquota", 7, "nominalQuota", id="misspelt key"),
        pytest.param(PLAIN, "    nominalQuota: 20\n", "", 5, "is missing", id="a missing key"),
        pytest.param(
            PLAIN, "    count: 3\n", "    count: 3\n    count: 4\n", 7, "twice", id="a key twice"
        ),
        pytest.param(PLAIN, "cohorts:", "cohorts: 3\nx:", 2, "no such field", id="unknown key"),
        pytest.param(PLAIN, "className: cq", "className: ''", 5, "no name", id="an empty name"),
        pytest.param(PLAIN, "runtimeMs: 200", "runtimeMs: &a 200", 16, "anchor", id="an anchor"),
        pytest.param(PLAIN, "request: 1", "request: *a", 18, "alias", id="an alias"),
        pytest.param(PLAIN, "request: 1", "request: 1\n  x: [", 20, "YAML", id="broken YAML"),
        pytest.param(PLAIN, "request: 1", "sliceSize: 2\n        request: 1", 18, "tasLevel",
                     id="pods stand nowhere without a topology"),
        pytest.param(PLACED, f"tasLevel: {RACK}}}", "tasLevel: rack}", 19, RACK, id="no level"),
        pytest.param(PLACED, "tasConstraint: required", "tasConstraint: ''", 18, "required",
                     id="no constraint"),
        pytest.param(PLACED, ", sliceSize: 2", "", 22, "sliceSize", id="balanced without size"),
        pytest.param(PLACED, "preferred,", "preferred, sliceSize: 1,", 20, "preferred",
                     id="slices of what is not balanced"),
        pytest.param(PLACED, "topologyName: yard", "topologyName: block", 6, "'block'",
                     id="another topology"),
        pytest.param(PLACED, "count: 3,", "count: 99999,", 3, "nodes are more", id="many nodes"),
        pytest.param(PLACED, "cpu: 4", "gpu: 4", 5, "no such field", id="a node has no such thing"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_its_line(load, text, before, after, line, said):
    assert text.count(before) >= 1
    with pytest.raises(TraceError) as caught:
        load(text.replace(before, after, 1))
    assert said in caught.value.sentence
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param("# only a comment\n", "no fields", id="only a comment"),
        pytest.param("- a\n", "write fields", id="a list"),
        pytest.param("just text\n", "write fields", id="a text"),
        pytest.param("cohorts: []\n", "at least one", id="no cohort"),
        pytest.param("? [a]\n: b\n", "one plain word", id="a key that is a list"),
        pytest.param("<<: {a: 1}\n", "one plain word", id="a merge"),
        pytest.param("[" * 5000, "", id="deeper than anything"),
        pytest.param("a: \x07\n", "", id="control characters"),
        pytest.param("a: " + "b" * 1_000_001, "split", id="too long"),
        pytest.param("a: 1\n---\nb: 2\n", "document", id="two documents"),
    ],
)
def test_what_is_no_generator_file_gives_one_sentence(load, text, said):
    with pytest.raises(TraceError) as caught:
        load(text)
    assert said in caught.value.sentence
    assert caught.value.sentence.count("\n") == 0


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TraceError):
        load_generator(tmp_path / "nowhere.yaml")
