"""What ``import gpuyard`` promises: these names, documented with their units, and the ten lines."""

import inspect
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import gpuyard
from tests.program import run
from tests.small_trace import write_own

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = (
    "FillRun",
    "FleetError",
    "Policy",
    "TimedRun",
    "Trace",
    "TraceError",
    "UnknownPolicyError",
    "fill",
    "generate",
    "live",
    "parse_fleet",
    "preset",
    "read_trace",
    "samples",
)
# What the docstring of a name must say so that nobody takes one unit for another.
UNITS = {
    "FillRun": ("thousandths",),
    "TimedRun": ("nanoseconds", "thousandths"),
    "fill": ("thousandths",),
    "generate": ("days", "GPU-hours"),
    "live": ("seconds", "nanoseconds"),
    "parse_fleet": ("NODESxGPUSxMODEL",),
    "read_trace": ("nanoseconds", "bytes", "thousandths"),
    "samples": ("percent",),
}
ERRORS = {
    "fill": "UnknownPolicyError",
    "generate": "ValueError",
    "live": "UnknownPolicyError",
    "parse_fleet": "FleetError",
    "preset": "UnknownPolicyError",
    "read_trace": "TraceError",
}
HEAVY = {"numpy", "rich", "click", "msgspec", "polars", "multiprocessing", "concurrent"}


def test_the_public_names_are_these():
    assert tuple(gpuyard.__all__) == PUBLIC
    assert dir(gpuyard) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves_and_is_documented(name):
    thing = getattr(gpuyard, name)
    assert getattr(gpuyard, name) is thing
    assert thing.__name__ == name
    text = inspect.getdoc(thing) or ""
    assert text.split("\n")[0].endswith((".", ":"))
    for word in (*UNITS.get(name, ()), ERRORS.get(name, "")):
        assert word in text, word
    if inspect.isfunction(thing):
        parameters = inspect.signature(thing).parameters.values()
        assert all(one.annotation is not one.empty for one in parameters)


def test_another_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="module 'gpuyard' has no attribute 'studies_of'"):
        _ = gpuyard.studies_of
    with pytest.raises(ImportError, match="studies_of"):
        exec("from gpuyard import studies_of")


def test_star_gives_the_public_names():
    names = {}
    exec("from gpuyard import *", names)
    assert set(names) - {"__builtins__"} == set(PUBLIC)


def test_importing_costs_nothing(tmp_path):
    program = (sys.executable, "-X", "importtime", "-c", "import gpuyard")
    done = run(cwd=tmp_path, program=program)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert [name for name in modules if name.startswith("gpuyard")] == ["gpuyard"]
    assert not {name.partition(".")[0] for name in modules} & HEAVY


def test_the_ten_lines_run(tmp_path, monkeypatch):
    write_own(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = runpy.run_path(str(ROOT / "tests" / "typing" / "ten_lines.py"))
    assert lines["fgd"].placed.tolist() == [True, True, True, True, False]
    assert lines["fgd"].allocated_milli.tolist() == [16_000, 16_500, 17_000, 21_000, 21_000]
    assert lines["gain_gpus"].dtype == np.float64
    assert lines["curve"].tolist() == [66.67, 68.75, 70.83, 87.5, 87.5]
    assert lines["week"].until_ns == 7 * 86_400 * 10**9
    assert lines["mean_wait_s"] == pytest.approx(3540 / 5)
    assert 0 < lines["useful_gpus"] < 24
    assert lines["busy"].dtype == np.int64
    assert lines["busy"].max() <= 16_000


def test_the_ten_lines_are_ten():
    text = (ROOT / "tests" / "typing" / "ten_lines.py").read_text()
    body = text.partition("import gpuyard\n")[2].partition("assert_type(")[0]
    assert len([line for line in body.splitlines() if line]) == 10


def test_the_example_of_the_docstring_is_true():
    examples = re.findall(r">>> (.*)", gpuyard.__doc__ or "")
    names = {}
    for line in examples[:-1]:
        exec(line, names)
    assert eval(examples[-1], names) is True


def test_the_tutorial_can_be_followed(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "tutorial.md").read_text()
    nodes, pods = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    (tmp_path / "nodes.csv").write_text(nodes)
    (tmp_path / "pods.csv").write_text(pods)
    for command in re.findall(r"^\$ gpuyard (.*)$", text, re.MULTILINE):
        done = run(*command.split(), cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), command
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "gpuyard 0.0 " in capsys.readouterr().out
