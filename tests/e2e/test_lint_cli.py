"""``gpuyard lint`` and ``explain`` as a stranger meets them: real files, every way to be wrong."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest

from gpuyard.cli.lint import PROGRESS_FILES_MIN
from gpuyard.lint import catalogue
from tests.program import (
    PROGRAM,
    Forked,
    environment,
    on_one_core,
    run,
    run_in_terminal,
)
from tests.small_manifests import BROKEN, NODE, RULE, TEMPLATE, TRAIN, WEB, write_manifests

FIELDS = ["rule", "severity", "file", "line", "column", "object", "message", "remedy"]
FORMS = ("table", "json", "sarif", "github", "junit", "markdown")


@pytest.fixture(scope="module")
def gpuyard():
    """Runs the program, fast."""
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture
def here(tmp_path):
    """A folder whose k8s/train.yaml has one finding."""
    write_manifests(tmp_path)
    return tmp_path


@pytest.fixture
def found(gpuyard, here):
    """Lints in `here` and returns (exit code, rules by file)."""

    def linted(*args, cwd=here):
        done = gpuyard("lint", *args, "-o", "json", cwd=cwd)
        assert done.stderr == ""
        return done.returncode, [(one["file"], one["rule"]) for one in json.loads(done.stdout)]

    return linted


def piped(text, *args, cwd):
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=cwd,
        env=environment(),
        input=text if isinstance(text, bytes) else text.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )


# --- What is read -------------------------------------------------------------------------------


def test_a_finding_has_the_contracted_fields_and_the_place_of_the_key(gpuyard, here):
    done = gpuyard("lint", "k8s", "-o", "json", cwd=here)
    assert (done.returncode, done.stderr) == (1, "")
    (finding,) = json.loads(done.stdout)
    assert list(finding) == FIELDS
    assert (finding["rule"], finding["severity"], finding["object"]) == (RULE, "error", "Job train")
    assert (finding["file"], finding["line"], finding["column"]) == ("k8s/train.yaml", 12, 11)


def test_a_folder_means_its_manifests_at_any_depth(found, here):
    for name in ("a/b/deep.yaml", "UPPER.YAML", "x.yml", "x.json", "not.txt", "x.yaml.bak"):
        (here / "k8s" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "k8s" / name).write_text(TRAIN)
    for name in (".git/a.yaml", ".hidden/a.yaml", "node_modules/x/a.yaml", ".a.yaml"):
        (here / "k8s" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "k8s" / name).write_text(TRAIN)
    code, rows = found("k8s")
    names = ["UPPER.YAML", "a/b/deep.yaml", "train.yaml", "x.json", "x.yml"]
    assert (code, rows) == (1, [(f"k8s/{name}", RULE) for name in names])


def test_a_named_file_is_read_whatever_it_is_called_and_once(found, here):
    (here / ".strange").write_text(TRAIN)
    code, rows = found(".strange", "k8s/train.yaml", "k8s", f"{here}/k8s/../k8s/train.yaml")
    assert (code, rows) == (1, [(".strange", RULE), ("k8s/train.yaml", RULE)])


def test_a_file_outside_of_here_keeps_its_path(found, here):
    assert found(f"{here}/k8s", cwd=here / "k8s") == (1, [("train.yaml", RULE)])
    (here / "empty").mkdir()
    assert found("../k8s", cwd=here / "empty") == (1, [("../k8s/train.yaml", RULE)])


def test_links_to_folders_are_not_followed_and_pipes_not_opened(found, here):
    (here / "k8s" / "loop").symlink_to(here / "k8s")
    os.mkfifo(here / "k8s" / "pipe.yaml")
    assert found("k8s") == (1, [("k8s/train.yaml", RULE)])


def test_the_standard_input_is_called_by_its_dash(here):
    done = piped(TRAIN, "lint", "-", "-o", "json", cwd=here)
    assert (done.returncode, done.stderr) == (1, b"")
    assert [one["file"] for one in json.loads(done.stdout)] == ["-"]
    both = piped(TRAIN, "lint", "-", "k8s", "-o", "json", cwd=here)
    assert [one["file"] for one in json.loads(both.stdout)] == ["-", "k8s/train.yaml"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n---\n", WEB])
def test_nothing_to_find_is_exit_code_0(here, text):
    done = piped(text, "lint", "-", cwd=here)
    assert (done.returncode, done.stderr) == (0, b"")
    assert re.fullmatch(rb"nothing found in 1 file, \d objects?\.\n", done.stdout)


def test_a_pipe_given_by_name_is_read(here):
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(PROGRAM)} lint <(cat k8s/train.yaml) -o json"],
        cwd=here,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert [one["rule"] for one in json.loads(done.stdout)] == [RULE]


# --- What cannot be read ------------------------------------------------------------------------


def test_in_a_folder_only_what_is_about_gpus_is_complained_about(gpuyard, here):
    (here / "k8s" / "broken.yaml").write_text(BROKEN)
    (here / "k8s" / "gpu.yaml").write_text(f"# nvidia.com/gpu\n{BROKEN}")
    (here / "k8s" / "chart.yaml").write_text(TEMPLATE)
    done = gpuyard("lint", "k8s", "-o", "json", cwd=here)
    rows = [(one["file"], one["rule"]) for one in json.loads(done.stdout)]
    assert rows == [
        ("k8s/chart.yaml", "LINT-TEMPLATE"),
        ("k8s/gpu.yaml", "LINT-SYNTAX"),
        ("k8s/train.yaml", RULE),
    ]
    table = gpuyard("lint", "k8s", cwd=here).stdout
    assert "in 5 files, 2 objects; 1 unreadable and not about GPUs." in table


def test_what_was_named_is_complained_about_whatever_it_is(found, here):
    (here / "broken.yaml").write_text(BROKEN)
    assert found("broken.yaml") == (1, [("broken.yaml", "LINT-SYNTAX")])


HOSTILE = {
    "binary": bytes(range(256)) * 16,
    "another encoding": "# gpu\nname: jörg\n".encode("latin-1"),
    "a bomb": b"a: &a [gpu]\n"
    + b"".join(
        b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (i + 1, i + 1, i, i, i, i)
        for i in range(ord("a"), ord("y"))
    ),
    "deep": b"[" * 100_000,
    "deep, closed": b"a: " + b"[" * 50_000 + b"]" * 50_000,
    "cut": TRAIN.encode()[:-25] + b': "',
    "tabs": TRAIN.replace("  ", "\t").encode(),
    "keys twice": TRAIN.encode() + b"spec: {}\n",
    "a key that is a list": b"? [a, b]\n: 1\n",
    "a huge number": b"a: " + b"9" * 100_000 + b"\n",
    "zero bytes": b"a: \0\n",
    "json cut": NODE.encode()[:-20],
    "a list of texts": b"- gpu\n- b\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_input_is_a_finding_with_its_place(gpuyard, here, content):
    (here / "x.yaml").write_bytes(content)
    done = gpuyard("lint", "x.yaml", "-o", "json", cwd=here)
    assert done.stderr == ""
    findings = json.loads(done.stdout)
    assert done.returncode == (1 if any(one["severity"] != "info" for one in findings) else 0)
    assert all(
        one["file"] == "x.yaml" and one["line"] >= 1 and one["column"] >= 1 for one in findings
    )
    if content != HOSTILE["a huge number"]:
        assert any(one["rule"].startswith("LINT-") for one in findings)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + TRAIN, id="byte order mark"),
        pytest.param(TRAIN.replace("\n", "\r\n"), id="lines as in DOS"),
        pytest.param(
            f"apiVersion: v1\nkind: List\nitems:\n- {TRAIN}".replace("\n", "\n  ").replace(
                "\n  kind: List\n  items:\n  - ", "\nkind: List\nitems:\n- "
            ),
            id="an item of a list",
        ),
        pytest.param(f"---\n# first\n---\n{TRAIN}---\n", id="several documents"),
    ],
)
def test_odd_but_right_input_is_understood(found, here, text):
    (here / "x.yaml").write_bytes(text.encode())
    assert found("x.yaml") == (1, [("x.yaml", RULE)])


def test_a_name_from_a_manifest_cannot_move_the_cursor(gpuyard, here):
    (here / "x.yaml").write_text(TRAIN.replace("name: train\n", 'name: "a\\e[2J\\nb"\n'))
    for form in FORMS:
        done = gpuyard("lint", "x.yaml", "-o", form, cwd=here)
        assert done.returncode == 1
        assert "\x1b" not in done.stdout


# --- Exit codes and settings --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fail_on", "code"), [("error", 1), ("warning", 1), ("info", 1), ("never", 0)]
)
def test_fail_on(gpuyard, here, fail_on, code):
    assert gpuyard("lint", "k8s", "--fail-on", fail_on, cwd=here).returncode == code


def test_the_configuration_is_found_from_below(gpuyard, here):
    (here / ".gpuyard.yaml").write_text(
        f"lint:\n  severities: {{{RULE}: info}}\n  ignore: [vendor/]\n"
    )
    (here / "k8s" / "vendor").mkdir()
    (here / "k8s" / "vendor" / "a.yaml").write_text(TRAIN)
    done = gpuyard("lint", ".", "-o", "json", cwd=here / "k8s")
    assert (done.returncode, done.stderr) == (0, "")
    assert [(one["file"], one["severity"]) for one in json.loads(done.stdout)] == [
        ("train.yaml", "info")
    ]
    assert gpuyard("lint", ".", "--fail-on", "info", cwd=here / "k8s").returncode == 1


def test_the_configuration_of_another_repository_is_not_taken(found, here):
    (here / ".gpuyard.yaml").write_text(f'lint:\n  severities: {{{RULE}: "off"}}\n')
    (here / "k8s" / ".git").mkdir()
    assert found(".", cwd=here / "k8s") == (1, [("train.yaml", RULE)])
    assert found("k8s") == (0, [])


def test_what_is_named_and_ignored_is_said(gpuyard, here):
    (here / "own.yaml").write_text("lint: {ignore: [k8s/train.yaml]}")
    done = gpuyard("lint", "k8s/train.yaml", "--config", "own.yaml", cwd=here)
    assert done.returncode == 0
    assert done.stderr == "gpuyard: k8s/train.yaml is ignored by the configuration\n"


def test_an_annotation_or_a_comment_with_a_reason_accepts(found, here):
    accepted = {
        "annotation": TRAIN.replace(
            "name: train\n",
            f"name: train\n  annotations:\n    ignore.gpuyard.io/{RULE}: one process per GPU\n",
        ),
        "comment": TRAIN.replace("# two H100", f"# gpuyard:ignore {RULE}: one process per GPU"),
        "above": TRAIN.replace(
            "          resources:",
            f"          # gpuyard:ignore {RULE}: see #5\n          resources:",
        ),
    }
    for name, text in accepted.items():
        (here / "x.yaml").write_text(text)
        assert found("x.yaml") == (0, []), name
    (here / "x.yaml").write_text(accepted["comment"].replace(": one process per GPU", ""))
    assert found("x.yaml") == (1, [("x.yaml", RULE), ("x.yaml", "LINT-REASON")])


# --- Baseline -----------------------------------------------------------------------------------


def test_a_baseline_knows_what_was_there_and_nothing_more(gpuyard, here):
    written = gpuyard("lint", "k8s", "--write-baseline", "known.json", cwd=here)
    assert (written.returncode, written.stdout) == (0, "")
    assert written.stderr == "gpuyard: known.json knows 1 finding from now on\n"
    again = gpuyard("lint", "k8s", "--baseline", "known.json", cwd=here)
    assert (again.returncode, again.stderr) == (0, "")
    assert "1 in baseline" in again.stdout
    (here / "k8s" / "new.yaml").write_text(TRAIN)
    (here / "k8s" / "train.yaml").write_text(f"# moved\n{TRAIN}")
    more = gpuyard("lint", "k8s", "--baseline", "known.json", "-o", "json", cwd=here)
    assert more.returncode == 1
    assert [one["file"] for one in json.loads(more.stdout)] == ["k8s/new.yaml"]


# --- A bundle -----------------------------------------------------------------------------------


def test_a_bundle_alone_is_checked_and_beside_paths_is_what_they_are_checked_against(found, here):
    (here / "cluster.json").write_text(NODE)
    assert found("--bundle", "cluster.json") == (1, [("cluster.json", "NODE-UNTAINTED")])
    assert found("k8s", "--bundle", "cluster.json") == (1, [("k8s/train.yaml", RULE)])


def test_of_a_cluster_only_what_was_listed_counts_as_missing(found, here):
    example = catalogue.rule("GPU-NO-PDB").failing
    (here / "serve.yaml").write_text(example.partition("---")[0])
    (here / "cluster.json").write_text(NODE)
    status, alone = found("serve.yaml")
    assert status == 1
    assert ("serve.yaml", "GPU-NO-PDB") in alone
    _, beside = found("serve.yaml", "--bundle", "cluster.json")
    assert set(alone) - set(beside) == {("serve.yaml", "GPU-NO-PDB")}


def test_what_a_controller_made_is_reported_once_at_its_owner(found, here):
    owner = json.dumps(
        {"apiVersion": "batch/v1", "kind": "Job", "name": "train", "controller": True}
    )
    spec = (
        TRAIN[TRAIN.index("      containers:") :]
        .replace("\n    ", "\n")
        .replace("      con", "  con", 1)
    )
    metadata = f"{{name: p, ownerReferences: [{owner}]}}"
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec:\n{spec}"
    (here / "pod.yaml").write_text(pod)
    (here / "both.yaml").write_text(f"{TRAIN}---\n{pod}")
    assert found("pod.yaml") == (1, [("pod.yaml", RULE)])
    assert found("both.yaml") == (1, [("both.yaml", RULE)])


# --- Fixes --------------------------------------------------------------------------------------


def test_fix_shows_a_diff_and_writes_nothing_unasked(gpuyard, here):
    done = run("lint", "k8s", "--fix", "-o", "json", cwd=here)
    assert done.returncode == 1
    assert "+            medium: Memory" in done.stderr
    assert done.stderr.endswith("gpuyard: nothing was written; --yes does it without asking\n")
    assert [one["rule"] for one in json.loads(done.stdout)] == [RULE]
    assert (here / "k8s" / "train.yaml").read_text() == TRAIN


def test_fix_with_yes_mends_the_file_in_place(gpuyard, here):
    train = here / "k8s" / "train.yaml"
    train.chmod(0o640)
    (here / "link.yaml").symlink_to(train)
    done = gpuyard("lint", "link.yaml", "--fix", "--yes", "-o", "json", cwd=here)
    assert done.returncode == 0
    assert done.stderr.endswith("gpuyard: mended 1 finding in 1 file\n")
    assert json.loads(done.stdout) == []
    mended = train.read_text()
    kept = TRAIN.splitlines()
    assert [line for line in mended.splitlines() if line in kept] == kept
    assert "sizeLimit: 32Gi" in mended
    assert train.stat().st_mode & 0o777 == 0o640
    assert (here / "link.yaml").is_symlink()
    assert sorted(path.name for path in (here / "k8s").iterdir()) == ["train.yaml", "web.yml"]
    again = gpuyard("lint", "k8s", "--fix", "--yes", cwd=here)
    assert (again.returncode, again.stderr) == (0, "gpuyard: nothing here can be mended safely\n")


def test_fix_leaves_alone_what_is_accepted_or_known(gpuyard, here):
    gpuyard("lint", "k8s", "--write-baseline", "known.json", cwd=here)
    gpuyard("lint", "k8s", "--baseline", "known.json", "--fix", "--yes", cwd=here)
    assert (here / "k8s" / "train.yaml").read_text() == TRAIN


def test_fix_asks_on_a_terminal(here):
    asked = [*PROGRAM, "lint", "k8s", "--fix"]
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            asked,
            cwd=here,
            env=environment(),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(ours, answer)
        _, complaint = process.communicate(timeout=60)
        os.close(theirs)
        os.close(ours)
        assert process.returncode == code
        assert b"Mend 1 finding in 1 file? [y/N]" in complaint
    assert (here / "k8s" / "train.yaml").read_text() != TRAIN


# --- Forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["k8s", "k8s/web.yml"])
def test_every_form_can_be_written_to_a_file(gpuyard, here, form, path):
    printed = gpuyard("lint", path, "-o", form, cwd=here)
    done = gpuyard("lint", path, "-o", form, "--to", "out", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (printed.returncode, "", "")
    assert (here / "out").read_text() == printed.stdout
    if form in {"json", "sarif"}:
        json.loads(printed.stdout)
    if form == "junit":
        ET.fromstring(printed.stdout.encode())


def test_sarif_names_the_version_and_all_rules(gpuyard, here):
    document = json.loads(gpuyard("lint", "k8s/web.yml", "-o", "sarif", cwd=here).stdout)
    driver = document["runs"][0]["tool"]["driver"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", driver["semanticVersion"])
    assert [rule["id"] for rule in driver["rules"]] == [rule.id for rule in catalogue.rules()]
    assert document["runs"][0]["results"] == []


def test_a_piped_table_is_plain_and_fits_100_columns(gpuyard, here):
    done = gpuyard("lint", "k8s", cwd=here)
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_terminal_gets_its_own_width_and_colour(here, columns):
    code, screen, _ = run_in_terminal("lint", "k8s", cwd=here, columns=columns, streams="out")
    assert code == 1
    assert "\x1b[31merror" in screen
    plain = re.sub(r"\x1b\[\d+m", "", screen)
    assert max(map(len, plain.splitlines())) <= columns
    _, screen, _ = run_in_terminal(
        "lint", "k8s", cwd=here, columns=columns, streams="out", NO_COLOR="1"
    )
    assert screen == plain
    _, screen, _ = run_in_terminal(
        "lint", "k8s", "--no-color", cwd=here, columns=columns, streams="out"
    )
    assert screen == plain


def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed(here):
    for form in ("table", "sarif"):
        texts = {
            run("lint", "k8s", "-o", form, cwd=here, PYTHONHASHSEED=seed).stdout
            for seed in ("1", "2")
        }
        assert len(texts) == 1, form


def test_progress_is_shown_for_many_files_and_on_a_terminal_only(here):
    (here / "many").mkdir()
    for number in range(PROGRESS_FILES_MIN):
        (here / "many" / f"{number}.yaml").write_text(WEB)
    asked = ("lint", "many", "-o", "json")
    code, screen, piped_text = run_in_terminal(*asked, cwd=here, columns=80, streams="err")
    assert (code, json.loads(piped_text)) == (0, [])
    assert f"{PROGRESS_FILES_MIN}/{PROGRESS_FILES_MIN}" in screen
    assert "reading manifests" in screen
    assert run(*asked, cwd=here).stderr == ""
    few = run_in_terminal("lint", "k8s", "-o", "json", cwd=here, columns=80, streams="err")
    assert few[1] == ""


# --- Wrong use ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A folder with everything that is wrong."""
    folder = tmp_path_factory.mktemp("broken")
    write_manifests(folder)
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("no manifest")
    (folder / "config.yaml").write_text("lint:\n  severities:\n    GPU-SHN: info\n")
    (folder / "syntax.yaml").write_text("lint: {\n")
    (folder / "known.json").write_text("{}x")
    (folder / "cut.json").write_text(NODE[:-20])
    return folder


