"""Each form of report: what its readers demand of it, and strangers' names in it."""

import json
import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import msgspec
import pytest

from gpuyard.lint import catalogue
from gpuyard.lint.reports import FORMS, Report, render
from gpuyard.lint.rule import Finding

RULES = catalogue.rules()
SHM = Finding(
    rule="GPU-SHM",
    severity="error",
    file="k8s/train.yaml",
    line=31,
    column=9,
    object="Job research/train",
    message="container trainer has 4 GPUs, but /dev/shm is the default 64 MiB",
    remedy="mount an emptyDir with medium: Memory and a sizeLimit at /dev/shm",
)
PDB = msgspec.structs.replace(
    SHM, rule="GPU-NO-PDB", severity="warning", line=40, file="k8s/serve me.yaml", object=""
)
NODE = msgspec.structs.replace(PDB, rule="NODE-UNTAINTED", severity="info", line=41)
HOSTILE = "a%b\r\n::error::c,d:e|f<g>&\"h'`i*j_k]]>"


def report(*findings, **settings):
    defaults = {
        "findings": findings,
        "files": ("k8s/other.yaml", "k8s/serve me.yaml", "k8s/train.yaml"),
        "objects": 4,
        "rules": RULES,
        "version": "1.2.3",
    }
    return Report(**{**defaults, **settings})


FULL = report(PDB, NODE, SHM, suppressed=2, in_baseline=1)
CLEAN = report()


