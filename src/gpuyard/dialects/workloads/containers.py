"""One container of a pod template: what it runs, what it asks for, what it sees.

All names follow the Container of core/v1 (k8s.io/api 1.37).
"""

import posixpath
from collections.abc import Mapping
from functools import cached_property

import msgspec

from gpuyard.dialects import plain
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads.commands import Flag, find_flag, script_words
from gpuyard.dialects.workloads.gpus import GpuAsk, container_asks
from gpuyard.dialects.workloads.views import View


class EnvVar(msgspec.Struct, frozen=True):
    """An environment variable and its place."""

    name: str
    value: str | None
    """What stands there; `None` where it comes from a secret, a config map or a field."""
    path: Path


class Mount(msgspec.Struct, frozen=True):
    """A volume mount, together with the volume of the pod that it mounts."""

    path: Path
    name: str
    mount_path: str
    volume: Mapping[str, object]
    """Empty where the pod has no volume of that name."""
    volume_path: Path

    @property
    def is_memory(self) -> bool:
        """Tell whether it is an emptyDir in memory."""
        return plain.get(self.volume, "emptyDir", "medium") == "Memory"


class ContainerView(View):
    """A container; make it through `gpuyard.dialects.workloads.workload`."""

    def __init__(
        self,
        value: Mapping[str, object],
        path: Path,
        *,
        pod_spec: Mapping[str, object],
        spec_path: Path,
        is_init: bool = False,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(value, path)
        self.is_init = is_init
        self._pod_spec = pod_spec
        self._spec_path = spec_path
        self._resources = (renamed or {}).get("resources", "resources")

    @property
    def name(self) -> str:
        """Its name, or the field that holds it where it has none (KServe's ``model``)."""
        given = self.text("name")
        last = self.path[-1] if self.path else ""
        return given or (last if isinstance(last, str) else "")

    @property
    def image(self) -> str:
        """The image reference, "" where none is given."""
        return self.text("image")

    @property
    def is_sidecar(self) -> bool:
        """Tell whether it is an init container that keeps running."""
        return self.is_init and self.text("restartPolicy") == "Always"

    @property
    def resources_path(self) -> Path:
        """Where its ResourceRequirements lie or belong."""
        return self.at(self._resources)

    @cached_property
    def limits(self) -> Mapping[str, object]:
        """Its limits as they are written, by resource name."""
        return self.mapping(self._resources, "limits")

    @cached_property
    def requests(self) -> Mapping[str, object]:
        """Its requests as they are written; what is left out equals the limit (see `requested`)."""
        return self.mapping(self._resources, "requests")

    def requested(self, resource: str) -> object:
        """Return what it asks for of `resource` once the API server has filled in its limit."""
        found = self.requests.get(resource)
        return self.limits.get(resource) if found is None else found

    @cached_property
    def gpu_asks(self) -> tuple[GpuAsk, ...]:
        """The GPU resources it names, one entry each."""
        return container_asks(self.name, self.requests, self.limits, self.resources_path)

    @cached_property
    def gpus(self) -> int:
        """Devices it asks for through resources (whole, MIG and shares alike), without claims."""
        return sum(ask.count for ask in self.gpu_asks)

    @cached_property
    def claims(self) -> tuple[str, ...]:
        """The names of the pod's resource claims that it uses."""
        return tuple(
            plain.text(each, "name") for _, each in self.mappings(self._resources, "claims")
        )

    @cached_property
    def variables(self) -> Mapping[str, EnvVar]:
        """Its ``env`` by name; of two with one name the last counts, as for the kubelet."""
        found = {}
        for index, each in self.mappings("env"):
            name = plain.text(each, "name")
            written = each.get("value")
            value = "" if written is None and "valueFrom" not in each else written
            text = value if isinstance(value, str) else None
            found[name] = EnvVar(name, text, self.at("env", index))
        return found

    def env(self, name: str) -> EnvVar | None:
        """Return the environment variable `name`, `None` where ``env`` does not set it."""
        return self.variables.get(name)

    @cached_property
    def mounts(self) -> tuple[Mount, ...]:
        """Its volume mounts, each with its volume."""
        volumes = {
            plain.text(each, "name"): (index, each)
            for index, each in plain.mappings(self._pod_spec, "volumes")
        }
        found = []
        for index, each in self.mappings("volumeMounts"):
            name = plain.text(each, "name")
            at, volume = volumes.get(name, (None, {}))
            place = (*self._spec_path, "volumes", *(() if at is None else (at,)))
            mount_path = plain.text(each, "mountPath")
            found.append(Mount(self.at("volumeMounts", index), name, mount_path, volume, place))
        return tuple(found)

    def mount(self, directory: str) -> Mount | None:
        """Return the mount at exactly `directory`."""
        wanted = posixpath.normpath(directory)
        matching = (m for m in self.mounts if posixpath.normpath(m.mount_path or ".") == wanted)
        return next(matching, None)

    def mount_of(self, file: str) -> Mount | None:
        """Return the mount that holds the absolute path `file`: the deepest one at or above it."""
        place = posixpath.normpath(file)
        above = [
            mount
            for mount in self.mounts
            if mount.mount_path.startswith("/")
            and (place + "/").startswith(posixpath.normpath(mount.mount_path).rstrip("/") + "/")
        ]
        return max(above, key=lambda mount: len(posixpath.normpath(mount.mount_path)), default=None)

    @cached_property
    def command_line(self) -> tuple[tuple[str, Path], ...]:
        """Its ``command`` and ``args``, word for word, each with its place."""
        return tuple(
            (word, self.at(field, index))
            for field in ("command", "args")
            for index, word in plain.words(self.value, field)
        )

    @cached_property
    def words(self) -> tuple[tuple[str, Path], ...]:
        """Its command line with shell scripts taken apart into words."""
        return script_words(self.command_line)

    def flag(self, *names: str) -> Flag | None:
        """Return the last option of its command line called one of `names`.

        ``--max-len 5``, ``--max-len=5`` and ``--max_len=5`` are the same to ``flag("--max-len")``.
        """
        return find_flag(self.words, names)

    def security(self, field: str) -> object:
        """Return a field of its security context, from the pod's where it has none of its own."""
        own = self.get("securityContext", field)
        return plain.get(self._pod_spec, "securityContext", field) if own is None else own

    @property
    def is_privileged(self) -> bool:
        """Tell whether it is privileged."""
        return self.is_true("securityContext", "privileged")

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """The capabilities it adds, without ``CAP_``."""
        added = plain.words(self.value, "securityContext", "capabilities", "add")
        return frozenset(word.removeprefix("CAP_") for _, word in added)
