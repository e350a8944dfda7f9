"""The Pollux artifact's files: what is read, from where, and each way to be wrong."""

import gzip
import io
import json
import tarfile

import pytest

from gpuyard.model.nodes import Device
from gpuyard.model.workloads import DeviceRequest
from gpuyard.traces import pollux
from gpuyard.traces.pollux import Artifact, PolluxJob, load_application, load_jobs, load_summary
from gpuyard.traces.trace import TraceError
from gpuyard.twin.step_time import Rectangle

JOBS = "name,time,application,num_replicas,batch_size\n"
PLACEMENTS = "placement,local_bsz,step_time,sync_time\n"
SCALABILITY = "num_nodes,num_replicas,local_bsz,step_time,sync_time\n"
VALIDATION = "progress,iteration,metric,grad_sqr,grad_var\n"
TWO_EPOCHS = VALIDATION + "100.5,100,0.3,1.5,2.5\n200,200,0.5,1e3,0\n"
FILES = {
    "workloads/workload-1.csv": JOBS + "bert-0,107,bert,6,48\nncf-1,107.5,ncf,1,32768\n",
    "traces/bert/placements.csv": PLACEMENTS + "1,4,0.5,0.1\n1,8,0.75,0.25\n12,4,0.5,0.25\n",
    "traces/bert/scalability.csv": SCALABILITY + "6,6,4,1.5,1.25\n8,6,4,2.5,1.25\n",
    "traces/bert/validation-12.csv": TWO_EPOCHS,
    "traces/bert/validation-192.csv": TWO_EPOCHS,
    "traces/bert/validation-24.csv": TWO_EPOCHS,
    "traces/yolov3/placements.csv": PLACEMENTS + "1,4,0.5,0.1\n1,16,0.75,0.25\n",
    "traces/yolov3/scalability.csv": SCALABILITY + "6,6,4,1.5,1.25\n",
    "traces/yolov3/validation-8.csv": VALIDATION
    + "".join(f"{step},1,1,1,1\n" for step in range(1, 51)),
    "results-jobload/tiresias-1.0/summary.json": json.dumps(
        {"jcts": {"workload-1": {"bert-0": 130}}, "avgs": {"workload-1": 130.0}, "mean": 130.0}
    ),
}


