"""Which Kubernetes: a table of what was built and tried, and how a user's wish picks from it.

A wish is a minor version ("1.35") or an exact one ("1.35.4"); without one it is `DEFAULT`.
etcd's version is not here: each Kubernetes names the one that it was tested with in its ``go.mod``.
"""

import re
from collections.abc import Mapping

from gpuyard.local.errors import LocalError

DEFAULT = "1.36"
WISH_VARIABLE = "GPUYARD_KUBERNETES"

# The newest patch release of each minor that was built; python -m gpuyard.local.prepare builds one.
RELEASES: Mapping[str, str] = {
    "1.34": "1.34.4",
    "1.35": "1.35.4",
    "1.36": "1.36.3",
    "1.37": "1.37.2",
}

EXACT = re.compile(r"\d+\.\d+\.\d+")
SAID_BY_PROGRAM = re.compile(r"Kubernetes v(\d+\.\d+\.\d+)")


def release_for(wish: str) -> str:
    """Return the exact version for a wish; for an empty one the default's.

    Raises
    ------
    LocalError
        where it is neither a known minor version nor an exact one.

    """
    plain = (wish or DEFAULT).removeprefix("v")
    if plain in RELEASES:
        return RELEASES[plain]
    if EXACT.fullmatch(plain):
        return plain
    raise LocalError(
        f"choosing a Kubernetes version: {wish!r} is not known; take one of"
        f" {', '.join(RELEASES)}, or an exact one such as {RELEASES[DEFAULT]}"
    )


def satisfies(version: str, wish: str) -> bool:
    """Say whether programs of `version` are what was wished for; no wish takes any."""
    plain = wish.removeprefix("v")
    return not plain or version == plain or version.startswith(f"{plain}.")


def minor(version: str) -> str:
    """Return ``1.36`` of ``1.36.3``."""
    return ".".join(version.split(".")[:2])
