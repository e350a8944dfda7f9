"""Our own tables: what a row means, what is refused, and that writing loses nothing."""

import importlib
import os
import re
import time
from pathlib import Path

import msgspec
import pytest

from gpuyard.model.constraints import Constraints, Taint
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
from gpuyard.traces.read import is_openb_pods, load_fleet, load_workloads, read_trace
from gpuyard.traces.table import (
    read_nodes,
    read_workloads,
    seconds,
    table_rows,
    write_nodes,
    write_workloads,
)
from gpuyard.traces.trace import TraceError

SHORT = "workload,cpu_milli,memory_mib,gpus,arrival_s\n"
LONG = (
    "workload,pod_set,count,cpu_milli,memory_mib,gpus,gpu_milli,gpu_models,"
    "arrival_s,runtime_s,class,priority,user,queue\n"
)
NODES = "name,cpu_milli,memory_mib,gpus,gpu_model\nn,8000,4096,8,H100\n"
OPENB_NODES = "sn,cpu_milli,memory_mib,gpu,model\nn,8000,4096,8,H100\n"
OPENB_PODS = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="table.csv"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        return path

    return write_file


def request(cpu_milli=1, memory_mib=1, devices=None):
    amounts = Resources.of({"cpu": cpu_milli, "memory": memory_mib * 2**20})
    return Request(resources=amounts, devices=devices)


def one_pod(name="main", count=1, **asked):
    return PodSet(name=name, count=count, template=PodTemplate(request=request(**asked)))


def workload(key="w", **facts):
    facts.setdefault("pod_sets", (one_pod(),))
    facts.setdefault("created_ns", 0)
    return Workload(key=key, **facts)


# --- Workloads ----------------------------------------------------------------------------------


def test_the_least_a_row_can_say(write):
    (entry,) = read_workloads(write(SHORT + "w,1,1,2,0.5\n"))
    devices = DeviceRequest(count=2)
    assert entry.timed == TimedWorkload(
        workload(pod_sets=(one_pod(devices=devices),), created_ns=500_000_000), None
    )
    assert entry.line == 2


def test_all_that_a_row_can_say(write):
    rows = (
        "job,leader,1,10,20,0,,,60,3600,training,-5,ann,team\n"
        "job,worker,4,30,40,8,500,B|A,60,3600,training,-5,ann,team\n"
    )
    (entry,) = read_workloads(write(LONG + rows))
    devices = DeviceRequest(count=8, milli=500, models=("A", "B"))
    assert entry.timed == TimedWorkload(
        Workload(
            key="job",
            pod_sets=(
                one_pod("leader", cpu_milli=10, memory_mib=20),
                one_pod("worker", 4, cpu_milli=30, memory_mib=40, devices=devices),
            ),
            created_ns=60 * 10**9,
            kind="training",
            priority=-5,
            user="ann",
            queue="team",
        ),
        3600 * 10**9,
    )


def test_workloads_come_in_order_of_arrival_then_of_their_rows(write):
    read = read_workloads(write(SHORT + "late,1,1,0,9\nb,1,1,0,1\na,1,1,0,1\n"))
    assert [entry.timed.workload.key for entry in read] == ["b", "a", "late"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param("w,,1,1,1,1,,,,,batch,0,,", "arrival_s is empty", id="no arrival"),
        pytest.param("w,,1,1,1,1,,,-1,,,,,", "arrival_s is '-1'", id="negative arrival"),
        pytest.param("w,,1,1,1,1,,,1e3,,,,,", "at most nine decimals", id="exponent"),
        pytest.param("w,,1,1,1,1,,,4000000001,,,,,", "seconds from 0", id="beyond time"),
        pytest.param("w,,1,1,1,1,,,0,nan,,,,", "runtime_s is 'nan'", id="not a number"),
        pytest.param("w,,0,1,1,1,,,0,,,,,", "count is '0'", id="no pods"),
        pytest.param("w,,1,1,1,1.5,,,0,,,,,", "gpus is '1.5'", id="fractional GPUs"),
        pytest.param("w,,1,1,1,1,0,,0,,,,,", "gpu_milli is '0'", id="no share"),
        pytest.param("w,,1,1,1,1,,h100,0,,,,,", "did you mean 'H100'", id="unknown model"),
        pytest.param("w,,1,1,1,1,,,0,,train,,,", "did you mean 'training'", id="unknown class"),
        pytest.param("w,,1,1,1,1,,,0,,,high,,", "priority is 'high'", id="priority in words"),
        pytest.param("first,,1,1,1,1,,,0,,,,,", "pod_set 'main' stands twice", id="pod set twice"),
        pytest.param("first,b,1,1,1,1,,,7,,,,,", "arrival_s differs from line 2", id="differs"),
        pytest.param(",,1,1,1,1,,,0,,,,,", "workload is empty", id="no name"),
    ],
)
def test_a_bad_row_says_where_and_what(write, row, words):
    path = write(LONG + "first,,1,1,1,1,,,0,,,,,\n" + row + "\n")
    with pytest.raises(TraceError) as error:
        read_workloads(path, frozenset({"H100"}))
    assert error.value.line == 3
    assert words in error.value.sentence