def text(form, given=FULL):
    return render(form, given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", [FULL, CLEAN], ids=["findings", "clean"])
def test_every_form_ends_in_one_newline_and_is_the_same_twice(form, given):
    assert re.search(r"[^\n]\n\Z", text(form, given))
    assert text(form, given) == text(form, given)


# --- table --------------------------------------------------------------------------------------


TABLE = """\
k8s/serve me.yaml
  40:9  warning  GPU-NO-PDB      container trainer has 4 GPUs, but /dev/shm is the
                                 default 64 MiB
                                 → mount an emptyDir with medium: Memory and a sizeLimit
                                   at /dev/shm
  41:9  info     NODE-UNTAINTED  container trainer has 4 GPUs, but /dev/shm is the
                                 default 64 MiB
                                 → mount an emptyDir with medium: Memory and a sizeLimit
                                   at /dev/shm

k8s/train.yaml
  31:9  error  GPU-SHM  Job research/train: container trainer has 4 GPUs, but /dev/shm
                        is the default 64 MiB
                        → mount an emptyDir with medium: Memory and a sizeLimit at
                          /dev/shm

1 error, 1 warning, 1 info in 3 files, 4 objects; 2 suppressed; 1 in baseline.
More: gpuyard explain GPU-NO-PDB
"""


def test_the_table_groups_by_file_and_says_what_to_do():
    assert text("table", report(PDB, NODE, SHM, suppressed=2, in_baseline=1, columns=88)) == TABLE


def test_a_clean_table_is_one_line():
    assert text("table", CLEAN) == "nothing found in 3 files, 4 objects.\n"
    assert text("table", report(files=("a",), objects=1)) == "nothing found in 1 file, 1 object.\n"


@pytest.mark.parametrize("columns", [100, 80, 60, 40, 20, 1])
def test_a_table_is_as_wide_as_asked_unless_a_word_is_wider(columns):
    drawn = text("table", report(PDB, SHM, columns=columns)).splitlines()
    heads = re.compile(r"k8s/|  \d+:\d+  [a-z]+ +[A-Z-]+$")  # a place and an id stay on one line
    for line in drawn:
        assert len(line) <= columns or heads.match(line) or len(line.split()) <= 2, line
    words = " ".join(drawn).split()
    assert set(f"{SHM.object}: {SHM.message} {SHM.remedy} GPU-SHM".split()) <= set(words)


def test_colour_only_repeats_what_is_written():
    colored = text("table", report(PDB, SHM, color=True))
    assert "\x1b[31merror" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == text("table", report(PDB, SHM))


# --- json ---------------------------------------------------------------------------------------


def test_json_is_the_list_of_findings_with_the_contracted_fields():
    rows = json.loads(text("json"))
    assert [list(row) for row in rows] == [
        ["rule", "severity", "file", "line", "column", "object", "message", "remedy"]
    ] * 3
    assert rows[2] == msgspec.to_builtins(SHM)
    assert json.loads(text("json", CLEAN)) == []


# --- sarif --------------------------------------------------------------------------------------


def run_of(given):
    document = json.loads(text("sarif", given))
    assert document["$schema"].endswith("sarif-2.1.0.json")
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    return run


def test_a_clean_run_has_an_empty_list_of_results():
    assert run_of(CLEAN)["results"] == []


def test_the_driver_describes_every_rule_as_github_requires():
    driver = run_of(CLEAN)["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("gpuyard", "1.2.3")
    assert [one["id"] for one in driver["rules"]] == [rule.id for rule in RULES]
    for one in driver["rules"]:
        for field in ("shortDescription", "fullDescription"):
            assert 0 < len(one[field]["text"]) <= 1024
        assert one["help"]["text"]
        assert one["help"]["markdown"]
        assert one["defaultConfiguration"]["level"] in {"note", "warning", "error"}
        assert 0 < len(one["properties"]["tags"]) <= 10
        assert one["properties"]["precision"] in {"very-high", "high", "medium", "low"}


def test_a_result_has_what_github_requires():
    run = run_of(FULL)
    for result, finding in zip(run["results"], FULL.findings, strict=True):
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"] == f"{finding.message}; {finding.remedy}"
        (location,) = result["locations"]
        place = location["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        assert unquote(uri) == finding.file
        assert not re.search(r"[ \\]|^/", uri)
        region = place["region"]
        assert (region["startLine"], region["startColumn"]) == (finding.line, finding.column)
        assert region["endLine"] >= region["startLine"] >= 1
        assert region["endColumn"] > region["startColumn"] >= 1
        assert re.fullmatch(
            r"[0-9a-f]{16}:\d+", result["partialFingerprints"]["primaryLocationLineHash"]
        )
    assert [one["level"] for one in run["results"]] == ["warning", "note", "error"]


def fingerprints(*findings):
    results = run_of(report(*findings))["results"]
    return [one["partialFingerprints"]["primaryLocationLineHash"] for one in results]


def test_a_fingerprint_moves_with_its_line_and_tells_two_apart():
    moved = msgspec.structs.replace(SHM, line=310, message="container trainer has 8 GPUs")
    assert fingerprints(SHM) == fingerprints(moved)
    assert len({*fingerprints(SHM, moved), *fingerprints(PDB, NODE)}) == 4


def test_a_file_outside_of_the_checkout_is_an_absolute_uri():
    outside = msgspec.structs.replace(SHM, file="/srv/other place/a.yaml")
    (result,) = run_of(report(outside))["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "file:///srv/other%20place/a.yaml"}


# --- github -------------------------------------------------------------------------------------


def test_github_annotates_lines():
    assert text("github").splitlines() == [
        (
            "::warning file=k8s/serve me.yaml,line=40,col=9,title=GPU-NO-PDB::"
            f"{PDB.message}; {PDB.remedy}"
        ),
        (
            "::notice file=k8s/serve me.yaml,line=41,col=9,title=NODE-UNTAINTED::"
            f"{PDB.message}; {PDB.remedy}"
        ),
        (
            "::error file=k8s/train.yaml,line=31,col=9,title=GPU-SHM Job research/train::"
            f"{SHM.message}; {SHM.remedy}"
        ),
        "1 error, 1 warning, 1 info in 3 files, 4 objects; 2 suppressed; 1 in baseline.",
    ]


def test_a_name_cannot_end_a_workflow_command():
    strange = msgspec.structs.replace(SHM, file=HOSTILE, object=HOSTILE, message=HOSTILE)
    command, _, total = text("github", report(strange)).partition("\n")
    assert total.startswith("1 error in ")
    properties, _, message = command.removeprefix("::error ").partition("::")
    assert message.startswith("a%25b%0D%0A::error::c,d:e|f<g>")
    fields = dict(field.split("=", 1) for field in properties.split(","))
    assert fields["file"].startswith("a%25b%0D%0A%3A%3Aerror%3A%3Ac%2Cd%3Ae|f")
    assert list(fields) == ["file", "line", "col", "title"]


# --- junit --------------------------------------------------------------------------------------


def test_junit_counts_what_it_lists():
    suites = ET.fromstring(text("junit").encode())
    assert (suites.get("tests"), suites.get("failures")) == ("4", "3")
    rows = [
        (suite.get("name"), suite.get("tests"), suite.get("failures"), len(suite))
        for suite in suites
    ]
    assert rows == [
        ("k8s/other.yaml", "1", "0", 1),
        ("k8s/serve me.yaml", "2", "2", 2),
        ("k8s/train.yaml", "1", "1", 1),
    ]
    failure = suites[2][0][0]
    assert (failure.tag, failure.get("type"), failure.get("message")) == (
        "failure",
        "error",
        SHM.message,
    )
    assert failure.text.splitlines()[0] == "k8s/train.yaml:31:9 error GPU-SHM"
    assert list(suites[0][0]) == []


def test_junit_keeps_strange_names_and_replaces_what_xml_does_not_know():
    strange = msgspec.structs.replace(SHM, message=HOSTILE, object="a\x00\x1b[31m\ufffe")
    suites = ET.fromstring(text("junit", report(strange, files=())).encode())
    case = suites[0][0]
    assert case[0].get("message") == HOSTILE
    assert case.get("name") == "GPU-SHM 31:9 a\ufffd\ufffd[31m\ufffd"


# --- markdown -----------------------------------------------------------------------------------


def test_markdown_is_a_table_per_file():
    lines = text("markdown").splitlines()
    assert lines[:3] == [
        "# gpuyard lint",
        "",
        "1 error, 1 warning, 1 info in 3 files, 4 objects; 2 suppressed; 1 in baseline.",
    ]
    assert [line for line in lines if line.startswith("## ")] == [
        "## k8s/serve me.yaml",
        "## k8s/train.yaml",
    ]
    assert lines[-1].startswith("| 31:9 | error | GPU-SHM | Job research/train | container ")
    assert text("markdown", CLEAN).endswith("nothing found in 3 files, 4 objects.\n")


def test_a_name_cannot_leave_its_cell():
    strange = msgspec.structs.replace(SHM, object=HOSTILE, message="[x](javascript:y)")
    row = text("markdown", report(strange)).splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert r"\[x\](javascript:y)" in row
    assert r"f\<g\>" in row


def test_the_command_offers_every_form():
    from gpuyard.cli import lint

    assert lint.FORMS == FORMS