WRONG = {
    "nothing named": ((), ["name files or folders", "--help"]),
    "no such file": (("k8s/none.yaml",), ["k8s/none.yaml: no such file or folder; check the path"]),
    "one of two is missing": (("k8s", "none"), ["none: no such file"]),
    "no manifest in it": (("empty",), ["empty: no file that ends in .json, .yaml, .yml"]),
    "standard input twice": (("-", "-"), ["the standard input can be read once"]),
    "unknown form": (("k8s", "-o", "yaml"), ["'yaml'", "sarif"]),
    "unknown threshold": (("k8s", "--fail-on", "fatal"), ["'fatal'", "never"]),
    "a rule that is not there": (
        ("k8s", "--config", "config.yaml"),
        ["config.yaml:3:5: unknown rule 'GPU-SHN'; did you mean GPU-SHM?"],
    ),
    "a broken configuration": (("k8s", "--config", "syntax.yaml"), ["syntax.yaml:"]),
    "no such configuration": (("k8s", "--config", "none.yaml"), ["none.yaml: No such file"]),
    "no baseline": (("k8s", "--baseline", "known.json"), ["known.json: not a baseline"]),
    "no such baseline": (("k8s", "--baseline", "none.json"), ["none.json: No such file"]),
    "no such bundle": (("--bundle", "none.json"), ["none.json: No such file"]),
    "half a bundle": (("--bundle", "cut.json"), ["cut.json:", "kubectl get"]),
    "a folder as bundle": (("--bundle", "k8s"), ["k8s: Is a directory"]),
    "fix of the standard input": (("-", "--fix"), ["--fix edits files"]),
    "fix of a cluster": (("--bundle", "cut.json", "--fix"), ["--fix edits files"]),
    "yes to nothing": (("k8s", "--yes"), ["--yes answers the question of --fix"]),
    "into a folder": (("k8s", "--to", "."), [". is a folder; name a file in it"]),
    "no such folder": (("k8s", "--to", "no/out"), ["there is no folder"]),
    "a baseline into a folder": (
        ("k8s", "--write-baseline", "k8s"),
        ["--write-baseline", "k8s is a folder"],
    ),
    "unknown option": (("k8s", "--basline", "x"), ["--basline", "--baseline"]),
}


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("args", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_refused_in_one_sentence(gpuyard, broken, args, words):
    before = contents(broken)
    done = gpuyard("lint", *args, cwd=broken)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpuyard: ")
    assert done.stderr.count("\n") == 1, "one sentence"
    assert "Errno" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert contents(broken) == before


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_checked(gpuyard, here):
    (here / "k8s" / "gone.yaml").symlink_to("nowhere")
    done = gpuyard("lint", "k8s", "-o", "json", cwd=here)
    assert done.returncode == 2
    assert done.stderr == "gpuyard: k8s/gone.yaml cannot be read (No such file or directory)\n"
    assert [one["rule"] for one in json.loads(done.stdout)] == [RULE]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is protected from root")
def test_a_folder_that_cannot_be_listed_is_named(gpuyard, here):
    (here / "k8s" / "closed").mkdir(mode=0o000)
    done = gpuyard("lint", "k8s", cwd=here)
    assert done.returncode == 2
    assert done.stderr == "gpuyard: k8s/closed cannot be read (Permission denied)\n"


def no_room():
    """Let the child write files of at most 64 bytes."""
    on_one_core()
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))