@pytest.mark.parametrize(
    ("instant_ns", "expected"),
    [
        pytest.param(0, "0", id="none"),
        pytest.param(60 * 10**9, "60", id="whole"),
        pytest.param(1, "0.000000001", id="the least"),
        pytest.param(2_500_000_000, "2.5", id="no zeros behind"),
    ],
)
def test_seconds(instant_ns, expected):
    assert seconds(instant_ns) == expected


# --- Nodes --------------------------------------------------------------------------------------


def test_a_row_can_stand_for_many_nodes(write):
    header = "name,count,cpu_milli,memory_mib,gpus,gpu_model,pool,labels\n"
    nodes = read_nodes(write(header + "g,11,1,1,1,L4,p,b=2|a=1\nc,,2,2,0,,,\n"))
    assert [node.name for node in nodes[:2]] == ["g-00", "g-01"]
    assert [node.rank for node in nodes] == list(range(12))
    assert nodes[10] == Node(
        name="g-10",
        allocatable=request().resources,
        devices=(Device(model="L4"),),
        rank=10,
        labels=(("a", "1"), ("b", "2")),
        pool="p",
    )
    assert nodes[11].name == "c"
    assert nodes[11].pool == ""


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param("n,1,1,1,0,,,", "named already by line 2", id="name twice"),
        pytest.param("m,1,1,1,1,,,", "without a model", id="no model"),
        pytest.param("m,0,1,1,0,,,", "count is '0'", id="no nodes"),
        pytest.param("m,1,1,1,0,,,a", "write KEY=VALUE", id="label without value"),
        pytest.param("m,1,1,1,0,,,a=1|a=2", "each key once", id="label twice"),
        pytest.param("m,200000,1,1,0,,,", "more than 200000 nodes", id="too many"),
    ],
)
def test_a_bad_node_says_where_and_what(write, row, words):
    header = "name,count,cpu_milli,memory_mib,gpus,gpu_model,pool,labels\n"
    with pytest.raises(TraceError) as error:
        read_nodes(write(header + "n,1,1,1,0,,,\n" + row + "\n"))
    assert error.value.line == 3
    assert words in error.value.sentence


# --- Either form --------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [NODES, OPENB_NODES])
@pytest.mark.parametrize("pods", [SHORT + "w,1,1,1,5\n", OPENB_PODS + "w,1,1,1,1000,,,,5,,\n"])
def test_forms_are_told_by_their_headers_and_may_be_mixed(write, nodes, pods):
    trace = read_trace(write(nodes, "nodes.csv"), write(pods, "week.csv.gz"))
    assert trace.name == "week"
    assert len(trace.nodes[0].devices) == 8
    (timed,) = trace.workloads
    assert timed.workload.key == "w"
    assert timed.workload.created_ns == 5 * 10**9
    assert timed.workload.device_milli == 1000


@pytest.mark.parametrize(
    ("times", "expected_s"),
    [
        pytest.param("10,100,30", 70, id="ran from when it was scheduled"),
        pytest.param("10,100,", 90, id="never scheduled: as long as its owner waited"),
        pytest.param("10,,30", None, id="never deleted: to the end"),
    ],
)
def test_how_long_an_openb_pod_runs(write, times, expected_s):
    nodes = load_fleet(write(NODES, "nodes.csv"))
    path = write(OPENB_PODS + f"p,1,1,1,1000,,LS,Running,{times}\n")
    (timed,) = load_workloads(path, nodes)
    assert timed.runtime_ns == (None if expected_s is None else expected_s * 10**9)
    assert timed.workload.kind == "inference"


def test_the_published_trace_in_time(data_dir):
    folder = data_dir / "openb"
    trace = read_trace(
        folder / "openb_node_list_gpu_node.csv.gz", folder / "openb_pod_list_default.csv.gz"
    )
    assert is_openb_pods(folder / "openb_pod_list_default.csv.gz")
    created = [timed.workload.created_ns for timed in trace.workloads]
    assert created == sorted(created)
    assert len(created) == 8152
    assert min(timed.runtime_ns for timed in trace.workloads) >= 0


@pytest.mark.parametrize(
    ("nodes", "pods", "words"),
    [
        pytest.param(
            "a,b\n1,2\n", SHORT + "w,1,1,1,0\n", "neither sn (openb) nor gpus", id="nodes"
        ),
        pytest.param(NODES, "a,b\n1,2\n", "neither num_gpu (openb) nor gpus", id="pods"),
        pytest.param(NODES, "", "empty", id="empty"),
        pytest.param(
            "name,cpu_milli,memory_mib,gpus\nn,1,1,0\n",
            OPENB_PODS + "w,1,1,1,9,T4,,,,,\n",
            "'T4'; there is none",
            id="a model where no node has GPUs",
        ),
        pytest.param(NODES, SHORT + "w,8001,1,1,0\n", "more than any node has", id="too large"),
        pytest.param(NODES, SHORT + "w,1,1,9,0\n", "9 x 1000 milli of GPU", id="too many GPUs"),
    ],
)
def test_a_trace_that_cannot_be_used(write, nodes, pods, words):
    with pytest.raises(TraceError) as error:
        read_trace(write(nodes, "nodes.csv"), write(pods, "pods.csv"))
    assert words in str(error.value)


