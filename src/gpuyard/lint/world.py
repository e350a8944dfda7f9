"""Everything that was given in one run, so that a rule can look past the object in front of it.

A file rarely tells all: the budget that protects a Deployment stands in another document, the nodes
it wants are in the cluster. The world indexes what was read by kind and namespace and is honest
about the rest: `knows` says whether objects of a kind were given at all, `shows_all` whether their
absence means anything. A folder of manifests is taken for all there is; of a cluster only the kinds
that were listed are known (DESIGN, law 5: blind means still).

Kinds are written with their group and without a version, ``policy/PodDisruptionBudget``; those of
the core group are bare, ``Service``. An object without a namespace goes wherever its neighbours go.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

from gpuyard.dialects import plain
from gpuyard.dialects.documents import Document
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ClaimKind, PodView, View, Workload, api_group, workload
from gpuyard.lint.selecting import Selectors

REPLICA_SET = "apps/ReplicaSet"

Origin = Literal["documents", "cluster"]
Answer = TypeVar("Answer")


class Entry(View):
    """One document of the run: where it was written, what it is, and its pods if it has any.

    A mapping without a kind (Helm values) is an entry too; then `kind` is empty.
    """

    def __init__(self, document: Document) -> None:
        super().__init__(document.value, ())
        self.document = document
        is_object = document.is_object
        self.kind = _group_kind(document.api_version, document.kind) if is_object else ""
        self.namespace = self.text("metadata", "namespace")
        self.name = self.text("metadata", "name") or self.text("metadata", "generateName")
        self.workload: Workload | None = None  # the World looks, because claims are elsewhere

    @property
    def title(self) -> str:
        """The object as a finding names it: ``Deployment default/llm``."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind.rpartition('/')[2]} {name}".strip()

    @property
    def made_by(self) -> tuple[str, str] | None:
        """Kind and name of the controller that made the object, if one did."""
        for _, one in self.mappings("metadata", "ownerReferences"):
            if plain.is_true(one, "controller"):
                kind = _group_kind(plain.text(one, "apiVersion"), plain.text(one, "kind"))
                return kind, plain.text(one, "name")
        return None

    @property
    def labels(self) -> Mapping[str, str]:
        """The object's own labels, not those of its pods."""
        return plain.texts(self.value, "metadata", "labels")

    @property
    def annotations(self) -> Mapping[str, str]:
        """The object's own annotations, not those of its pods."""
        return plain.texts(self.value, "metadata", "annotations")


class World:
    """The objects of one run, in the order in which they were read."""

    def __init__(
        self,
        documents: Iterable[Document],
        *,
        background: Iterable[Document] = (),
        origin: Origin = "documents",
        listed: Iterable[str] = (),
    ) -> None:
        """Index everything that was given.

        `background` are the objects that `documents` will live beside; of one that is in both,
        that in `documents` counts. `listed` are kinds of which these are all, even where that is
        none.
        """
        self.looked_at: Sequence[Entry] = tuple(map(Entry, documents))
        self.origin = origin
        self._listed = frozenset(listed)
        self._by_kind: dict[str, list[Entry]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._by_object: dict[int, Entry] = {}
        self._selectors: dict[tuple[str, Path], Selectors] = {}
        self._answers: dict[Callable[[World], Any], Any] = {}
        for entry in self.looked_at:
            self._enter(entry)
        for document in background:
            entry = Entry(document)
            if self.named(entry.kind, entry.name, entry) is None:
                self._enter(entry)
        for entry in self._by_object.values():
            if entry.kind:
                entry.workload = workload(entry.value, claims=partial(self._claim, entry))

    def knows(self, kind: str) -> bool:
        """Say whether objects of `kind` were given, or it is certain that there are none."""
        return kind in self._by_kind or kind in self._listed

    def shows_all(self, kind: str) -> bool:
        """Say whether an object of `kind` that is not here can be taken as missing."""
        return self.origin == "documents" or self.knows(kind)

    def of_kind(self, kind: str) -> Sequence[Entry]:
        """Return the objects of `kind`, in the order of reading."""
        return self._by_kind.get(kind, ())

    def beside(self, kind: str, entry: Entry) -> list[Entry]:
        """Return the objects of `kind` that can be in the namespace of `entry`."""
        return [one for one in self.of_kind(kind) if _can_meet(one, entry)]

    def named(self, kind: str, name: str, entry: Entry) -> Entry | None:
        """Return the object of `kind` and `name` in the namespace of `entry`, or in none."""
        same = self._by_name.get((kind, name), ())
        return next((one for one in same if _can_meet(one, entry)), None)

    def cluster_wide(self, kind: str, name: str) -> Entry | None:
        """Return the object of `kind` and `name` that has no namespace (a Node, a ClusterQueue)."""
        return next(iter(self._by_name.get((kind, name), ())), None)

    def selecting(self, kind: str, path: Path, pod: PodView) -> list[Entry]:
        """Return the objects of `kind` beside a pod whose selector, at `path`, selects it."""
        key = (kind, path)
        if key not in self._selectors:
            self._selectors[key] = Selectors(self.of_kind(kind), path)
        near = self.entry(pod)
        return [one for one in self._selectors[key].selecting(pod.labels) if _can_meet(one, near)]

    def entry(self, view: Workload | PodView) -> Entry:
        """Return the object that `view` looks into."""
        of = view.workload if isinstance(view, PodView) else view
        return self._by_object[id(of.value)]

    def once(self, ask: Callable[["World"], Answer]) -> Answer:
        """Return what the function `ask` says of this world; it is called once a run.

        For what many subjects ask alike: an index of objects, an answer that all pods share.
        """
        if ask not in self._answers:
            self._answers[ask] = ask(self)
        answer: Answer = self._answers[ask]
        return answer

    def owner(self, entry: Entry) -> Entry | None:
        """Return the object that made `entry` and keeps it in line, if it was given."""
        made_by = entry.made_by
        if made_by is None:
            return None
        owner = self.named(*made_by, entry)
        if owner is None and made_by[0] == REPLICA_SET:
            # few list ReplicaSets; one is called like its Deployment and the hash of its template
            stamp = f"-{entry.labels.get('pod-template-hash')}"
            return self.named("apps/Deployment", made_by[1].removesuffix(stamp), entry)
        return owner

    def _enter(self, entry: Entry) -> None:
        self._by_kind[entry.kind].append(entry)
        self._by_name[entry.kind, entry.name].append(entry)
        self._by_object[id(entry.value)] = entry

    def _claim(self, entry: Entry, kind: ClaimKind, name: str) -> Mapping[str, object] | None:
        found = self.named(f"resource.k8s.io/{kind}", name, entry)
        return None if found is None else found.value


def _can_meet(one: Entry, other: Entry) -> bool:
    return one.namespace == other.namespace or not one.namespace or not other.namespace


def _group_kind(api_version: str, kind: str) -> str:
    group = api_group(api_version)
    return f"{group}/{kind}" if group and kind else kind
