"""Records from the command line: kept, computed again, refused."""

import gzip
import json
import re
import resource
import signal
import subprocess
import time

import pytest

from tests.program import PROGRAM, environment, on_one_core, run
from tests.small_trace import write_openb, write_own


@pytest.fixture
def own(tmp_path):
    """The options for our own form of trace; the files lie in tmp_path."""
    return write_own(tmp_path)


@pytest.fixture
def kept(tmp_path, own):
    """The name of a record of a timed replay under fgd."""
    done = run(
        "replay",
        *own,
        "--protocol",
        "timed",
        "--keep-record",
        "run.jsonl",
        "--seed",
        "3",
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return "run.jsonl"


@pytest.mark.parametrize("protocol", ["fill", "timed"])
@pytest.mark.parametrize("policy", ["fgd", "kube", "random"])
def test_a_kept_record_gives_every_plan_again(tmp_path, own, protocol, policy):
    asked = ("--protocol", protocol, "--policy", policy, "--keep-record", "run.jsonl")
    assert run("replay", *own, *asked, cwd=tmp_path).returncode == 0
    done = run("replay", "--record", "run.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        rf"\d+ cycles of run\.jsonl under policy {policy}: every plan is the same\.\n", done.stdout
    )


def test_the_days_of_teams_come_out_again(tmp_path):
    small = ("--fleet", "1x8xH100", "--load", "0.9", "--seeds", "1")
    done = run("demo", *small, "--keep-record", "teams.jsonl.gz", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    done = run("replay", "--record", "teams.jsonl.gz", cwd=tmp_path)
    assert "under policy gpuyard: every plan is the same." in done.stdout
    done = run("replay", "--record", "teams.jsonl.gz", "--policy", "kueue", cwd=tmp_path)
    assert (done.returncode, "is the first that differs" in done.stdout) == (1, True)
    done = run("replay", "--record", "teams.jsonl.gz", "--policy", "fgd", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "gpuyard: teams.jsonl.gz:1: its workloads wait in queues; name a policy that has queues\n"
    )


def test_a_published_sequence_is_in_its_record(tmp_path):
    options = (*write_openb(tmp_path), "--sequence", "sequences.json", "--seed", "42")
    assert run("replay", *options, "--keep-record", "run.jsonl", cwd=tmp_path).returncode == 0
    done = run("replay", "--record", "run.jsonl", "-o", "json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert answer == {
        "record": "run.jsonl",
        "trace": "openb-pods",
        "policy": "fgd",
        "seed": 42,
        "cycles": 11,
        "difference": None,
    }


def test_the_answer_is_the_same_with_and_without_a_record(tmp_path, own):
    def answer(*more):
        done = run("replay", *own, "--protocol", "timed", *more, "-o", "json", cwd=tmp_path)
        document = json.loads(done.stdout)
        del document["seconds"]
        return document

    assert answer() == answer("--keep-record", "run.jsonl")


def test_the_same_run_leaves_the_same_bytes_compressed_or_not(tmp_path, own):
    for name in ("one.jsonl", "two.jsonl", "one.jsonl.gz", "two.jsonl.gz"):
        run("replay", *own, "--policy", "kube", "--keep-record", name, cwd=tmp_path)

    def written(name):
        return (tmp_path / name).read_bytes()

    assert written("one.jsonl") == written("two.jsonl")
    assert written("one.jsonl.gz") == written("two.jsonl.gz")
    assert gzip.decompress(written("one.jsonl.gz")) == written("one.jsonl")
    done = run("replay", "--record", "one.jsonl.gz", cwd=tmp_path)
    assert done.returncode == 0


def test_another_policy_is_a_finding(tmp_path, kept):
    done = run("replay", "--record", kept, "--policy", "kube", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    first, *rows = done.stdout.splitlines()
    assert first == (
        "run.jsonl:2: under policy kube the plan of cycle 1, at 0.000 s, is the first that differs."
    )
    assert [row.split()[0] for row in rows] == ["workload", "recorded", "recomputed"]
    assert rows[1].split(maxsplit=1)[1] == "first/main-0 on train-0, devices 0, 1, 2, 3, 4, 5, 6, 7"


def test_a_finding_as_json_names_cycle_line_and_both_versions(tmp_path, kept):
    asked = ("--record", kept, "--policy", "kube", "-o", "json", "--to", "out.json")
    done = run("replay", *asked, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    answer = json.loads((tmp_path / "out.json").read_text())
    assert (answer["policy"], answer["cycles"]) == ("kube", 1)
    difference = answer["difference"]
    assert set(difference) == {"cycle", "line", "now_ns", "workload", "recorded", "recomputed"}
    assert (difference["cycle"], difference["line"], difference["workload"]) == (1, 2, "first")
    assert "train-0" in difference["recorded"]
    assert "train-1" in difference["recomputed"]


def test_a_policy_that_decides_the_same_is_none(tmp_path, kept):
    assert run("replay", "--record", kept, "--policy", "packing", cwd=tmp_path).returncode == 0


def test_ties_may_be_broken_otherwise(tmp_path, kept):
    asked = ("--record", kept, "--policy", "fgd", "--tie-break", "random")
    done = run("replay", *asked, cwd=tmp_path)
    assert done.returncode in {0, 1}
    assert "under policy fgd" in done.stdout


# --- Refused ------------------------------------------------------------------------------------


def assert_refused(folder, *args, words, **settings):
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = run(*args, cwd=folder, **settings)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("gpuyard: ")
    assert done.stderr.count("\n") == 1, "one sentence"
    for word in words:
        assert word in done.stderr
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda text: text[:-300], ["run.jsonl:", "damaged"], id="cut in a line"),
        pytest.param(
            lambda text: b"".join(text.splitlines(keepends=True)[:-1]),
            ["was cut after cycle"],
            id="without its end",
        ),
        pytest.param(
            lambda text: text.replace(b"record/2", b"record/7"),
            ["run.jsonl:1:", "'gpuyard-record/7'", "reads gpuyard-record/1"],
            id="of another version",
        ),
        pytest.param(lambda _: b"a,b\n1,2\n", ["run.jsonl:1: not a record"], id="a table"),
        pytest.param(lambda _: bytes(range(256)) * 9, ["run.jsonl:1: not a"], id="binary junk"),
        pytest.param(lambda _: b"", ["run.jsonl:1: not a record"], id="empty"),
        pytest.param(lambda text: gzip.compress(text)[:-50], ["damaged gzip file"], id="cut gzip"),
    ],
)
def test_a_record_that_cannot_be_used(tmp_path, kept, change, words):
    path = tmp_path / kept
    path.write_bytes(change(path.read_bytes()))
    assert_refused(tmp_path, "replay", "--record", kept, words=words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--record", "no.jsonl"), ["no.jsonl: no such file; check the path"]),
        (("--record", "."), [".: cannot be read"]),
        (("--record", "r", "--nodes", "n"), ["leave --nodes out"]),
        (("--record", "r", "--pods", "n"), ["leave --pods out"]),
        (("--record", "r", "--seed", "1"), ["leave --seed out"]),
        (("--record", "r", "--protocol", "fill"), ["leave --protocol out"]),
        (("--record", "r", "--compare", "fgd,kube"), ["leave --compare out"]),
        (("--record", "r", "--sequence", "s"), ["leave --sequence out"]),
        (("--record", "r", "--keep-record", "s"), ["leave --keep-record out"]),
        (("--record", "r", "-o", "html"), ["as table or json, not as html"]),
        (("--record", "r", "--policy", "fdg"), ["did you mean 'fgd'?"]),
        (("--record", "r", "--tie-break", "rank"), ["name it with --policy"]),
        (("--record", "r", "--to", "no/out"), ["there is no folder"]),
        (("--nodes", "nodes.csv"), ["--nodes and --pods", "--record"]),
        ((), ["--nodes and --pods", "--record"]),
    ],
)
def test_what_does_not_go_together(tmp_path, own, args, words):
    assert_refused(tmp_path, "replay", *args, words=words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--compare", "fgd,kube", "--keep-record", "r"), ["one policy; use --policy"]),
        (("--keep-record", "."), ["--keep-record", ". is a folder"]),
        (("--keep-record", "no/r"), ["--keep-record", "there is no folder"]),
    ],
)
def test_what_cannot_be_kept(tmp_path, own, args, words):
    assert_refused(tmp_path, "replay", *own, *args, words=words)


def no_room():
    """Let the child write files of at most 64 bytes."""
    on_one_core()
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_disk_without_room_leaves_what_was_there(tmp_path, own, name):
    (tmp_path / name).write_text("before")
    words = [f"{name}: cannot be written (File too large)", "choose another place"]
    asked = ("replay", *own, "--keep-record", name)
    assert_refused(tmp_path, *asked, words=words, before=no_room, PYTHONDONTWRITEBYTECODE="1")


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_in_the_middle_no_record_is_left(tmp_path, own, stop, code):
    rows = "".join(f"w{index},2,1000,1024,1,,,{index},50,batch\n" for index in range(60_000))
    head = (tmp_path / "pods.csv").read_text().splitlines(keepends=True)[0]
    (tmp_path / "pods.csv").write_text(head + rows)
    asked = ("replay", *own, "--protocol", "timed", "--keep-record", "run.jsonl")
    process = subprocess.Popen(
        [*PROGRAM, *asked],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not any(path.name.endswith(".part") for path in tmp_path.iterdir()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(stop)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.strip() == b"gpuyard: stopped; nothing was left half-written"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nodes.csv", "pods.csv"]
