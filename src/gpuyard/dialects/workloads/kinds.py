"""What a row of the table of workload kinds consists of.

A row says of one kind where its pod templates lie in an object, how many pods each of them makes,
and which of its fields matter to whoever judges it. The rows themselves are in `table`.

Counts are `None` where the document does not decide them: a DaemonSet runs as many pods as there
are nodes, an autoscaler overrules what is written, and a text where a number belongs says nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from gpuyard.dialects.plain import Path

Lifetime = Literal["task", "service", "daemon", "pod"]
Together = Literal["pod", "group", "object"]
Templates = Callable[[Mapping[str, object]], Iterable["TemplateAt"]]


class TemplateAt(msgspec.Struct, frozen=True, kw_only=True):
    """One pod template of one object: where its parts lie, and how many pods it makes."""

    path: Path
    """The template as a whole; ``()`` for a Pod. What holds it lies one step above."""
    spec: Path
    """The PodSpec."""
    metadata: Path
    """The mapping with the pod's ``labels`` and ``annotations``."""
    role: str = "pod"
    count: int | None = 1
    """Pods of this template in the whole object."""
    minimum: int | None = None
    """The fewest of them that the kind's own fields allow; `None` where they say nothing."""
    per_group: int | None = None
    """Pods of this template in each group, where the object makes several groups (LWS)."""
    is_job: bool = False
    """What holds the template is a JobSpec (backoffLimit, completionMode, podFailurePolicy)."""
    restarts: str = "Always"
    """The restart policy where none is given."""
    containers: tuple[Path, ...] = ()
    """Containers that lie beside the PodSpec's own (KServe's ``model``)."""
    renamed: tuple[tuple[str, str], ...] = ()
    """How those containers call a field of Container: ``(("resources", "resourcesPerNode"),)``."""
    completed_by: str = ""
    """The kind that fills in what the template leaves out; "" where nothing does."""


class WorkloadKind(msgspec.Struct, frozen=True, kw_only=True):
    """One row: a kind, where its pods come from, and what its fields mean."""

    group: str
    """The API group without version; "" for core."""
    kind: str
    templates: Templates
    lifetime: Lifetime
    """Ends by itself, runs until it is deleted, runs on each node, or is a single Pod."""
    together: Together = "pod"
    """What is of use only as a whole: each pod, each group of pods, or the whole object."""
    leader: str = ""
    """The role whose pod the others look for."""
    index_label: str = ""
    """The label that numbers the pods of a template, from 0."""
    group_label: str = ""
    """The label with the name of the object that a pod belongs to."""
    selector: Path = ()
    """Where the label selector lies, if the object has one."""
    suspend: Path = ()
    """The switch that stops the object from making pods."""
    deadline: Path = ()
    """Seconds after which it is stopped."""
    keeps: Path = ()
    """Seconds for which a finished object stays (its TTL)."""
    retries: Path = ()
    """How many failures are allowed for before the object counts as failed."""
    minimum: Path = ()
    """The smallest number of pods that may start, where the kind itself is a gang."""
    queue: Path = ()
    """The name of its queue in a field of its own."""
    gangs_itself: bool = False
    """Its controller starts all pods or none, without further marks (a Volcano Job)."""

    @property
    def key(self) -> tuple[str, str]:
        """Group and kind."""
        return self.group, self.kind
