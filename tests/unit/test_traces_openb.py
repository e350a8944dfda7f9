"""openb's node lists, pod lists and arrival sequences: what is read, and each way to be wrong."""

import gzip
import random

import pytest

from gpuyard.model.nodes import Device, Node
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import DeviceRequest, Request
from gpuyard.traces import openb
from gpuyard.traces.trace import TraceError

NODE_HEADER = "sn,cpu_milli,memory_mib,gpu,model\n"
NODES = NODE_HEADER + "b,96000,1024,2,G2\na,32000,512,0,\n"
POD_HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
    "creation_time,deletion_time,scheduled_time\n"
)
POD = "p,1000,2,1,500,T4|G2,LS,Running,10,100,20\n"
BARE_HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"


def resources(cpu_milli, memory_mib):
    return Resources.of({"cpu": cpu_milli, "memory": memory_mib * 2**20})


@pytest.fixture
def write(tmp_path):
    def write_file(content, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def sentence(error):
    """Return the line and the sentence of a TraceError."""
    return error.value.line, error.value.sentence


# --- What is read -------------------------------------------------------------------------------


def test_nodes_are_sorted_by_name_and_ranked_by_position(write):
    assert openb.load_nodes(write(NODES)) == (
        Node(name="a", allocatable=resources(32000, 512), rank=0),
        Node(
            name="b",
            allocatable=resources(96000, 1024),
            devices=(Device(model="G2"), Device(model="G2")),
            rank=1,
            pool="G2",
        ),
    )


def test_a_sequence_ranks_the_nodes_sorted_by_name(write):
    ranked = openb.load_nodes(write(NODES), (1, 0))
    assert [(node.name, node.rank) for node in ranked] == [("a", 1), ("b", 0)]


def test_a_pod_has_its_request_and_its_times(write):
    (pod,) = openb.load_pods(write(POD_HEADER + POD))
    assert pod == openb.OpenbPod(
        name="p",
        request=Request(
            resources=resources(1000, 2),
            devices=DeviceRequest(count=1, milli=500, models=("G2", "T4")),
        ),
        created_ns=10 * 10**9,
        deleted_ns=100 * 10**9,
        scheduled_ns=20 * 10**9,
        qos="LS",
        phase="Running",
        line=2,
    )


def test_a_list_without_times_gives_pods_without_times(write):
    (pod,) = openb.load_pods(write(BARE_HEADER + "p,1000,2,0,0\n"))
    assert pod == openb.OpenbPod(name="p", request=Request(resources=resources(1000, 2)), line=2)


def test_pods_stay_in_the_order_of_their_rows(write):
    pods = openb.load_pods(write(BARE_HEADER + "z,1,1,0,0\na,1,1,0,0\n"))
    assert [pod.name for pod in pods] == ["z", "a"]
    assert [pod.name for pod in openb.by_name(pods)] == ["a", "z"]


def test_rows_that_ask_for_the_same_share_one_request(write):
    one, two = openb.load_pods(write(BARE_HEADER + "a,1,1,1,7\nb,1,1,1,7\n"))
    assert one.request is two.request


def test_a_model_named_twice_stays_twice(write):
    """The paper tells classes apart by the very string."""
    (pod,) = openb.load_pods(write(POD_HEADER + "p,1,1,1,1000,V|V|A,,,,,\n"))
    assert pod.request.devices.models == ("A", "V", "V")


@pytest.mark.parametrize("name", ["nodes.csv", "nodes.csv.gz", "nodes"])
def test_compression_is_read_from_the_content(write, name):
    plain = openb.load_nodes(write(NODES, "plain.csv"))
    assert openb.load_nodes(write(gzip.compress(NODES.encode()), name)) == plain
    assert openb.load_nodes(write("\ufeff" + NODES.replace("\n", "\r\n"), name)) == plain


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        pytest.param("", None, "empty", id="empty"),
        pytest.param(NODE_HEADER, None, "no rows", id="header only"),
        pytest.param("sn,cpu_milli\n", 1, "lacks memory_mib, gpu, model", id="bad header"),
        pytest.param(
            NODE_HEADER.strip() + ",sn\n1,1,1,1,1,1\n", 1, "'sn' twice", id="column twice"
        ),
        pytest.param(b"\x00\x01\x02PNG", None, "binary", id="binary"),
        pytest.param(b"\x89PNG\xff\xfe", 1, "UTF-8", id="not UTF-8"),
        pytest.param(gzip.compress(NODES.encode())[:-9], None, "gzip", id="truncated gzip"),
        pytest.param(b"\x1f\x8bjunk", None, "gzip", id="gzip magic, then junk"),
        pytest.param(NODES + "c,1,1\n", 4, "3 cells under a header of 5", id="short row"),
        pytest.param(NODES + 'c,1,1,0,"x\n', 4, "not a CSV row", id="open quote"),
        pytest.param(NODES + "a,1,1,0,\n", 4, "already in line 3", id="name twice"),
        pytest.param(NODES + ",1,1,0,\n", 4, "sn is empty", id="no name"),
        pytest.param(NODES + "c,1,1,-1,T4\n", 4, "gpu is '-1'; write a whole", id="negative GPUs"),
        pytest.param(NODES + "c,1,1,1.5,T4\n", 4, "gpu is '1.5'; write a whole", id="half a GPU"),
        pytest.param(NODES + "c,1,1,9999,T4\n", 4, "from 0 to 1024", id="too many GPUs"),
        pytest.param(NODES + "c,1,1,1,\n", 4, "without a model", id="GPU without model"),
        pytest.param(NODES + "c,,1,0,\n", 4, "cpu_milli is ''", id="no CPU"),
        pytest.param(NODES + "c,\u0663,1,0,\n", 4, "cpu_milli is", id="digits of another script"),
        pytest.param(NODES + "c" * 600 + ",1,1,0,\n", 4, "at most 512", id="name too long"),
        pytest.param(NODES + "c" * 20_000 + "\n", 4, "16384 characters", id="line too long"),
    ],
)
def test_a_bad_node_list_says_where_and_what(write, content, line, words):
    path = write(content)
    with pytest.raises(TraceError) as error:
        openb.load_nodes(path)
    assert error.value.line == line
    assert words in error.value.sentence
    place = f"{path}:{line}" if line else f"{path}"
    assert str(error.value) == f"{place}: {error.value.sentence}"
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param("p,1,1,-2,1000,,,,,,", "num_gpu is '-2'", id="negative count"),
        pytest.param("p,1,1,0.5,1000,,,,,,", "num_gpu is '0.5'", id="fractional count"),
        pytest.param("p,1,1,two,1000,,,,,,", "num_gpu is 'two'", id="a word"),
        pytest.param("p,1,1,1,0,,,,,,", "gpu_milli is '0'", id="no share"),
        pytest.param("p,1,1,1,1001,,,,,,", "from 1 to 1000", id="more than one GPU's share"),
        pytest.param("p,1,1,1,9,T5,,,,,", "did you mean 'T4'? (G2, T4)", id="near a model"),
        pytest.param("p,1,1,1,9,zzz,,,,,", "known are G2, T4", id="far from any model"),
        pytest.param("p,1,1,1,9,,,,-1,,", "creation_time is '-1'", id="negative time"),
        pytest.param("p,1,1,1,9,,,,5,4,", "before", id="deleted before created"),
        pytest.param("p,1,1,1,9,,,,5,,4", "before", id="scheduled before created"),
        pytest.param("p,1,1,1,9,,,,5,8,9", "before", id="deleted before scheduled"),
        pytest.param("p,1,1,1,9,,a\x07b,,,,", "printable", id="control character"),
    ],
)
def test_a_bad_pod_says_where_and_what(write, row, words):
    path = write(POD_HEADER + POD.replace("p,", "first,") + row + "\n")
    with pytest.raises(TraceError) as error:
        openb.load_pods(path, {"T4", "G2"})
    assert error.value.line == 3
    assert words in error.value.sentence


