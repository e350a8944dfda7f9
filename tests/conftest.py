"""What this machine can run, and what the run must not leave out.

Tests belong to a tier: what the machine must offer. A test says so with
``@pytest.mark.tier("data")``, by lying in a folder with a tier's name, or by asking for a fixture
that only a tier can give; a test that says nothing is *core*. A test whose tier is missing is
skipped, and the last lines of the run name the tier and what would bring it. With
``GPUYARD_REQUIRE=core,data`` a missing tier stops the run before it begins: a gate that silently
tests less than yesterday is no gate.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from gpuyard.local.site import Site

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
TIER_OF_FIXTURE = {"data_dir": "data", "chromium": "browser", "cluster": "cluster"}
SKIPPED_FOR = "tier {tier} is not on this machine"

hypothesis.settings.register_profile("dev", deadline=None)  # a busy machine is not a slow rule
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


# --- What a tier needs: each answers with "" or with what is missing ----------------------------


def lacks_nothing() -> str:
    """Core: Python is enough."""
    return ""


def lacks_data() -> str:
    """Published traces and results, in a folder of the user's."""
    folder = os.environ.get("GPUYARD_DATA")
    if not folder:
        return "GPUYARD_DATA does not name a folder with published data"
    if not (Path(folder) / "openb").is_dir():
        return f"GPUYARD_DATA={folder} has no folder openb"
    return ""


def lacks_browser() -> str:
    """A Chromium that runs without a screen."""
    named = os.environ.get("GPUYARD_CHROMIUM")
    if named and not shutil.which(named):
        return f"GPUYARD_CHROMIUM={named} is not a program"
    if not find_chromium():
        return f"none of {', '.join(CHROMIUM_NAMES)} on PATH, and GPUYARD_CHROMIUM is not set"
    return ""


def lacks_cluster() -> str:
    """A Go toolchain, or the API server and its store as programs."""
    from gpuyard.local.programs import what_is_missing

    if os.environ.get("GPUYARD_KUBERNETES") == "none":  # who has Go but not ten minutes
        return "GPUYARD_KUBERNETES says none"
    return what_is_missing()


def lacks_node() -> str:
    """Root and a container runtime."""
    missing = [name for name in ("containerd", "runc") if not shutil.which(name)]
    if os.geteuid() != 0:
        missing.insert(0, "root")
    return f"no {', no '.join(missing)}" if missing else ""


TIERS: Mapping[str, Callable[[], str]] = {
    "core": lacks_nothing,
    "data": lacks_data,
    "cluster": lacks_cluster,
    "node": lacks_node,
    "browser": lacks_browser,
}


def find_chromium() -> str | None:
    """Return the path of the browser that GPUYARD_CHROMIUM or PATH gives."""
    names = (os.environ.get("GPUYARD_CHROMIUM") or "", *CHROMIUM_NAMES)
    return next((path for name in names if name and (path := shutil.which(name))), None)


def missing_tiers() -> dict[str, str]:
    """Return the tiers this machine cannot run, each with what is missing."""
    return {tier: lack for tier, lacks in TIERS.items() if (lack := lacks())}


# --- pytest's hooks -----------------------------------------------------------------------------


def pytest_configure() -> None:
    """Stop at once when a tier that must run cannot."""
    missing = missing_tiers()
    for name in os.environ.get("GPUYARD_REQUIRE", "").split(","):
        tier = name.strip()
        if not tier:
            continue
        if tier not in TIERS:
            known = ", ".join(TIERS)
            message = f"GPUYARD_REQUIRE names the unknown tier {tier!r}; there are {known}"
            raise pytest.UsageError(message)
        if tier in missing:
            message = f"GPUYARD_REQUIRE asks for tier {tier}, but {missing[tier]}"
            raise pytest.UsageError(message)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    missing = missing_tiers()
    for item in items:
        for tier in sorted(tiers_of(item) & missing.keys()):
            item.add_marker(pytest.mark.skip(reason=SKIPPED_FOR.format(tier=tier)))


def tiers_of(item: pytest.Item) -> set[str]:
    """Return the tiers that a test needs: by marker, by folder, by fixture."""
    marked = {str(mark.args[0]) for mark in item.iter_markers("tier")}
    if unknown := marked - TIERS.keys():
        message = f"{item.nodeid} is marked with the unknown tier {min(unknown)!r}"
        raise pytest.UsageError(message)
    by_folder = set(item.path.relative_to(Path(__file__).parent).parts) & TIERS.keys()
    asked = getattr(item, "fixturenames", ())
    by_fixture = {tier for name, tier in TIER_OF_FIXTURE.items() if name in asked}
    return marked | by_folder | by_fixture


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tiers that ran and those that could not."""
    missing = missing_tiers()
    skipped = Counter(
        tier
        for report in terminalreporter.stats.get("skipped", [])
        for tier in missing
        if SKIPPED_FOR.format(tier=tier) in str(report.longrepr)
    )
    terminalreporter.section("tiers")
    here = ", ".join(tier for tier in TIERS if tier not in missing)
    terminalreporter.line(f"on this machine: {here}")
    for tier, lack in missing.items():
        terminalreporter.line(f"not run: {tier} ({lack}); tests skipped: {skipped[tier]}")


# --- Fixtures -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of published data; asking for it puts a test into tier data."""
    return Path(os.environ["GPUYARD_DATA"]).resolve()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser; asking for it puts a test into tier browser."""
    path = find_chromium()
    assert path is not None
    return Path(path)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    """A real API server with its store, shared by the whole run; asking puts a test into a tier.

    Tests must not see each other: each takes a namespace, or names, of its own.
    """
    from tests.shared_cluster import shared_cluster

    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # each has a folder in that of the run
    with shared_cluster(base.parent if is_worker else base) as site:
        yield site
