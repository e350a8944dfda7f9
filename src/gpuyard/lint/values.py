"""Where Helm values are written, and for which chart.

Values come in three dresses: a file of their own, which is a mapping without ``kind`` and does not
say what it is for; a Flux HelmRelease, whose ``spec.values`` sits beside the chart's name and
version; an Argo CD Application with ``helm.valuesObject`` in one source or several. A rule of scope
"values" sees them all alike and asks `chart` or the keys themselves.

Field names: fluxcd helm-controller v2 (`HelmReleaseSpec`), Argo CD v3 (`ApplicationSource`).
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import View
from gpuyard.lint.world import Entry

HELM_RELEASE = "helm.toolkit.fluxcd.io/HelmRelease"
APPLICATION = "argoproj.io/Application"


class Values(View):
    """One set of Helm values; its path is () in a file of their own.

    `chart` and `version` are empty where the document does not say them.
    """

    def __init__(
        self,
        entry: Entry,
        value: Mapping[str, object],
        path: Path,
        *,
        chart: str = "",
        version: str = "",
    ) -> None:
        super().__init__(value, path)
        self.entry = entry
        self.chart = chart
        self.version = version


def values_in(entry: Entry) -> Iterator[Values]:
    """Return the Helm values that stand in one document."""
    if not entry.kind:
        yield Values(entry, entry.value, ())
    elif entry.kind == HELM_RELEASE:
        yield from _values(entry, ("spec",), ("values",), ("chart", "spec"), version="version")
    elif entry.kind == APPLICATION:
        for source in (
            ("spec", "source"),
            *(("spec", "sources", number) for number, _ in entry.mappings("spec", "sources")),
        ):
            yield from _values(
                entry, source, ("helm", "valuesObject"), (), version="targetRevision"
            )


def _values(
    entry: Entry, base: Path, values: Path, chart: Path, *, version: str
) -> Iterator[Values]:
    """Return the values below `base`, if they are there; name and version lie at its `chart`."""
    value = entry.get(*base, *values)
    if isinstance(value, Mapping):
        yield Values(
            entry,
            value,
            (*base, *values),
            chart=entry.text(*base, *chart, "chart"),
            version=entry.text(*base, *chart, version),
        )