def archive(tmp_path, files, prefix="simulator/", *, mode="w:gz"):
    path = tmp_path / "artifact.tar"
    with tarfile.open(path, mode) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(prefix + name)
            content = text if isinstance(text, bytes) else text.encode()
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def folder(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def given(tmp_path):
    """Return an artifact with some files replaced, or left out where they are `None`."""

    def make(files=()):
        files = {**FILES, **dict(files)}
        return Artifact(archive(tmp_path, {name: one for name, one in files.items() if one}))

    return make


# --- What is read -------------------------------------------------------------------------------


def test_jobs_are_gangs_of_one_device_pods(given):
    bert, ncf = load_jobs(given(), "workloads/workload-1.csv")
    assert isinstance(bert, PolluxJob)
    assert (bert.workload.key, bert.application, bert.batch) == ("bert-0", "bert", 48)
    (pod_set,) = bert.workload.pod_sets
    assert (pod_set.count, pod_set.template.request.devices) == (6, DeviceRequest(count=1))
    assert bert.workload.created_ns == 107 * 10**9
    assert (ncf.workload.device_milli, ncf.workload.created_ns) == (1000, 107_500_000_000)
    assert bert.workload.kind == "training"


def test_an_application_has_its_tables(given):
    bert = load_application(given(), "bert")
    assert (bert.name, bert.epochs, bert.local_batch_max) == ("bert", 2, 8)
    assert [one.batch for one in bert.validations] == [12, 24, 192]
    assert bert.validations[0].progress == (100.5, 200.0)
    assert bert.validations[0].grad_sqr == (1.5, 1000.0)
    assert bert.validations[0].grad_var == (2.5, 0.0)
    assert bert.step_times.at((1,), 6) == pytest.approx((0.625, 0.175))
    assert bert.step_times.at((2, 1), 4) == (0.5, 0.25)
    assert bert.step_times.at((1,) * 6, 4) == (1.5, 1.25)


def test_yolov3_fits_fewer_samples_than_were_measured(given):
    assert load_application(given(), "yolov3").local_batch_max == 8


def test_diagonals_are_handed_on(given):
    files = {
        "traces/bert/scalability.csv": SCALABILITY + "4,8,4,1,0\n6,8,4,2,0\n4,8,6,3,0\n6,8,6,8,0\n"
    }
    artifact, spread = given(files=files), (4, 1, 1, 1, 1)
    found = {
        cut: load_application(artifact, "bert", {Rectangle(4, 6, 8, 4, 6): cut})
        .step_times.at(spread, 5)
        .step_s
        for cut in ("rising", "falling")
    }
    assert found == {"rising": 4.5, "falling": 2.5}


def test_a_published_result(given):
    summary = load_summary(given(), "tiresias", "1.0")
    assert summary.jcts == {"workload-1": {"bert-0": 130}}
    assert summary.mean == 130


def test_the_simulated_cluster_has_64_devices():
    nodes = pollux.fleet()
    assert [node.rank for node in nodes] == list(range(16))
    assert len({node.name for node in nodes}) == 16
    assert all(node.devices == (Device(model="T4"),) * 4 for node in nodes)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("prefix", ["", "simulator/", "./simulator/"])
def test_a_tar_of_the_folder_will_do(tmp_path, prefix, mode):
    artifact = Artifact(archive(tmp_path, FILES, prefix, mode=mode))
    assert len(load_jobs(artifact, "workloads/workload-1.csv")) == 2
    assert artifact.names("traces/bert")[-1] == "validation-24.csv"


@pytest.mark.parametrize("below", ["", "simulator"])
def test_a_checkout_will_do(tmp_path, below):
    folder(tmp_path / below, FILES)
    assert load_application(Artifact(tmp_path), "bert").epochs == 2


def test_other_files_are_left_alone(tmp_path):
    artifact = Artifact(archive(tmp_path, {**FILES, "simulator.py": b"\xff\xfe\0"}))
    assert artifact.names("") == artifact.names(".") == ()


# --- Each way to be wrong -----------------------------------------------------------------------


def sentence_of(call, *arguments):
    with pytest.raises(TraceError) as error:
        call(*arguments)
    return error.value.line, error.value.sentence


@pytest.mark.parametrize(
    ("row", "line", "sentence"),
    [
        pytest.param(
            "a,1,brt,1,8", 2, "unknown application 'brt'; did you mean 'bert'?", id="application"
        ),
        pytest.param("a,1,bert,0,8", 2, "num_replicas is '0'; write a whole", id="no pods"),
        pytest.param("a,1,bert,1,x", 2, "batch_size is 'x'; write a whole", id="batch"),
        pytest.param("a,,bert,1,8", 2, "time is empty", id="no time"),
        pytest.param("a,-5,bert,1,8", 2, "time is '-5'; write seconds", id="negative time"),
        pytest.param(",1,bert,1,8", 2, "name is empty", id="no name"),
        pytest.param("a,1,bert,1,8\na,2,bert,1,8", 3, "name 'a' stands already", id="name twice"),
        pytest.param("a,1,bert", 2, "3 cells under a header of 5", id="short row"),
        pytest.param("", None, "no rows below the header", id="no jobs"),
    ],
)
def test_a_wrong_job(given, row, line, sentence):
    name = "workloads/workload-1.csv"
    found = sentence_of(load_jobs, given(files={name: JOBS + row}), name)
    assert found[0] == line
    assert found[1].startswith(sentence)


@pytest.mark.parametrize(
    ("file", "content", "line", "sentence"),
    [
        ("placements", PLACEMENTS + "1x,4,1,0\n", 2, "placement is '1x'; write a digit"),
        ("placements", PLACEMENTS + "10,4,1,0\n", 2, "placement is '10'; write a digit"),
        ("placements", PLACEMENTS + "1,0,1,0\n", 2, "local_bsz is '0'"),
        ("placements", PLACEMENTS + "1,4,0,0\n", 2, "step_time is 0.0 and sync_time 0.0"),
        ("placements", PLACEMENTS + "1,4,1,2\n", 2, "step_time is 1.0 and sync_time 2.0"),
        ("placements", PLACEMENTS + "1,4,nan,0\n", 2, "step_time is 'nan'; write a number"),
        ("placements", PLACEMENTS + "1,4,inf,0\n", 2, "step_time is 'inf'; write a number"),
        ("placements", PLACEMENTS + "1,4,,0\n", 2, "step_time is ''; write a number"),
        ("placements", PLACEMENTS + "1,4,1,0\n1,4,1,0\n", 3, "local_bsz 4 of this placement"),
        ("placements", "placement,local_bsz\n1,4\n", 1, "the header lacks step_time"),
        ("placements", None, None, "no file traces/bert/placements.csv"),
        ("scalability", SCALABILITY + "0,6,4,1,0\n", 2, "num_nodes is '0'"),
        ("scalability", SCALABILITY, None, "no rows below the header"),
        ("validation-12", VALIDATION + "1,1,1,1,1\n", None, "1 epochs, but the application"),
        ("validation-12", VALIDATION + "2,1,1,1,1\n2,1,1,1,1\n", 3, "progress is 2.0 after 2.0"),
        ("validation-12", VALIDATION + "0,1,1,1,1\n2,1,1,1,1\n", 2, "progress is 0.0 after 0.0"),
        ("validation-12", VALIDATION + "1,1,1,0,0\n2,1,1,1,1\n", 2, "grad_sqr and grad_var are"),
        (
            "validation-12",
            VALIDATION + "1,1,1,-1,1\n2,1,1,1,1\n",
            2,
            "grad_sqr is '-1'; write a number",
        ),
    ],
)
def test_a_wrong_table(given, file, content, line, sentence):
    artifact = given(files={f"traces/bert/{file}.csv": content})
    found = sentence_of(load_application, artifact, "bert")
    assert found[0] == line
    assert found[1].startswith(sentence)


def test_an_application_without_validations(given):
    gone = {f"traces/bert/validation-{batch}.csv": None for batch in (12, 24, 192)}
    found = sentence_of(load_application, given(files=gone), "bert")
    assert found == (None, "no traces/bert/validation-*.csv; take the whole folder")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param("{", "not a summary", id="no JSON"),
        pytest.param('{"jcts": []}', "not a summary", id="another shape"),
        pytest.param(b"\xff", "not UTF-8 text", id="no text"),
        pytest.param(None, "no file results-jobload", id="absent"),
    ],
)
def test_a_wrong_summary(given, content, sentence):
    artifact = given(files={"results-jobload/tiresias-1.0/summary.json": content})
    assert sentence_of(load_summary, artifact, "tiresias", "1.0")[1].startswith(sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "no such file", id="absent"),
        pytest.param(b"no archive", "not a readable tar archive", id="no tar"),
        pytest.param(gzip.compress(b"x" * 5000)[:-9], "not a readable tar archive", id="cut off"),
        pytest.param(b"\x1f\x8b" + b"x" * 600, "not a readable tar archive", id="damaged gzip"),
    ],
)
def test_a_wrong_archive(tmp_path, content, sentence):
    path = tmp_path / "given.tar.gz"
    if content is not None:
        path.write_bytes(content)
    assert sentence_of(Artifact, path)[1].startswith(sentence)


def test_an_archive_of_something_else(tmp_path):
    path = archive(tmp_path, {"other.csv": "a,b\n"})
    assert sentence_of(Artifact, path)[1].startswith("no workloads/ folder")
    (tmp_path / "empty").mkdir()
    assert sentence_of(Artifact, tmp_path / "empty")[1].startswith("no workloads/ folder")


@pytest.mark.parametrize(("limit", "value"), [("FILES_MAX", 3), ("FILE_BYTES_MAX", 100)])
def test_what_is_read_has_limits(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(pollux, limit, value)
    assert sentence_of(Artifact, archive(tmp_path, FILES))[1].startswith("too large")
    folder(tmp_path / "checkout", FILES)
    assert sentence_of(Artifact, tmp_path / "checkout")[1].startswith("too large")