# --- Writing ------------------------------------------------------------------------------------


def test_what_rows_cannot_hold_is_refused_by_name(tmp_path):
    gang = msgspec.structs.replace(one_pod(), count=2, min_count=1)
    selective = PodTemplate(request=request(), constraints=Constraints(node_name="n"))
    ephemeral = Request(resources=Resources.of({"cpu": 1, "memory": 0, "ephemeral-storage": 1}))
    for pod_sets in (
        (),
        (gang,),
        (PodSet(name="main", count=1, template=selective),),
        (PodSet(name="main", count=1, template=PodTemplate(request=ephemeral)),),
        (PodSet(name="main", count=1, template=PodTemplate(request=Request())),),
    ):
        timed = TimedWorkload(workload("odd", pod_sets=pod_sets), None)
        with pytest.raises(TraceError, match="'odd' says more than rows can hold"):
            write_workloads(tmp_path / "t.csv", [timed])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"taints": (Taint("a", "b", "NoSchedule"),)}, id="taints"),
        pytest.param({"devices": (Device(model="A"), Device(model="B"))}, id="two models"),
        pytest.param({"devices": (Device(model="A", id="GPU-1"),)}, id="device ids"),
        pytest.param({"rank": 3}, id="rank"),
    ],
)
def test_a_node_that_a_row_cannot_hold_is_refused(tmp_path, facts):
    node = Node(name="odd", allocatable=request().resources, pool="p", **facts)
    with pytest.raises(TraceError, match="'odd' says more than a row can hold"):
        write_nodes(tmp_path / "n.csv", [node])


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(TraceError, match="nothing to write"):
        write_workloads(tmp_path / "t.csv", [])


def test_two_workloads_of_one_name_are_refused(tmp_path):
    with pytest.raises(TraceError, match="two workloads are called 'w'"):
        write_workloads(tmp_path / "t.csv", [TimedWorkload(workload(), None)] * 2)


@pytest.mark.parametrize(
    ("owner", "step"),
    [pytest.param(os, "fsync", id="while writing"), pytest.param(Path, "replace", id="at the end")],
)
def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch, owner, step):
    path = tmp_path / "t.csv"
    path.write_text("before")

    def refuse(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, step, refuse)
    with pytest.raises(TraceError, match="cannot be written \\(No space left on device\\)"):
        write_workloads(path, [TimedWorkload(workload(), None)])
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(TraceError, match="cannot be written"):
        write_workloads(tmp_path / "gone" / "t.csv", [TimedWorkload(workload(), None)])


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_the_same_rows_give_the_same_bytes(tmp_path, monkeypatch, suffix):
    if suffix == ".parquet":
        pytest.importorskip("polars")
    for now_s, name in enumerate(("one", "two")):
        monkeypatch.setattr(time, "time", lambda now_s=now_s: now_s)  # gzip would note the time
        write_workloads(tmp_path / f"{name}{suffix}", [TimedWorkload(workload(), 5)])
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


# --- Parquet ------------------------------------------------------------------------------------


def test_parquet_holds_the_same(tmp_path):
    pytest.importorskip("polars")
    timed = TimedWorkload(workload(created_ns=1, kind="notebook"), 10**9)
    write_workloads(tmp_path / "w.parquet", [timed])
    assert [entry.timed for entry in read_workloads(tmp_path / "w.parquet")] == [timed]


def test_parquet_is_known_by_its_content_and_may_hold_whole_floats(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "workload": ["a", "b"],
            "cpu_milli": [1.0, 2.0],
            "memory_mib": [1, 1],
            "gpus": [1.0, float("nan")],
            "arrival_s": [0.5, 3.0],
        }
    )
    path = tmp_path / "not-a-suffix.csv"
    frame.write_parquet(path)
    assert [dict(row.cells) for row in table_rows(path, ("gpus",))] == [
        {"workload": "a", "cpu_milli": "1", "memory_mib": "1", "gpus": "1", "arrival_s": "0.5"},
        {"workload": "b", "cpu_milli": "2", "memory_mib": "1", "gpus": "", "arrival_s": "3"},
    ]
    with pytest.raises(TraceError, match=":2: gpus is ''"):
        read_workloads(path)


def test_a_damaged_parquet_file(tmp_path):
    pytest.importorskip("polars")
    path = tmp_path / "w.parquet"
    path.write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    with pytest.raises(TraceError, match="not a readable Parquet table"):
        read_workloads(path)


def test_parquet_without_polars_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "w.parquet"
    path.write_bytes(b"PAR1")

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(TraceError, match=r"gpuyard\[analysis\]"):
        read_workloads(path)


def test_the_examples_of_the_reference_can_be_read(write):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "traces.md").read_text("utf-8")
    workloads, nodes = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    trace = read_trace(write(nodes, "nodes.csv"), write(workloads))
    assert [timed.workload.key for timed in trace.workloads] == ["llm-pretrain", "notebook-ann"]
    assert len(trace.nodes) == 4
