"""Which Helm values are for the gpu-operator, and for which version of its chart.

A HelmRelease or an Application says it. A file of values says nothing: a comment may
(``# gpuyard:chart gpu-operator v25.3.4``), a Chart.yaml or kustomization in its folder may, and
else the keys have to be unmistakable. Where a chart carries the operator as a dependency, its
values lie one level deeper, under the dependency's name or alias.

A version that nobody says is taken to be the newest that we know, and a rule that builds on it says
so. A range (``25.3.x``) is taken to be the newest in it.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import View
from gpuyard.lint.rules.helm import keys
from gpuyard.lint.rules.helm.keys import NEWEST, OLDEST, VERSIONS, Version
from gpuyard.lint.values import (
    APPLICATIONS,
    HELM_CHART,
    HELM_RELEASE,
    KUSTOMIZATION,
    Values,
    values_in,
)
from gpuyard.lint.world import Entry, World

CHART = "gpu-operator"

# Keys that no other chart we know of has, and those that only together tell something.
OWN = frozenset(
    {"migManager", "dcgmExporter", "vgpuDeviceManager", "nodeStatusExporter", "vfioManager"}
    | {"sandboxWorkloads", "sandboxDevicePlugin", "ccManager", "kataManager", "vgpuManager"}
)
COMMON = frozenset(
    {"driver", "toolkit", "devicePlugin", "mig", "gfd", "dcgm", "cdi", "gds", "gdrcopy"}
)
SIGNS_MIN = 2
DRESSES = ("", HELM_RELEASE, HELM_CHART, *APPLICATIONS, KUSTOMIZATION)
ALL = frozenset(path[0] for path in keys.KEYS)
_NUMBERS = re.compile(r"[v~^=]*(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:\.[x*]|[-+].*)?")


class Release(msgspec.Struct, frozen=True):
    """The values of one release of the operator."""

    view: View
    """Its values, and where they lie."""
    version: Version
    """The version of the chart."""
    is_said: bool
    """Somebody says the version."""
    is_modelled: bool
    """The version is not older than those that `keys` knows."""
    is_named: bool
    """Somebody says that it is this chart; else its keys do."""

    @property
    def is_newer(self) -> bool:
        """Tell whether the version is newer than any that is known: it may have more keys."""
        return self.version > NEWEST

    @property
    def chart(self) -> str:
        """The chart as a message names it."""
        name = f"{CHART} {keys.text(self.version)}"
        return name if self.is_said else f"{name} (no version is said, so the newest)"

    def get(self, dotted: str) -> object:
        """Return what is written at a path like ``driver.rdma.enabled``."""
        return self.view.get(*dotted.split("."))

    def at(self, dotted: str) -> Path:
        """Return the place of such a path in the document."""
        return self.view.at(*dotted.split("."))


def release(values: Values, world: World) -> Release | None:
    """Return the operator's values among `values`, `None` where there are none."""
    if values.chart:
        if values.chart == CHART:
            return _release(values, (), values.version, is_named=True)
        nested = values.value.get(CHART)
        return _release(values, (CHART,), "", is_named=True) if _is_own(nested) else None
    if values.path:  # a HelmRelease by reference: its keys have to tell
        return _release(values, (), "", is_named=False) if looks_like(values.value) else None
    return _of_file(values, world)


def releases(world: World) -> Iterator[tuple[Entry, Release]]:
    """Return every release of the operator that was given, with its document."""
    for kind in DRESSES:
        for entry in world.of_kind(kind):
            for values in values_in(entry):
                found = release(values, world)
                if found is not None:
                    yield entry, found


def looks_like(value: Mapping[str, object]) -> bool:
    """Tell whether the keys of a mapping can only be meant for the operator's chart."""
    given = {key for key, inside in value.items() if isinstance(inside, Mapping)}
    if len(ALL.intersection(value)) * 3 < len(value) * 2:  # most keys are somebody else's
        return False
    return len(given & OWN) + len(given & COMMON) >= SIGNS_MIN


def _of_file(values: Values, world: World) -> Release | None:
    """Return the operator's values in a file that does not say what it is for."""
    value, said = values.value, _said_beside(values.entry, world)
    if said is None:
        if looks_like(value):
            return _release(values, (), "", is_named=False)
        return _release(values, (CHART,), "", is_named=True) if _is_own(value.get(CHART)) else None
    below, version = said
    inside = plain.get(value, *below)
    if not _is_own(inside):
        return None
    return _release(values, below, version, is_named=True)


def _is_own(value: object) -> bool:
    return isinstance(value, Mapping) and bool((OWN | COMMON).intersection(value))


def _said_beside(entry: Entry, world: World) -> tuple[Path, str] | None:
    """Return where in a file of values the operator's lie, and the version, as its folder says."""
    source = entry.document.source
    folder = posixpath.dirname(source)
    for other in world.of_kind(KUSTOMIZATION):
        if posixpath.dirname(other.document.source) == folder:
            for _, chart in other.mappings("helmCharts"):
                file = plain.text(chart, "valuesFile") or "values.yaml"
                if plain.text(chart, "name") == CHART and source == posixpath.join(folder, file):
                    return (), plain.text(chart, "version")
    for other in world.of_kind(""):
        place = other.document.source
        if posixpath.basename(place) == "Chart.yaml" and posixpath.dirname(place) == folder:
            return _said_by(other)
    return None


def _said_by(chart: Entry) -> tuple[Path, str]:
    """Return the same from a Chart.yaml; of a chart without the operator, a place with nothing."""
    for _, one in chart.mappings("dependencies"):
        if plain.text(one, "name") == CHART:
            return (plain.text(one, "alias") or CHART,), plain.text(one, "version")
    return ((), chart.text("version")) if chart.text("name") == CHART else ((CHART,), "")


def _release(values: Values, below: Path, written: str, *, is_named: bool) -> Release:
    view = View(plain.mapping(values.value, *below), (*values.path, *below))
    version = _version(written)
    return Release(
        view=view,
        version=version or NEWEST,
        is_said=version is not None,
        is_modelled=version is None or version >= OLDEST,
        is_named=is_named,
    )


def _version(written: str) -> Version | None:
    """Return the version that is meant: as written, or the newest of a range that we know."""
    found = _NUMBERS.fullmatch(written.strip())
    if found is None or found[2] is None:
        return None
    start = (int(found[1]), int(found[2]))
    if found[3] is not None and written.strip()[0] not in "~^":
        return (*start, int(found[3]))
    return next((one for one in reversed(VERSIONS) if one[:2] == start), None)
