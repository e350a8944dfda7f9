"""The command line as a stranger meets it: real processes, small files, every way to be wrong."""

import csv
import gzip
import json
import os
import re
import resource
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpuyard.scheduling.presets import PRESETS
from tests.program import PROGRAM, Forked, environment, on_one_core, run, run_in_terminal
from tests.small_trace import OPENB_PODS, OWN_NODES, OWN_PODS, write_openb, write_own

FIELDS = {
    "policy",
    "protocol",
    "tie_break",
    "seed",
    "nodes",
    "gpus",
    "arrivals",
    "placed",
    "failed",
    "samples",
    "seconds",
}
FILL_SAMPLE = {"arrived_pct", "allocated_pct", "frag_pct_of_cluster", "frag_pct_of_idle"}
TIMED_SAMPLE = {
    "at_s",
    "allocated_pct",
    "useful_pct",
    "frag_pct_of_cluster",
    "unreachable_pct_of_cluster",
    "waiting_gpus",
}
LONG_WORK = ("demo", "--fleet", "12x8xH100+4x8xL4", "--load", "1.3", "--seeds", "40", "-o", "json")


@pytest.fixture
def own(tmp_path):
    """The options for our own form of trace; the files lie in tmp_path."""
    return write_own(tmp_path)


@pytest.fixture
def openb(tmp_path):
    """The options for openb's form."""
    return write_openb(tmp_path)


@pytest.fixture(scope="module")
def gpuyard():
    """Runs the program, fast."""
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture
def document(gpuyard, tmp_path):
    """Replays a trace in tmp_path and reads the JSON."""

    def replayed(*args, by=gpuyard, **settings):
        done = by("replay", *args, "-o", "json", cwd=tmp_path, **settings)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return replayed


def on_all_cores():
    """Let the child start workers."""


def allocated(replay):
    return [sample["allocated_pct"] for sample in replay["samples"]]


# --- What comes out -----------------------------------------------------------------------------


def test_json_of_fill_has_the_documented_fields(document, own):
    replay = document(*own)
    assert replay.keys() == FIELDS
    assert all(sample.keys() == FILL_SAMPLE for sample in replay["samples"])
    assert (replay["policy"], replay["protocol"], replay["tie_break"]) == ("fgd", "fill", "rank")
    assert (replay["nodes"], replay["gpus"], replay["seed"]) == (3, 24, 0)
    # The second gang finds no two whole H100 nodes: nobody leaves.
    assert (replay["arrivals"], replay["placed"], replay["failed"]) == (5, 4, 1)
    assert [one["arrived_pct"] for one in replay["samples"]] == [67, 69, 71, 88, 154]
    assert allocated(replay) == [66.67, 68.75, 70.83, 87.5, 87.5]
    assert 0 <= replay["seconds"] < 60


def test_json_of_timed_has_waits_too(document, own):
    replay = document(*own, "--protocol", "timed")
    assert replay.keys() == FIELDS | {"waits"}
    assert all(sample.keys() == TIMED_SAMPLE for sample in replay["samples"])
    assert (replay["arrivals"], replay["placed"], replay["failed"]) == (5, 5, 0)
    assert [one["kind"] for one in replay["waits"]] == ["inference", "notebook", "training"]
    training = replay["waits"][-1]
    assert (training["workloads"], training["mean_s"]) == (2, 3540 / 2)
    at_s = [sample["at_s"] for sample in replay["samples"]]
    assert at_s == sorted(at_s)
    assert {0, 10, 20, 30, 60, 610, 620, 3600, 7200} <= set(at_s)  # whenever something happened


