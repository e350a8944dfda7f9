"""What counts against quota: what the pods ask for, excluded, transformed, scaled."""

import pytest

from gpuyard.model.queues import Admission, Admitted, PodSetAssignment
from gpuyard.model.resources import Resources
from gpuyard.model.topology import TopologyAssignment
from gpuyard.scheduling.flavors.requests import (
    QuotaRequest,
    counted,
    of_admitted,
    of_pending,
)
from gpuyard.scheduling.flavors.rules import FlavorRules, ResourceTransformation
from tests.small_queues import GPU, pods, workload

NANO = 10**9
MIG = "nvidia.com/mig-1g.5gb"
GIB = 2**30


def transformation(source=MIG, strategy="Retain", multiply_by="", **outputs):
    return ResourceTransformation(
        input=source,
        strategy=strategy,
        multiply_by=multiply_by,
        outputs=tuple((name.replace("_", "/"), nano) for name, nano in outputs.items()),
    )


@pytest.mark.parametrize(
    ("rules", "asked", "expected"),
    [
        pytest.param({}, {GPU: 2, "cpu": 500}, {GPU: 2, "cpu": 500}, id="as the pods ask"),
        pytest.param({}, {GPU: -2}, {GPU: 0}, id="never below zero"),
        pytest.param(
            {"excluded_resource_prefixes": ("nvidia.com/", "x")},
            {GPU: 2, MIG: 1, "cpu": 500},
            {"cpu": 500},
            id="excluded by their prefix",
        ),
        pytest.param(
            {"transformations": (transformation(memory=5 * GIB * NANO),)},
            {MIG: 2},
            {MIG: 2, "memory": 10 * GIB},
            id="retained beside what it makes",
        ),
        pytest.param(
            {"transformations": (transformation(strategy="Replace", memory=5 * GIB * NANO),)},
            {MIG: 2, "memory": GIB},
            {"memory": 11 * GIB},
            id="replaced, on top of what is asked",
        ),
        pytest.param(
            {"transformations": (transformation(strategy="Replace"),)},
            {MIG: 2, "cpu": 1},
            {"cpu": 1},
            id="replaced by nothing",
        ),
        pytest.param(
            {"transformations": (transformation("cpu", "Replace", credits=NANO // 2),)},
            {"cpu": 1500},
            {"credits": 1},
            id="a fraction is rounded up",
        ),
        pytest.param(
            {"transformations": (transformation("a", cpu=NANO // 4),)},
            {"a": 3},
            {"a": 3, "cpu": 750},
            id="into millicores",
        ),
        pytest.param(
            {"transformations": (transformation("mem", "Replace", multiply_by=GPU, total=NANO),)},
            {"mem": 10, GPU: 4},
            {"total": 40, GPU: 4},
            id="multiplied by another resource",
        ),
        pytest.param(
            {"transformations": (transformation("mem", multiply_by=GPU, total=NANO),)},
            {"mem": 10},
            {"mem": 10, "total": 10},
            id="not multiplied where that is not asked for",
        ),
        pytest.param(
            {
                "transformations": (
                    transformation("a", "Replace", total=3 * NANO),
                    transformation("b", "Replace", total=-NANO),
                )
            },
            {"a": 2, "b": 4},
            {"total": 2},
            id="outputs add up, an allowance as well",
        ),
        pytest.param(
            {"transformations": (transformation("b", "Replace", cpu=-NANO),)},
            {"cpu": 100, "b": 4},
            {"cpu": 100},
            id="an allowance does not reduce what the pods ask for",
        ),
    ],
)
def test_what_counts(rules, asked, expected):
    assert counted(Resources.of(asked), FlavorRules(**rules)) == Resources.of(expected)


@pytest.mark.parametrize(
    ("count", "total", "wanted", "expected"),
    [
        pytest.param(4, 8, 3, 6, id="fewer pods"),
        pytest.param(4, 8, 4, 8, id="the same"),
        pytest.param(3, 8, 2, 4, id="one pod's part is rounded down"),
        pytest.param(0, 8, 2, 8, id="without pods nothing is known of one"),
    ],
)
def test_scaling(count, total, wanted, expected):
    request = QuotaRequest(pod_set=pods(count), count=count, total=Resources.of({GPU: total}))
    assert request.scaled_to(wanted).total == Resources.of({GPU: expected})


def test_what_has_its_places_is_not_scaled():
    places = TopologyAssignment((), ())
    total = Resources.of({GPU: 8})
    request = QuotaRequest(pod_set=pods(4), count=4, total=total, topology=places)
    assert request.scaled_to(2) is request


def test_pending_asks_for_all_pods_or_for_so_many():
    job = workload(pods(1, 2, "head"), pods(4, 1, "worker"))
    whole, some = of_pending(job, FlavorRules()), of_pending(job, FlavorRules(), (1, 3))
    assert [(each.count, each.total.get(GPU)) for each in whole] == [(1, 2), (4, 4)]
    assert [(each.count, each.total.get(GPU)) for each in some] == [(1, 2), (3, 3)]


def test_admitted_asks_for_what_it_was_given():
    given = PodSetAssignment(
        name="worker", count=3, flavors=((GPU, "h100"),), usage=Resources.of({GPU: 3})
    )
    job = workload(pods(1, 2, "head"), pods(4, 1, "worker"))
    (request,) = of_admitted(Admitted(workload=job, admission=Admission("main", (given,))))
    assert (request.pod_set.name, request.count) == ("worker", 3)
    assert request.flavors == ((GPU, "h100"),)
    assert request.total == Resources.of({GPU: 3})
