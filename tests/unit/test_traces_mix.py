"""The typical pods: which classes, in which order, how frequent."""

import random

import pytest

from gpuyard.model.resources import Resources
from gpuyard.model.workloads import DeviceRequest, Request
from gpuyard.scheduling.mix import class_counts, class_of, class_request, typical_mix
from gpuyard.traces import openb


def asks(cpu_milli, milli=0, count=0, models=(), memory=0):
    devices = DeviceRequest(count=count, milli=milli, models=models) if count else None
    return Request(resources=Resources.of({"cpu": cpu_milli, "memory": memory}), devices=devices)


def classes(mix):
    return [class_of(entry.request) for entry in mix]


def test_memory_is_not_part_of_a_class():
    mix = typical_mix([asks(1, memory=1), asks(1, memory=2)])
    assert [(class_of(entry.request), entry.frequency) for entry in mix] == [((1, 0, 0, ""), 1.0)]


def test_classes_are_kept_until_they_make_up_95_percent():
    requests = [asks(1)] * 90 + [asks(2)] * 5 + [asks(3)] * 5
    mix = typical_mix(requests)
    assert classes(mix) == [(1, 0, 0, ""), (3, 0, 0, "")]
    assert [entry.frequency for entry in mix] == pytest.approx([90 / 95, 5 / 95])


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        pytest.param(asks(2, 1, 1), asks(1, 1000, 8), id="CPU first"),
        pytest.param(asks(1, 2, 1), asks(1, 1, 8), id="then the share of a GPU"),
        pytest.param(asks(1, 1, 2), asks(1, 1, 1, ("Z",)), id="then the number of GPUs"),
        pytest.param(asks(1, 1, 1, ("B",)), asks(1, 1, 1, ("A", "Z")), id="then the models"),
        pytest.param(asks(1, 1, 1, ("A", "B")), asks(1, 1, 1, ("A",)), id="as one string"),
    ],
)
def test_of_equally_frequent_classes_the_larger_comes_first(larger, smaller):
    for requests in ([larger, smaller], [smaller, larger]):
        assert classes(typical_mix(requests)) == [class_of(larger), class_of(smaller)]


def test_a_class_is_what_its_request_says():
    request = asks(5, 250, 2, ("A", "B", "B"))
    assert class_of(class_request(class_of(request))) == class_of(request)


def test_nothing_asked_is_an_empty_mix():
    assert typical_mix([]) == ()


def test_the_order_of_the_pods_does_not_matter():
    requests = [asks(cpu) for cpu in range(20) for _ in range(cpu % 4 + 1)]
    mixed = requests.copy()
    random.Random(3).shuffle(mixed)
    assert typical_mix(mixed) == typical_mix(requests)


@pytest.mark.parametrize(
    ("name", "pods", "all_classes", "typical"),
    [
        pytest.param("default", 8152, 91, 35, id="default"),
        pytest.param("gpuspec10", 8152, 249, 74, id="gpuspec10 tells V|V from V"),
    ],
)
def test_the_published_mix(data_dir, name, pods, all_classes, typical):
    loaded = openb.load_pods(data_dir / "openb" / f"openb_pod_list_{name}.csv.gz")
    assert len(loaded) == pods
    assert len(class_counts(pod.request for pod in loaded)) == all_classes
    mix = typical_mix(pod.request for pod in loaded)
    assert len(mix) == typical
    assert sum(entry.frequency for entry in mix) == pytest.approx(1)


def test_the_most_typical_pod_of_the_default_trace(data_dir):
    pods = openb.load_pods(data_dir / "openb" / "openb_pod_list_default.csv.gz")
    assert class_of(typical_mix(pod.request for pod in pods)[0].request) == (3152, 810, 1, "")