@pytest.mark.parametrize("protocol", ["fill", "timed"])
def test_csv_has_the_numbers_of_json(gpuyard, document, tmp_path, own, protocol):
    asked = (*own, "--protocol", protocol, "--compare", "fgd,kube")
    done = gpuyard("replay", *asked, "-o", "csv", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    expected = [
        {"policy": replay["policy"], "seed": 0, **sample}
        for replay in document(*asked)
        for sample in replay["samples"]
    ]
    assert [{k: v if k == "policy" else float(v) for k, v in row.items()} for row in rows] == (
        expected
    )


def test_compare_lists_the_policies_in_the_order_asked(document, own):
    replays = document(*own, "--compare", "random, kube,fgd", by=run, before=on_all_cores)
    assert [one["policy"] for one in replays] == ["random", "kube", "fgd"]
    alone = document(*own, "--compare", "kube")
    assert isinstance(alone, list)
    assert alone[0]["samples"] == replays[1]["samples"]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_a_published_sequence_decides_the_order(document, tmp_path, compressed):
    options = (
        *write_openb(tmp_path, compressed=compressed),
        "--sequence",
        "sequences.json",
    )
    replay = document(*options, "--seed", "42")
    # GPUs: 0.5, 2, 0.25, 4, 0, 0.7, 1, 0.4, again 0.5, 2, 4 of ten.
    assert [one["arrived_pct"] for one in replay["samples"]] == [
        round(milli / 100) for milli in (500, 2500, 2750, 6750, 7450, 8450, 8850, 9350)
    ] + [114, 154]
    assert (replay["seed"], replay["arrivals"]) == (42, 11)


def test_without_a_seed_the_smallest_sequence_is_taken_and_named(document, openb):
    options = (*openb, "--sequence", "sequences.json")
    replay = document(*options)
    assert replay["seed"] == 7
    assert replay["samples"] == document(*options, "--seed", "7")["samples"]


def test_a_seed_alone_shuffles_an_openb_list(document, openb):
    first, second = (document(*openb, "--seed", seed) for seed in ("1", "2"))
    assert (first["seed"], second["seed"]) == (1, 2)
    assert first["samples"] != second["samples"]
    assert first["arrivals"] > 8  # clones up to 130 %


def test_our_own_table_keeps_its_order_and_takes_the_seed_for_chance(document, tmp_path, own):
    (tmp_path / "mixed.csv").write_text(OPENB_PODS.replace("P100", "L4").replace("T4", "H100"))
    in_order = document(*own, "--seed", "3")
    assert (in_order["seed"], in_order["samples"]) == (3, document(*own)["samples"])
    mixed = document("--nodes", "nodes.csv", "--pods", "mixed.csv", "--seed", "3")
    assert mixed["arrivals"] > 8


def test_ties_are_broken_as_asked(document, openb):
    assert document(*openb, "--tie-break", "random")["tie_break"] == "random"
    by_rank = document(*openb, "--policy", "kube", "--tie-break", "rank")
    assert by_rank["tie_break"] == "rank"
    assert document(*openb, "--policy", "kube")["tie_break"] == "random"


@pytest.mark.parametrize("protocol", ["fill", "timed"])
def test_same_input_same_bytes_whatever_the_hash_seed(tmp_path, own, protocol):
    asked = (*own, "--protocol", protocol, "--compare", "gpuyard,kube,random", "--seed", "5")

    def outputs(hash_seed):
        text = run("replay", *asked, "-o", "json", cwd=tmp_path, PYTHONHASHSEED=hash_seed).stdout
        page = run("replay", *asked, "-o", "html", cwd=tmp_path, PYTHONHASHSEED=hash_seed).stdout
        assert text
        assert page.startswith("<!doctype html>")
        return re.sub(r'"seconds": [^,\n]+', "", text), page

    assert outputs("1") == outputs("2")


@pytest.mark.parametrize("protocol", ["fill", "timed"])
def test_a_piped_table_is_plain_and_fits_100_columns(gpuyard, tmp_path, own, protocol):
    every = ",".join(sorted(PRESETS))
    done = gpuyard("replay", *own, "--protocol", protocol, "--compare", every, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    for name in PRESETS:
        assert re.search(rf"^ {name} ", done.stdout, re.MULTILINE), name


def test_html_is_one_page_that_names_the_command(gpuyard, tmp_path, own):
    done = gpuyard("replay", *own, "-o", "html", "--to", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = (tmp_path / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "gpuyard replay --nodes nodes.csv --pods pods.csv -o html --to page.html" in page


# --- A terminal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["fill", "timed"])
def test_a_narrow_terminal_cuts_no_name_and_no_number(tmp_path, own, protocol):
    asked = ("replay", *own, "--protocol", protocol, "--compare", "fgd,kube-most-allocated")
    code, screen, piped = run_in_terminal(
        *asked, cwd=tmp_path, columns=60, streams="out", NO_COLOR="1"
    )
    assert (code, piped) == (0, "")
    assert "…" not in screen
    assert "kube-most-allocated" in screen
    assert "Left out for want of room: " in screen
    assert max(map(len, screen.splitlines())) <= 60
    assert "\x1b" not in screen


def test_a_very_narrow_terminal_wraps_rather_than_cuts(tmp_path, own):
    asked = ("replay", *own, "--policy", "kube-most-allocated", "--no-color")
    _, screen, _ = run_in_terminal(*asked, cwd=tmp_path, columns=20, streams="out")
    assert "…" not in screen
    assert "kube-most-allocated" in screen
    assert "\x1b" not in screen


def test_progress_is_shown_on_a_terminal_and_on_stderr_only(tmp_path, own):
    asked = ("replay", *own, "--compare", "fgd,packing", "-o", "csv")
    plain = run(*asked, cwd=tmp_path)
    assert plain.stderr == ""
    code, screen, piped = run_in_terminal(*asked, cwd=tmp_path, columns=80, streams="err")
    assert code == 0
    assert piped == plain.stdout
    assert "replaying pods" in screen
    assert "2/2" in screen
    code, screen, piped = run_in_terminal(*asked, cwd=tmp_path, columns=80, streams="out")
    assert (code, piped, screen) == (0, "", plain.stdout)


# --- Help ---------------------------------------------------------------------------------------


def test_help_answers_without_the_heavy_libraries(tmp_path):
    program = (sys.executable, "-X", "importtime", "-m", "gpuyard")
    done = run("--help", cwd=tmp_path, program=program)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"numpy", "rich", "msgspec", "polars"}


def test_help_names_every_command_and_is_what_no_command_gives(tmp_path):
    asked = run("--help", cwd=tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    for command in ("demo", "explain", "lint", "replay"):
        assert re.search(rf"^  {command} ", asked.stdout, re.MULTILINE)
        assert run(command, "--help", cwd=tmp_path).returncode == 0
    assert "\\b" not in asked.stdout
    bare = run(cwd=tmp_path)
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, asked.stdout, "")


def test_the_examples_of_the_help_work_as_printed(gpuyard, tmp_path):
    (tmp_path / "nodes.csv").write_text(OWN_NODES)
    (tmp_path / "pods.csv").write_text(OWN_PODS)
    shown = (
        gpuyard("replay", "--help", cwd=tmp_path).stdout + gpuyard("--help", cwd=tmp_path).stdout
    )
    examples = re.findall(r"^    gpuyard (replay .*)$", shown, re.MULTILINE)
    assert len(examples) == 6
    for example in examples:
        done = gpuyard(*shlex.split(example), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), example


def test_help_of_replay_names_the_policies(gpuyard, tmp_path):
    shown = " ".join(run("replay", "--help", cwd=tmp_path).stdout.split())
    assert f"Policies: {', '.join(sorted(PRESETS))};" in shown


def test_the_version_is_the_same_by_either_name(tmp_path):
    installed = (str(Path(sys.executable).with_name("gpuyard")),)
    by_module, by_name = (
        run("--version", cwd=tmp_path),
        run("--version", cwd=tmp_path, program=installed),
    )
    assert re.fullmatch(r"gpuyard, version \d+\.\d+\S*\n", by_module.stdout)
    assert by_name.stdout == by_module.stdout


# --- Wrong input: one sentence, nothing changed -------------------------------------------------


def broken_files(folder):
    """Write every bad file of the tables below."""
    write_own(folder)
    write_openb(folder)
    lines = OWN_PODS.splitlines(keepends=True)
    openb_lines = OPENB_PODS.splitlines(keepends=True)
    packed = gzip.compress(OWN_PODS.encode() * 50)
    texts = {
        "header.csv": "name,size\na,1\n",
        "lacks.csv": OWN_PODS.replace("arrival_s", "when"),
        "model.csv": OWN_PODS.replace(",L4,30", ",L40,30"),
        "openb-model.csv": OPENB_PODS.replace("T4|P100", "T4|P10"),
        "negative.csv": OWN_PODS.replace("serve,4,4000,8192,1", "serve,4,4000,8192,-1"),
        "fraction.csv": OWN_PODS.replace("serve,4,4000,8192,1", "serve,4,4000,8192,0.5"),
        "openb-negative.csv": "".join(openb_lines[:3]) + "p9,1,1,-2,1000,,LS,Running,0,1,0\n",
        "openb-fraction.csv": "".join(openb_lines[:3]) + "p9,1,1,1.5,1000,,LS,Running,0,1,0\n",
        "nodes-negative.csv": OWN_NODES.replace(",8,L4", ",-8,L4"),
        "large.csv": "".join(lines[:2]) + "huge,1,1000,1024,16,,,5,,batch\n",
        "openb-large.csv": "".join(openb_lines[:2]) + "p9,99000000,1,1,10,,LS,Running,0,1,0\n",
        "rows.json": '{"1": {"pods": [0, 99], "node_rank": [0, 1, 2]}}',
        "ranks.json": '{"1": {"pods": [0], "node_rank": [0, 1]}}',
        "none.json": "{}",
        "text.json": "hello",
        "empty.csv": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    (folder / "junk.csv").write_bytes(bytes(range(256)) * 8)
    (folder / "latin.csv").write_bytes(
        OWN_PODS.encode() + "jörg,1,1,1,1,,,1,,batch\n".encode("latin-1")
    )
    (folder / "protected.txt").write_text("before")
    (folder / "protected.txt").chmod(0o400)


def contents(folder):
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder with every bad file."""
    folder = tmp_path_factory.mktemp("broken")
    broken_files(folder)
    return folder


def assert_refused(folder, *args, words, by=run, **settings):
    before = contents(folder)
    done = by(*args, cwd=folder, **settings)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.startswith("gpuyard: ")
    assert done.stderr.count("\n") == 1, "one sentence"
    assert "Errno" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert contents(folder) == before


PODS = ("--nodes", "nodes.csv", "--pods")
OPENB_PODS_OPTION = ("--nodes", "openb-nodes.csv", "--pods")
FITTING = (*PODS, "pods.csv")
SEQUENCE = (*OPENB_PODS_OPTION, "openb-pods.csv", "--sequence")

BAD_TRACES = {
    "missing file": ((*PODS, "missing.csv"), ["missing.csv: no such file", "check the path"]),
    "missing nodes": (("--nodes", "no.csv", "--pods", "pods.csv"), ["no.csv: no such file"]),
    "a folder": ((*PODS, "."), [".: cannot be read", "give a readable file"]),
    "bad header": ((*PODS, "header.csv"), ["header.csv:1:", "docs/reference/traces.md"]),
    "a column is missing": ((*PODS, "lacks.csv"), ["lacks.csv:1:", "lacks arrival_s"]),
    "unknown model": ((*PODS, "model.csv"), ["model.csv:5:", "'L40'", "did you mean 'L4'?"]),
    "unknown model, openb": (
        (*OPENB_PODS_OPTION, "openb-model.csv"),
        ["openb-model.csv:9:", "'P10'", "did you mean 'P100'?"],
    ),
    "negative GPUs": ((*PODS, "negative.csv"), ["negative.csv:5:", "'-1'", "whole number"]),
    "half a GPU": ((*PODS, "fraction.csv"), ["fraction.csv:5:", "'0.5'", "whole number"]),
    "negative GPUs, openb": (
        (*OPENB_PODS_OPTION, "openb-negative.csv"),
        ["openb-negative.csv:4:", "'-2'", "whole number"],
    ),
    "half a GPU, openb": (
        (*OPENB_PODS_OPTION, "openb-fraction.csv"),
        ["openb-fraction.csv:4:", "'1.5'", "whole number"],
    ),
    "node with negative GPUs": (
        ("--nodes", "nodes-negative.csv", "--pods", "pods.csv"),
        ["nodes-negative.csv:3:", "'-8'"],
    ),
    "larger than any node": (
        (*PODS, "large.csv"),
        ["large.csv:3:", "'huge'", "16", "more than any node has; correct the row"],
    ),
    "larger than any node, openb": (
        (*OPENB_PODS_OPTION, "openb-large.csv"),
        ["openb-large.csv:3:", "'p9'", "more than any node has"],
    ),
    "cut gzip": ((*PODS, "cut.csv.gz"), ["cut.csv.gz: a damaged gzip file", "download it again"]),
    "binary junk": ((*PODS, "junk.csv"), ["junk.csv: a binary file"]),
    "another encoding": ((*PODS, "latin.csv"), ["latin.csv:7:", "save the file as UTF-8"]),
    "empty": ((*PODS, "empty.csv"), ["empty.csv: the file is empty"]),
    "sequence of another pod list": (
        (*SEQUENCE, "rows.json"),
        ["rows.json: ", "row 99", "8 rows", "use the pod list it is for"],
    ),
    "sequence of another fleet": (
        (*SEQUENCE, "ranks.json"),
        ["ranks.json: ", "2 nodes", "has 3", "use the node list it is for"],
    ),
    "empty sequence file": ((*SEQUENCE, "none.json"), ["none.json: no sequence"]),
    "no sequence file": ((*SEQUENCE, "text.json"), ["text.json: not a sequence file", "write {"]),
    "seed not in the sequence file": (
        (*SEQUENCE, "sequences.json", "--seed", "8"),
        ["sequences.json: no sequence for seed 8; the file has 7, 42"],
    ),
    "sequence for our own table": (
        (*FITTING, "--sequence", "sequences.json"),
        ["pods.csv:1:", "leave --sequence out"],
    ),
}

BAD_OPTIONS = {
    "unknown policy": (
        ("--policy", "fdg"),
        ["unknown policy 'fdg'; did you mean 'fgd'?", "packing"],
    ),
    "nothing like it": (("--policy", "zzz"), ["unknown policy 'zzz'; there are best-fit, "]),
    "unknown policy in compare": (("--compare", "fgd,bets-fit"), ["did you mean 'best-fit'?"]),
    "a list for --policy": (("--policy", "fgd,kube"), ["unknown policy 'fgd,kube'"]),
    "empty policy": (("--policy", ""), ["unknown policy ''"]),
    "empty compare": (("--compare", ""), ["--compare", "lacks a name"]),
    "a gap in compare": (("--compare", "fgd,,kube"), ["'fgd,,kube' lacks a name"]),
    "a name twice": (("--compare", "fgd,kube,fgd"), ["names 'fgd' twice"]),
    "policy and compare": (
        ("--policy", "fgd", "--compare", "kube"),
        ["--policy and --compare exclude each other; give one"],
    ),
    "more lines than colours": (
        ("--compare", "fgd,kube,packing,random,gpuyard,best-fit", "-o", "html"),
        ["6 policies on one page; compare at most 5"],
    ),
    "unknown protocol": (("--protocol", "filling"), ["'filling'", "timed"]),
    "unknown form": (("-o", "yaml"), ["'yaml'", "csv"]),
    "negative seed": (("--seed", "-1"), ["--seed", "-1"]),
    "sequence and times": (
        ("--sequence", "sequences.json", "--protocol", "timed"),
        ["--sequence orders arrivals in --protocol fill"],
    ),
    "unknown option": (("--polcy", "fgd"), ["--polcy", "--policy"]),
}

BAD_PLACES = {
    "into a folder": (".", [". is a folder; name a file in it"]),
    "no such folder": ("there/out.txt", ["there is no folder", "there; make it first"]),
    "a file as folder": ("pods.csv/out.txt", ["there is no folder", "pods.csv; make it first"]),
}


WRONG_USE = {
    "no nodes": (("replay", "--pods", "pods.csv"), ["--nodes"]),
    "typo": (("repaly",), ["unknown command 'repaly'; did you mean 'replay'?"]),
    "unknown": (
        ("zzz",),
        ["unknown command 'zzz'; there are demo, doctor, explain, lint, replay, snapshot, webhook"],
    ),
    "unknown option of all": (("--vresion",), ["--vresion", "--version"]),
    "half a fleet": (("demo", "--fleet", "4x8"), ["'4x8'", "NODESxGPUSxMODEL"]),
    "empty fleet": (("demo", "--fleet", ""), ["NODESxGPUSxMODEL"]),
    "no nodes in it": (("demo", "--fleet", "0x8xH100"), ["at least 1 node"]),
    "unknown model in it": (("demo", "--fleet", "1x8xH101"), ["'H101'", "H100"]),
    "no load": (("demo", "--load", "0"), ["--load"]),
    "negative load": (("demo", "--load", "-1"), ["--load"]),
    "load is no number": (("demo", "--load", "nan"), ["load", "nan"]),
    "load in words": (("demo", "--load", "heavy"), ["--load", "heavy"]),
    "no seeds": (("demo", "--seeds", "0"), ["--seeds"]),
    "a form it has not": (("demo", "-o", "csv"), ["csv", "html"]),
    "no such folder, demo": (("demo", "--to", "no/out"), ["there is no folder"]),
}

# The trace is missing too: options and places are looked at first, because the work may take long.
NO_TRACE = ("--nodes", "no.csv", "--pods", "no.csv")
TO = ("--to", "out.txt")

WRONG = {
    **{name: (("replay", *args, *TO), words) for name, (args, words) in BAD_TRACES.items()},
    **{
        name: (("replay", *NO_TRACE, *args, *TO), words)
        for name, (args, words) in BAD_OPTIONS.items()
    },
    **{
        name: (("replay", *NO_TRACE, "--to", place), words)
        for name, (place, words) in BAD_PLACES.items()
    },
    **WRONG_USE,
}


@pytest.mark.parametrize(("args", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_in_one_sentence(broken, gpuyard, args, words):
    assert_refused(broken, *args, words=words, by=gpuyard)


def test_a_process_of_its_own_refuses_alike(broken, gpuyard):
    for name in ("unknown policy", "half a GPU", "no such folder"):
        asked = WRONG[name][0]
        done = run(*asked, cwd=broken)
        said = done.stderr.replace("python -m gpuyard", "gpuyard")
        assert (done.returncode, done.stdout, said) == gpuyard(*asked, cwd=broken)


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(broken, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    place = "/proc" if os.geteuid() == 0 else str(folder)  # root may write anywhere on a disk
    asked = ("replay", *NO_TRACE, "--to", f"{place}/out.txt")
    assert_refused(broken, *asked, words=[f"{place} cannot be written to"])


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is write-protected for root")
def test_a_protected_file_is_not_replaced(broken):
    words = ["protected.txt is write-protected"]
    assert_refused(broken, "replay", *FITTING, "--to", "protected.txt", words=words)


def test_debug_shows_the_traceback(broken):
    done = run("--debug", "replay", *PODS, "missing.csv", cwd=broken)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "missing.csv: no such file" in done.stderr


# --- Files are whole or absent ------------------------------------------------------------------


def no_room():
    """Let the child write files of at most 64 bytes."""
    on_one_core()
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


@pytest.mark.parametrize("form", ["table", "json", "csv", "html"])
def test_a_disk_without_room_leaves_what_was_there(tmp_path, own, form):
    (tmp_path / "out").write_text("before")
    asked = ("replay", *own, "-o", form, "--to", "out")
    words = ["out: cannot be written (File too large)", "choose another place"]
    assert_refused(tmp_path, *asked, words=words, before=no_room, PYTHONDONTWRITEBYTECODE="1")


def test_a_full_output_is_said(tmp_path, own):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "replay", *own, "-o", "json"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        b"gpuyard: the output cannot be written (No space left on device); choose another place\n"
    )


def test_a_file_is_replaced_whole(tmp_path, own):
    (tmp_path / "out.json").write_text("x" * 100_000)
    (tmp_path / "link.json").symlink_to("out.json")
    for name in ("out.json", "link.json"):
        done = run("replay", *own, "-o", "json", "--to", name, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert json.loads((tmp_path / "out.json").read_text()).keys() == FIELDS
    assert (tmp_path / "link.json").is_symlink()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"nodes.csv", "pods.csv", "out.json", "link.json"}


def test_a_pipe_is_written_to_and_not_replaced(tmp_path, own):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    done = run("replay", *own, "-o", "csv", "--to", "pipe", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.read(reader, 65536).startswith(b"policy,seed,arrived_pct")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)


def test_a_closed_pipe_ends_quietly(tmp_path, own):
    for form in ("table", "json"):
        process = subprocess.Popen(
            [*PROGRAM, "replay", *own, "-o", form],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()  # before anything is written
        complaint = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) in {0, 1}
        assert complaint == "", form


# --- Stopping -----------------------------------------------------------------------------------


def children(pid):
    """Processes that `pid` started: worker processes, and Python's keeper of semaphores."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed.split()]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, what, limit_s=30.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def at_work(pid):
    """Tell that the children have used the processor for a while, or the process itself has."""

    def cpu_s(one):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    return max(map(cpu_s, [pid, *children(pid)]), default=0) > 0.7


@pytest.mark.parametrize(
    ("stop", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_stopped_in_the_middle_nothing_is_left_behind(tmp_path, stop, code):
    (tmp_path / "out.json").write_text("before")
    process = subprocess.Popen(
        [*PROGRAM, *LONG_WORK, "--to", "out.json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: at_work(process.pid), "the work does not begin")
    workers = children(process.pid)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # as a terminal does
    else:
        process.send_signal(stop)
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == b""
    assert b"Traceback" not in complaint
    if code > 0:
        assert complaint.strip() == b"gpuyard: stopped; nothing was left half-written"
    wait_until(lambda: not any(map(is_alive, workers)), "a worker is left")
    assert contents(tmp_path) == {"out.json": b"before"}