def test_a_missing_file(tmp_path):
    with pytest.raises(TraceError) as error:
        openb.load_pods(tmp_path / "gone.csv")
    assert str(error.value) == f"{tmp_path / 'gone.csv'}: no such file; check the path"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(TraceError) as error:
        openb.load_pods(tmp_path)
    assert sentence(error)[1].startswith("cannot be read")


def test_limits_have_names_and_sentences(write, monkeypatch):
    monkeypatch.setattr("gpuyard.traces.rows.ROWS_MAX", 1)
    with pytest.raises(TraceError) as error:
        openb.load_nodes(write(NODES))
    assert sentence(error) == (3, "more than 1 rows; split the trace")


def test_the_limit_on_size_counts_what_comes_out_of_the_archive(write, monkeypatch):
    bomb = gzip.compress(b"0" * 2**20)
    monkeypatch.setattr("gpuyard.traces.rows.FILE_BYTES_MAX", 2**16)
    with pytest.raises(TraceError) as error:
        openb.load_nodes(write(bomb))
    assert "MiB of text" in sentence(error)[1]


# --- Too large for any node ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        pytest.param("p,96000,1024,2,1000,,,,,,", True, id="exactly the largest node"),
        pytest.param("p,96001,1024,2,1000,,,,,,", False, id="one millicore more"),
        pytest.param("p,1,1025,0,0,,,,,,", False, id="one MiB more"),
        pytest.param("p,1,1,3,1,,,,,,", False, id="more GPUs than a node has"),
        pytest.param("p,1,1,2,1,T4,,,,,", True, id="models are not a matter of size"),
    ],
)
def test_check_fits_somewhere(write, row, fits):
    nodes = openb.load_nodes(write(NODES, "nodes.csv"))
    path = write(POD_HEADER + row + "\n")
    pods = openb.load_pods(path)
    if fits:
        openb.check_fits_somewhere(path, nodes, pods)
        return
    with pytest.raises(TraceError, match=f"{path}:2: pod 'p' asks for .* more than any node has"):
        openb.check_fits_somewhere(path, nodes, pods)


