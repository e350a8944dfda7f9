"""The gate itself: what `tests/conftest.py` skips, names and refuses.

Each case runs pytest in a folder of its own, on a machine that has what the environment says.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
OPTIONS = ("-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist")
FAILS = '    raise AssertionError("ran")\n'
FINE = "def test_it():\n    pass\n"


@pytest.fixture
def run(tmp_path):
    """A function that runs pytest over one file and returns its exit status and output."""

    def run_pytest(text, *, path="test_it.py", **environment):
        shutil.copy(CONFTEST, tmp_path)
        (tmp_path / "pytest.toml").write_text('[pytest]\nmarkers = ["tier(name): x"]\n')
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"import pytest\n\n\n{text}")
        ours = ("GPUYARD_", "KUBEBUILDER_", "PYTEST_", "COV_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *OPTIONS],
            cwd=tmp_path,
            env=kept | {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run_pytest


def test_what_belongs_to_a_missing_tier_is_skipped_and_named(run):
    by_marker = f'@pytest.mark.tier("data")\ndef test_marker():\n{FAILS}'
    by_fixture = f"def test_fixture(data_dir):\n{FAILS}"
    browser = f"def test_browser(chromium):\n{FAILS}"
    status, output = run(f"{by_marker}\n\n{by_fixture}\n\n{browser}\n\n{FINE}")
    assert status == 0
    assert "1 passed, 3 skipped" in output
    assert "on this machine: core\n" in output
    assert "folder with published data); tests skipped: 2" in output
    assert "GPUYARD_CHROMIUM is not set); tests skipped: 1" in output


def test_a_folder_with_the_name_of_a_tier_is_that_tier(run):
    status, output = run(f"def test_it():\n{FAILS}", path="data/test_it.py")
    assert (status, "1 skipped" in output) == (0, True)


def test_a_present_tier_runs(run, tmp_path):
    (tmp_path / "published" / "openb").mkdir(parents=True)
    text = 'def test_it(data_dir):\n    assert (data_dir / "openb").is_dir()\n'
    status, output = run(text, GPUYARD_DATA=str(tmp_path / "published"))
    assert (status, "1 passed" in output) == (0, True)
    assert "on this machine: core, data\n" in output


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        pytest.param("core,data", "asks for tier data, but GPUYARD_DATA does not", id="missing"),
        pytest.param("core, browser", "asks for tier browser, but none of", id="after a space"),
        pytest.param("core,dta", "unknown tier 'dta'; there are core, data,", id="misspelt"),
    ],
)
def test_a_required_tier_stops_the_run(run, required, expected):
    status, output = run(FINE, GPUYARD_REQUIRE=required)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert expected in output
    assert "passed" not in output


def test_a_required_tier_that_is_here_lets_the_run_go_on(run):
    status, output = run(FINE, GPUYARD_REQUIRE="core,")
    assert (status, "1 passed" in output) == (0, True)


def test_a_server_that_is_not_wanted_is_not_built(run, tmp_path):
    (tmp_path / "go").symlink_to("/bin/true")
    text = f"def test_it(cluster):\n{FAILS}"
    status, output = run(text, GPUYARD_KUBERNETES="none")
    assert (status, "1 skipped" in output) == (0, True)
    assert "not run: cluster (GPUYARD_KUBERNETES says none); tests skipped: 1" in output


def test_an_unknown_tier_at_a_test_is_an_error(run):
    status, output = run(f'@pytest.mark.tier("dta")\n{FINE}')
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "unknown tier 'dta'" in output


def test_a_browser_that_is_named_but_absent_is_named(run):
    status, output = run(FINE, GPUYARD_CHROMIUM="no-such-program")
    assert (status, "GPUYARD_CHROMIUM=no-such-program is not a program" in output) == (0, True)
