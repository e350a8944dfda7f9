"""What is said of a rule in the terminal and in the documentation, and the definitions for CI."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gpuyard.lint import catalogue
from gpuyard.lint.page import as_json, chapter, explanation, looks_at, overview, reference

ROOT = Path(__file__).resolve().parents[2]
RULES = catalogue.rules()
SHM = catalogue.rule("GPU-SHM")
UNTAINTED = catalogue.rule("NODE-UNTAINTED")


def test_the_reference_is_what_the_rules_say():
    written = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    assert written == reference(RULES), "run: python docs/rules.py"


def test_the_reference_lists_and_describes_every_rule():
    text = reference(reversed(RULES))
    assert text == reference(RULES)
    for rule in RULES:
        assert f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title}" in text
        assert f"\n## {rule.id}\n" in text
        assert rule.failing in text


@pytest.mark.parametrize("columns", [40, 88, 200])
def test_an_explanation_fits_its_width_but_for_manifests(columns):
    for rule in RULES:
        text = explanation(rule, columns=columns)
        prose = text.partition("\nWrong:\n")[0]
        for line in prose.splitlines():
            assert len(line) <= columns or len(line.split()) == 1


def test_an_explanation_holds_the_examples_as_they_are():
    text = explanation(SHM, columns=88)
    shown = [line.removeprefix("    ") for line in text.splitlines() if line.startswith("    ")]
    assert "\n".join(shown) == f"{SHM.failing}{SHM.passing}".rstrip()
    assert "\x1b" not in text
    assert explanation(SHM, columns=88, color=True).startswith("\x1b[1mGPU-SHM\x1b[0m  error")


def test_what_a_rule_looks_at():
    assert looks_at(SHM) == "the manifests alone"
    assert looks_at(UNTAINTED) == "objects of a cluster (--bundle): Node"
    assert "can mend it" in chapter(SHM)
    assert "can mend it" not in chapter(UNTAINTED)


def test_the_overview_has_a_line_per_rule():
    lines = overview(RULES).splitlines()
    assert [line.split()[0] for line in lines[: len(RULES)]] == [rule.id for rule in RULES]
    assert lines[-1] == f"{len(RULES)} rules; gpuyard explain RULE says more."
    assert overview(RULES[:1]).splitlines()[-1].startswith("1 rule;")


def test_json_has_all_that_a_rule_says():
    (row,) = json.loads(as_json([UNTAINTED]))
    assert (row["rule"], row["needs"], row["reads"], row["fix"]) == (
        "NODE-UNTAINTED",
        "cluster",
        ["Node"],
        False,
    )
    assert row["failing"] == UNTAINTED.failing


def test_the_page_is_written_by_the_script(tmp_path):
    script = (ROOT / "docs" / "rules.py").read_text(encoding="utf-8")
    (tmp_path / "reference").mkdir()
    (tmp_path / "rules.py").write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, tmp_path / "rules.py"], check=True, capture_output=True)
    assert (tmp_path / "reference" / "rules.md").read_text(encoding="utf-8") == reference(RULES)


# --- Definitions for commit hooks and CI --------------------------------------------------------


def test_the_commit_hook_runs_lint_over_all_files_at_once():
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["entry"] == "gpuyard lint"
    assert hook["language"] == "python"
    assert hook["require_serial"] is True
    assert {"id", "name", "types_or"} <= hook.keys()


def test_the_action_hands_its_inputs_over_as_data():
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    for step in steps:
        assert "uses" in step or step["shell"] == "bash"
        assert "${{" not in step.get("run", ""), "an input in a script is code of a stranger"
    used = {
        word
        for step in steps
        for value in (*step.get("env", {}).values(), *map(str, step.get("with", {}).values()))
        for word in action["inputs"]
        if f"inputs.{word} " in value
    }
    assert used == set(action["inputs"])