# --- Sequences ----------------------------------------------------------------------------------

SEQUENCE = '{"42": {"pods": [1, 0, 1], "node_rank": [1, 0]}}'


def test_a_sequence_is_read_by_its_seed(write):
    expected = openb.Sequence(pods=(1, 0, 1), node_rank=(1, 0))
    assert openb.load_sequence(write(SEQUENCE), 42) == expected
    assert openb.load_sequence(write(gzip.compress(SEQUENCE.encode())), 42) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("{", "not a sequence file", id="not JSON"),
        pytest.param("[]", "not a sequence file", id="another shape"),
        pytest.param('{"x": {"pods": [0], "node_rank": []}}', "not a sequence", id="seed: a word"),
        pytest.param('{"42": {"pods": [0.5], "node_rank": []}}', "not a sequence", id="half a row"),
        pytest.param('{"42": {"pods": [], "node_rank": []}}', "names no pods", id="no pods"),
        pytest.param('{"42": {"pods": [-1], "node_rank": []}}', "row -1", id="negative row"),
        pytest.param('{"42": {"pods": [0], "node_rank": [0, 2]}}', "permutation", id="rank gap"),
        pytest.param('{"7": {"pods": [0], "node_rank": []}}', "the file has 7", id="other seed"),
        pytest.param("[" * 20_000, "not a sequence file", id="deep nesting"),
    ],
)
def test_a_bad_sequence_says_what(write, content, words):
    with pytest.raises(TraceError) as error:
        openb.load_sequence(write(content), 42)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("pod_count", "node_count", "words"),
    [
        pytest.param(2, 2, None, id="fits"),
        pytest.param(1, 2, "row 1 of a pod list of 1 rows", id="beyond the pod list"),
        pytest.param(2, 3, "ranks 2 nodes, the node list has 3", id="other fleet"),
    ],
)
def test_check_sequence_fits(write, pod_count, node_count, words):
    path = write(SEQUENCE)
    sequence = openb.load_sequence(path, 42)
    if words is None:
        openb.check_sequence_fits(path, sequence, pod_count=pod_count, node_count=node_count)
        return
    with pytest.raises(TraceError, match=words):
        openb.check_sequence_fits(path, sequence, pod_count=pod_count, node_count=node_count)


