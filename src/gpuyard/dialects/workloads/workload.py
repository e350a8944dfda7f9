"""A workload and its pods, as rules look at them.

`Workload` is one object of a kind in the table; its `pods` are the templates found in it. Both are
views: made in a moment, looked into as far as somebody asks.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import counts, gangs
from gpuyard.dialects.workloads.claims import Claim, ClaimLookup, pod_claims
from gpuyard.dialects.workloads.containers import ContainerView
from gpuyard.dialects.workloads.gangs import GangMark
from gpuyard.dialects.workloads.gpus import ContainerAsks, GpuAsk, gpu_resource, pod_devices
from gpuyard.dialects.workloads.kinds import TemplateAt, WorkloadKind
from gpuyard.dialects.workloads.views import View


class Workload(View):
    """One object that makes pods, or is one."""

    def __init__(self, value: Mapping[str, object], row: WorkloadKind, lookup: ClaimLookup) -> None:
        super().__init__(value, ())
        self.row = row
        self.lookup = lookup

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.row.kind

    @property
    def name(self) -> str:
        """Its name; the prefix of one that the API server will make."""
        return self.text("metadata", "name") or self.text("metadata", "generateName")

    @property
    def namespace(self) -> str:
        """Its namespace as written, "" where none is."""
        return self.text("metadata", "namespace")

    @property
    def title(self) -> str:
        """What to call it: ``Deployment default/llm``."""
        name = self.name or "without a name"
        return f"{self.kind} {self.namespace}/{name}" if self.namespace else f"{self.kind} {name}"

    @cached_property
    def labels(self) -> dict[str, str]:
        """Its own labels."""
        return plain.texts(self.value, "metadata", "labels")

    @cached_property
    def annotations(self) -> dict[str, str]:
        """Its own annotations."""
        return plain.texts(self.value, "metadata", "annotations")

    @cached_property
    def pods(self) -> tuple["PodView", ...]:
        """Its pod templates, in the order in which the kind lists them."""
        return tuple(PodView(self, place) for place in self.row.templates(self.value))

    @cached_property
    def pods_total(self) -> int | None:
        """Pods that it makes in all; `None` where the document does not decide that."""
        return counts.total([pod.count for pod in self.pods])

    @cached_property
    def gpus_total(self) -> int | None:
        """Devices that all of its pods ask for; `None` where that cannot be told."""
        return counts.total([counts.times(pod.count, pod.gpus_known) for pod in self.pods])

    @cached_property
    def is_patch(self) -> bool:
        """Tell whether it is laid over another object, as kustomize does.

        The API server refuses an apps/v1 object without a selector, and a container without an
        image; an object with neither is no whole one.
        """
        return (
            self.row.group == "apps"
            and self.get("spec", "selector") is None
            and not all(box.image for pod in self.pods for box in pod.containers)
        )

    @cached_property
    def asks_gpus(self) -> bool:
        """Tell whether any of its pods asks for a GPU."""
        return any(pod.asks_gpus for pod in self.pods)

    @cached_property
    def gpu_pods(self) -> tuple["PodView", ...]:
        """Those of its pods that ask for a GPU."""
        return tuple(pod for pod in self.pods if pod.asks_gpus)

    @cached_property
    def together(self) -> int | None:
        """Pods that are of use only together: all, those of one group, or 1.

        `None` where the document does not decide that.
        """
        if self.row.together == "object":
            return self.pods_total
        if self.row.together == "group" and self.pods:
            return counts.total([pod.per_group for pod in self.pods])
        return 1

    @cached_property
    def leader(self) -> "PodView | None":
        """The pod that the others look for."""
        wanted = self.row.leader
        return next((pod for pod in self.pods if wanted and pod.role == wanted), None)

    @property
    def is_suspended(self) -> bool:
        """Tell whether its switch keeps it from making pods."""
        return bool(self.row.suspend) and self.is_true(*self.row.suspend)

    @cached_property
    def gang_marks(self) -> tuple[GangMark, ...]:
        """Every mark in it that says that its pods start together."""
        marks = [
            *gangs.metadata_marks(self.mapping("metadata"), ("metadata",)),
            *gangs.policy_marks(self.value),
            *(mark for pod in self.pods for mark in pod.gang_marks),
        ]
        return tuple({mark.path: mark for mark in marks}.values())

    @property
    def has_gang(self) -> bool:
        """Tell whether its pods start together: its kind sees to it, or a mark asks for it."""
        return self.row.gangs_itself or bool(self.gang_marks)


class PodView(View):
    """A pod template (or a Pod) inside a workload."""

    def __init__(self, workload: Workload, place: TemplateAt) -> None:
        super().__init__(workload.mapping(*place.path), place.path)
        self.workload = workload
        self.place = place
        self.role = place.role
        self.count = place.count
        self.per_group = place.per_group

    @property
    def title(self) -> str:
        """What to call it: ``Deployment default/llm``, with its role where there are several."""
        title = self.workload.title
        return f"{title} ({self.role})" if len(self.workload.pods) > 1 and self.role else title

    @property
    def is_complete(self) -> bool:
        """Tell whether nothing else fills in what the template leaves out."""
        return not self.place.completed_by and not self.workload.is_patch

    @property
    def spec_path(self) -> Path:
        """Where the PodSpec lies."""
        return self.place.spec

    @property
    def metadata_path(self) -> Path:
        """Where the pod's labels and annotations lie."""
        return self.place.metadata

    @cached_property
    def spec(self) -> View:
        """The PodSpec."""
        return View(self.workload.mapping(*self.spec_path), self.spec_path)

    @cached_property
    def labels(self) -> dict[str, str]:
        """The pod's labels."""
        return plain.texts(self.workload.value, *self.metadata_path, "labels")

    @cached_property
    def annotations(self) -> dict[str, str]:
        """The pod's annotations."""
        return plain.texts(self.workload.value, *self.metadata_path, "annotations")

    @cached_property
    def around(self) -> View:
        """What holds the template: the JobSpec, the ReplicaSpec, the worker group."""
        path = self.path[:-1]
        return View(self.workload.mapping(*path), path)

    @property
    def job(self) -> View | None:
        """The JobSpec that holds the template, `None` where none does."""
        return self.around if self.place.is_job else None

    @cached_property
    def all_containers(self) -> tuple[ContainerView, ...]:
        """Init containers first, then those that run together."""
        return tuple(self._containers())

    @cached_property
    def containers(self) -> tuple[ContainerView, ...]:
        """Those that run together, without init containers and sidecars."""
        return tuple(each for each in self.all_containers if not each.is_init)

    @cached_property
    def init_containers(self) -> tuple[ContainerView, ...]:
        """Init containers, sidecars among them."""
        return tuple(each for each in self.all_containers if each.is_init)

    def _containers(self) -> Iterator[ContainerView]:
        for field in ("initContainers", "containers"):
            for index, each in self.spec.mappings(field):
                yield self._container(each, self.spec.at(field, index), field == "initContainers")
        for path in self.place.containers:
            yield self._container(self.workload.mapping(*path), path, False)

    def _container(
        self,
        value: Mapping[str, object],
        path: Path,
        is_init: bool,  # noqa: FBT001 — private
    ) -> ContainerView:
        return ContainerView(
            value,
            path,
            pod_spec=self.spec.value,
            spec_path=self.spec_path,
            is_init=is_init,
            renamed=dict(self.place.renamed) if path in self.place.containers else None,
        )

    @cached_property
    def gpu_asks(self) -> tuple[GpuAsk, ...]:
        """Every GPU resource that a container names."""
        return tuple(ask for each in self.all_containers for ask in each.gpu_asks)

    @cached_property
    def devices(self) -> dict[str, int]:
        """Devices that the pod takes on its node, by resource name, without claims."""
        if not self.gpu_asks:
            return {}
        return pod_devices(
            ContainerAsks(each.gpu_asks, each.is_init, each.is_sidecar)
            for each in self.all_containers
        )

    @cached_property
    def claims(self) -> tuple[Claim, ...]:
        """The pod's resource claims."""
        return pod_claims(self.spec.value, self.spec_path, self.workload.lookup)

    @cached_property
    def gpus(self) -> int:
        """Devices the pod is known to ask for: whole GPUs, MIG instances, shares, claims."""
        return sum(self.devices.values()) + sum(claim.gpus or 0 for claim in self.claims)

    @cached_property
    def whole_gpus(self) -> int:
        """Devices among them that are whole GPUs of the device plugin."""
        return sum(
            count
            for name, count in self.devices.items()
            if (known := gpu_resource(name)) and known.sharing == "whole"
        )

    @property
    def gpus_known(self) -> int | None:
        """`gpus`, or `None` where a claim leaves the number open."""
        return None if any(claim.gpus is None for claim in self.claims) else self.gpus

    @property
    def asks_gpus(self) -> bool:
        """Tell whether it asks for a GPU: names a resource, or a claim known to be one."""
        return bool(self.gpu_asks) or any(claim.is_gpu for claim in self.claims)

    @property
    def restart_policy(self) -> str:
        """The restart policy that its pods get; "" where one is demanded and none is given."""
        given = "" if self.place.is_job else self.around.text("restartPolicy")
        return given or self.spec.text("restartPolicy") or self.place.restarts

    @cached_property
    def gang_marks(self) -> tuple[GangMark, ...]:
        """The marks on this template that its pods start together."""
        metadata = self.workload.mapping(*self.metadata_path)
        marks = [
            *gangs.metadata_marks(metadata, self.metadata_path),
            *gangs.spec_marks(self.spec.value, self.spec_path),
        ]
        if self.job is not None:
            marks += gangs.job_marks(self.job.value, self.job.path)
        return tuple(marks)
