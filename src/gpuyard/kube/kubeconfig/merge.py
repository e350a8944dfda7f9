"""Several kubeconfigs as one: the first file to name a thing wins, whole.

An entry that a later file repeats is dropped, also where it has fields that the first lacks; the
first ``current-context`` that is not empty counts. Each entry remembers its file, because its
relative paths start there and errors name it.

Semantics: client-go v0.36, tools/clientcmd/loader.go (`Load`), as documented under "Organizing
Cluster Access Using kubeconfig Files".
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from gpuyard.kube.kubeconfig.schema import Cluster, Context, Kubeconfig, User

T = TypeVar("T")


class Entry(msgspec.Struct, Generic[T], frozen=True):
    """A cluster, user or context, and the file that gave it."""

    value: T
    file: Path


class Merged(msgspec.Struct, frozen=True):
    """What all files say together."""

    files: tuple[Path, ...]
    current_context: str
    clusters: dict[str, Entry[Cluster]]
    users: dict[str, Entry[User]]
    contexts: dict[str, Entry[Context]]


def merge(read: Iterable[tuple[Path, Kubeconfig]]) -> Merged:
    """Return the sum of files in their order."""
    files: list[Path] = []
    current = ""
    clusters: dict[str, Entry[Cluster]] = {}
    users: dict[str, Entry[User]] = {}
    contexts: dict[str, Entry[Context]] = {}
    for file, config in read:
        files.append(file)
        current = current or config.current_context
        for cluster in config.clusters or ():
            clusters.setdefault(cluster.name, Entry(cluster.cluster or Cluster(), file))
        for user in config.users or ():
            users.setdefault(user.name, Entry(user.user or User(), file))
        for context in config.contexts or ():
            contexts.setdefault(context.name, Entry(context.context or Context(), file))
    return Merged(tuple(files), current, clusters, users, contexts)