def test_ranks_for_another_fleet_are_refused(write):
    with pytest.raises(TraceError, match="2 nodes, but the sequence ranks 3"):
        openb.load_nodes(write(NODES), (0, 1, 2))


# --- Sequences of our own -----------------------------------------------------------------------


def pods_asking(*milli):
    return [
        openb.OpenbPod(
            name=f"pod-{index}",
            request=Request(devices=DeviceRequest(count=1, milli=share) if share else None),
        )
        for index, share in enumerate(milli)
    ]


def test_all_pods_come_once_before_their_clones():
    order = openb.shuffled_arrivals(
        pods_asking(500, 500, 0), random.Random(1), gpu_milli_total=4000, load=1.0
    )
    assert sorted(order[:3]) == [0, 1, 2]
    assert sum(500 for index in order if index < 2) == 4000


def test_what_goes_beyond_the_load_is_cut():
    pods = pods_asking(*[1000] * 10)
    order = openb.shuffled_arrivals(pods, random.Random(1), gpu_milli_total=4000, load=1.0)
    assert len(order) == 4


def test_pods_without_gpus_are_not_cloned_for_ever():
    order = openb.shuffled_arrivals(pods_asking(0, 0), random.Random(1), gpu_milli_total=4000)
    assert sorted(order) == [0, 1]


def test_a_seed_gives_one_sequence(write):
    nodes = openb.load_nodes(write(NODES))
    pods = pods_asking(100, 200, 300)
    one = openb.shuffled_sequence(pods, nodes, 1)
    assert one == openb.shuffled_sequence(pods, nodes, 1)
    assert one != openb.shuffled_sequence(pods, nodes, 2)
    assert sorted(one.node_rank) == [0, 1]


# --- The published files ------------------------------------------------------------------------


def test_the_published_fleet(data_dir):
    nodes = openb.load_nodes(data_dir / "openb" / "openb_node_list_gpu_node.csv.gz")
    assert len(nodes) == 1213
    assert sum(len(node.devices) for node in nodes) == 6212
    assert sum(node.allocatable.get("cpu") for node in nodes) == 107_018_000


def test_the_fleet_with_nodes_that_have_no_gpu(data_dir):
    nodes = openb.load_nodes(data_dir / "openb" / "openb_node_list_all_node.csv.gz")
    assert len(nodes) == 1523
    assert sum(not node.devices for node in nodes) == 310


def test_each_published_sequence_fits_its_trace(data_dir):
    nodes = openb.load_nodes(data_dir / "openb" / "openb_node_list_gpu_node.csv.gz")
    models = openb.gpu_models(nodes)
    sequences = sorted((data_dir / "fgd_sequences").glob("*.json.gz"))
    assert len(sequences) == 17
    for path in sequences:
        name = path.name.partition(".")[0]
        pod_path = data_dir / "openb" / f"openb_pod_list_{name}.csv.gz"
        pods = openb.load_pods(pod_path, models)
        openb.check_fits_somewhere(pod_path, nodes, pods)
        loaded = openb.load_sequences(path)
        assert sorted(loaded) == list(range(42, 52))
        for sequence in loaded.values():
            openb.check_sequence_fits(path, sequence, pod_count=len(pods), node_count=len(nodes))


def test_our_own_sequences_are_as_long_as_the_published_ones(data_dir):
    """Same protocol, other draws: the lengths lie within a few standard deviations."""
    nodes = openb.load_nodes(data_dir / "openb" / "openb_node_list_gpu_node.csv.gz")
    for name in ("default", "multigpu50"):
        pods = openb.load_pods(data_dir / "openb" / f"openb_pod_list_{name}.csv.gz")
        published = openb.load_sequences(data_dir / "fgd_sequences" / f"{name}.json.gz")
        lengths = [len(sequence.pods) for sequence in published.values()]
        margin = 3 * (max(lengths) - min(lengths))
        ours = len(openb.shuffled_sequence(pods, nodes, 1).pods)
        assert min(lengths) - margin < ours < max(lengths) + margin