def test_a_disk_without_room_leaves_the_manifest_as_it_was(here):
    done = run(
        *("lint", "k8s", "--fix", "--yes"),
        cwd=here,
        before=no_room,
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert done.returncode == 2
    assert "File too large" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert (here / "k8s" / "train.yaml").read_text() == TRAIN
    assert sorted(path.name for path in (here / "k8s").iterdir()) == ["train.yaml", "web.yml"]


def test_a_closed_pipe_ends_quietly(here):
    for form in FORMS:
        process = subprocess.Popen(
            [*PROGRAM, "lint", "k8s", "-o", form],
            cwd=here,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()  # before anything is written
        complaint = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) in {0, 1}
        assert complaint == "", form


def test_stopped_while_it_waits_for_input_nothing_is_said_twice(here):
    (here / "out.json").write_text("before")
    process = subprocess.Popen(
        [*PROGRAM, "lint", "-", "-o", "json", "--to", "out.json"],
        cwd=here,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, complaint = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert complaint.strip() == b"gpuyard: stopped; nothing was left half-written"
    assert (here / "out.json").read_text() == "before"


# --- Help and explain ---------------------------------------------------------------------------


def test_help_lists_what_lint_can_do(gpuyard, here):
    shown = gpuyard("lint", "--help", cwd=here)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\\b" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100
    for form in FORMS:
        assert form in shown.stdout
    for option in ("--cluster", "--snapshot", "--context", "--kubeconfig", "--as", "--namespace"):
        assert option in shown.stdout
    assert "--partial" in shown.stdout


def test_the_examples_of_the_help_work_as_printed(gpuyard, here):
    (here / "train.yaml").write_text(TRAIN)
    (here / "cluster.json").write_text(NODE)
    shown = (
        gpuyard("lint", "--help", cwd=here).stdout + gpuyard("explain", "--help", cwd=here).stdout
    )
    examples = re.findall(r"^    gpuyard ((?:lint|explain).*)$", shown, re.MULTILINE)
    # the others: test_cluster_cli.py
    offline = [one for one in examples if not re.search("--(cluster|snapshot)", one)]
    assert (len(examples), len(offline)) == (14, 10)
    for example in offline:
        done = gpuyard(*shlex.split(example), cwd=here)
        assert done.returncode in {0, 1}, example
        assert "Traceback" not in done.stderr, example
        said = done.stdout or done.stderr or (here / "gpuyard.sarif").read_text()
        assert said, example


def test_explain_lists_every_rule(gpuyard, here):
    done = gpuyard("explain", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    for rule in catalogue.rules():
        assert re.search(rf"^{rule.id} +{rule.severity} +\S", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("asked", [RULE, RULE.lower()])
def test_explain_says_why_and_what_to_do(gpuyard, here, asked):
    done = gpuyard("explain", asked, cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    rule = catalogue.rule(RULE)
    shown = " ".join(done.stdout.split())
    for text in (rule.id, rule.severity, rule.title, rule.why, rule.remedy, rule.source):
        assert text in shown
    assert "sizeLimit: 32Gi" in done.stdout


def test_explain_as_json(gpuyard, here):
    rows = json.loads(gpuyard("explain", "-o", "json", cwd=here).stdout)
    assert [row["rule"] for row in rows] == [rule.id for rule in catalogue.rules()]
    (row,) = json.loads(gpuyard("explain", RULE, "-o", "json", cwd=here).stdout)
    assert row["why"] == catalogue.rule(RULE).why


def test_explain_of_a_rule_that_is_not_there(gpuyard, here):
    done = gpuyard("explain", "GPU-SHN", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gpuyard: unknown rule 'GPU-SHN'; did you mean GPU-SHM?\n"


def test_lint_of_files_does_without_the_heavy_libraries(here):
    program = (sys.executable, "-X", "importtime", "-m", "gpuyard")
    done = run("lint", "k8s", cwd=here, program=program)
    assert done.returncode == 1
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "yaml" in imported
    assert not imported & {"numpy", "rich", "polars"}
