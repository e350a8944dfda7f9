"""Where Helm values are written, and for which chart.

Values come in many dresses: a file of their own, which is a mapping without ``kind`` and does not
say what it is for; a Flux HelmRelease, whose ``spec.values`` sits beside the chart's name and
version; an Argo CD Application with ``helm.valuesObject``, or ``helm.values`` as a text, in one
source or several; the HelmChart of k3s and RKE2 with ``valuesContent``; a kustomization with
``helmCharts``. A rule of scope "values" sees them all alike and asks `chart` or the keys.

In a text inside a document only the text as a whole has a place of its own.

Field names: fluxcd helm-controller v2 (`HelmReleaseSpec`), Argo CD v3 (`ApplicationSource`),
k3s-io/helm-controller v0.16 (`HelmChartSpec`), kustomize v5 (`HelmChart`).
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects.documents import read
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import View
from gpuyard.lint.world import Entry

HELM_RELEASE = "helm.toolkit.fluxcd.io/HelmRelease"
APPLICATIONS: Mapping[str, Path] = {
    "argoproj.io/Application": ("spec",),
    "argoproj.io/ApplicationSet": ("spec", "template", "spec"),
}
HELM_CHART = "helm.cattle.io/HelmChart"
KUSTOMIZATION = "kustomize.config.k8s.io/Kustomization"


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
        self.chart = chart.rpartition("/")[2]
        self.version = version


def values_in(entry: Entry) -> Iterator[Values]:
    """Return the Helm values that stand in one document."""
    if not entry.kind:
        name, version = entry.document.chart
        yield Values(entry, entry.value, (), chart=name, version=version)
    elif entry.kind == HELM_RELEASE:
        yield from _values(entry, ("spec", "values"), ("spec", "chart", "spec"), version="version")
    elif entry.kind == HELM_CHART:
        yield from _values(entry, ("spec", "valuesContent"), ("spec",), version="version")
    elif entry.kind == KUSTOMIZATION:
        for number, _ in entry.mappings("helmCharts"):
            base = ("helmCharts", number)
            yield from _values(entry, (*base, "valuesInline"), base, name="name", version="version")
    elif entry.kind in APPLICATIONS:
        spec = APPLICATIONS[entry.kind]
        several: list[Path] = [
            (*spec, "sources", number) for number, _ in entry.mappings(*spec, "sources")
        ]
        for source in ((*spec, "source"), *several):
            for field in ("valuesObject", "values"):
                yield from _values(
                    entry, (*source, "helm", field), source, version="targetRevision"
                )


def _values(
    entry: Entry, path: Path, chart: Path, *, version: str, name: str = "chart"
) -> Iterator[Values]:
    """Return the values at `path`, if they are there; name and version of the chart lie below."""
    value = entry.get(*path)
    if isinstance(value, str):
        value = _mapping(value)
    if isinstance(value, Mapping):
        yield Values(
            entry,
            value,
            path,
            chart=entry.text(*chart, name),
            version=entry.text(*chart, version),
        )


def _mapping(text: str) -> Mapping[str, object] | None:
    """Return the values that a text holds, `None` where it cannot be read as one document."""
    documents, problems = read(text, "")
    return documents[0].value if len(documents) == 1 and not problems else None
