"""The version that an object runs, as its image's tag, a label or its chart says it.

Tags carry more than a version: ``580.82.07-ubuntu22.04``, ``v0.17.4``, ``4.5.2-4.8.1-distroless``
(DCGM and its exporter). What comes after the numbers is the base image and is left out. An image
that is named by its digest alone has no version to read; then the usual label counts.
"""

import re
from collections.abc import Mapping

NUMBERS = re.compile(r"v?(\d+(?:\.\d+)+(?:-\d+(?:\.\d+)+)*(?:-(?:rc|alpha|beta)[.\d]*)?)")
CHART = re.compile(r"(?P<name>.+?)-(?P<version>v?\d+\..+)")


def of_image(image: str) -> str:
    """Return the version in the tag of an image, "" where there is none."""
    repository = image.partition("@")[0]
    tag = repository.rpartition("/")[2].partition(":")[2]
    found = NUMBERS.search(tag)
    return found[1] if found else ""


def of_labels(labels: Mapping[str, str]) -> str:
    """Return the version that ``app.kubernetes.io/version`` says."""
    return labels.get("app.kubernetes.io/version", "").removeprefix("v")


def of_chart(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return (chart, version) of ``helm.sh/chart``, ("", "") where it is not there."""
    found = CHART.fullmatch(labels.get("helm.sh/chart", ""))
    return (found["name"], found["version"].removeprefix("v")) if found else ("", "")


def numbers(version: str) -> tuple[int, ...]:
    """Return a version as numbers to compare; what is no number ends it."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()
