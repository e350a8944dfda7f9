"""What is written as a table is read back equal, or is not written at all."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings, strategies as st

from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import (
    DeviceRequest,
    PodSet,
    PodTemplate,
    Request,
    TimedWorkload,
    Workload,
)
from gpuyard.traces.table import (
    CLASSES,
    PRIORITY_MAX,
    read_nodes,
    read_workloads,
    write_nodes,
    write_workloads,
)
from gpuyard.traces.trace import TraceError

few = settings(max_examples=100)

words = st.text(max_size=8)  # any text, also such as a table must refuse
names = st.text(alphabet="abc-,\"' =|é", min_size=1, max_size=6).map(lambda name: f"n{name}n")
amounts = st.integers(0, 10**6)
models = st.lists(st.sampled_from(["A100", "H100", "L4"]), max_size=3).map(sorted).map(tuple)
resources = st.builds(
    lambda cpu_milli, memory_mib: Resources.of({"cpu": cpu_milli, "memory": memory_mib * 2**20}),
    amounts,
    amounts,
)
requests = st.builds(
    Request,
    resources=resources,
    devices=st.none()
    | st.builds(DeviceRequest, count=st.integers(1, 16), milli=st.integers(1, 1000), models=models),
)
pod_sets = st.lists(
    st.builds(
        PodSet,
        name=names,
        count=st.integers(1, 1000),
        template=st.builds(PodTemplate, request=requests),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda pod_set: pod_set.name,
).map(tuple)


def workloads_of(texts):
    instants_ns = st.integers(0, 4 * 10**18)
    return st.lists(
        st.builds(
            TimedWorkload,
            st.builds(
                Workload,
                key=names,
                pod_sets=pod_sets,
                created_ns=instants_ns,
                kind=st.sampled_from(CLASSES),
                priority=st.integers(-PRIORITY_MAX, PRIORITY_MAX),
                user=texts,
                queue=texts,
            ),
            st.none() | instants_ns,
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda timed: timed.workload.key,
    )


def written_and_read(timed, folder):
    path = Path(folder) / "table.csv"
    write_workloads(path, timed)
    return [entry.timed for entry in read_workloads(path)]


@few
@given(workloads_of(st.just("") | names))
def test_workloads_come_back_equal(timed):
    in_order = sorted(timed, key=lambda one: one.workload.created_ns)
    with TemporaryDirectory() as folder:
        assert written_and_read(timed, folder) == in_order


@few
@given(workloads_of(words))
def test_nothing_is_lost_on_the_way(timed):
    in_order = sorted(timed, key=lambda one: one.workload.created_ns)
    with TemporaryDirectory() as folder:
        try:
            assert written_and_read(timed, folder) == in_order
        except TraceError:
            assert list(Path(folder).iterdir()) == []


@st.composite
def fleets(draw):
    unique = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    nodes = []
    for rank, name in enumerate(unique):
        gpus = draw(st.integers(0, 8))
        labels = draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "1"])))
        nodes.append(
            Node(
                name=name,
                allocatable=draw(resources),
                devices=(Device(model="H100"),) * gpus,
                rank=rank,
                labels=tuple(sorted(labels.items())),
                pool=draw(names),
            )
        )
    return tuple(nodes)


@few
@given(fleets())
def test_nodes_come_back_equal(nodes):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "nodes.csv.gz"
        write_nodes(path, nodes)
        assert read_nodes(path) == nodes
