"""The configuration file of NVIDIA's device plugin: what it refuses, and what it takes otherwise.

The file is a text in a ConfigMap, or in the Helm values that make one. The plugin reads it when it
starts; a file that it cannot read stops it, and the node has no GPUs until somebody looks at the
log of a DaemonSet. What it does not know it leaves out without a word.

Keys are compared without case, as Go's JSON does.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.documents import read
from gpuyard.dialects.plain import Path
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import all_settings
from gpuyard.lint.world import Entry, World

REPLICAS_MIN = 2
KEYS: Mapping[str, frozenset[str]] = {
    "": frozenset({"version", "flags", "resources", "sharing", "imex", "health"}),
    "sharing": frozenset({"timeslicing", "mps"}),
    "sharing.timeSlicing": frozenset(
        {"renamebydefault", "failrequestsgreaterthanone", "resources"}
    ),
    "sharing.mps": frozenset({"renamebydefault", "failrequestsgreaterthanone", "resources"}),
}
STRATEGIES = ("timeSlicing", "mps")


class Config:
    """One configuration file, and the object that holds its text."""

    def __init__(self, entry: Entry, path: Path, value: Mapping[str, object]) -> None:
        self.entry = entry
        self.path = path
        self.value = value

    @property
    def name(self) -> str:
        """The key under which it lies."""
        return str(self.path[-1])


def check_broken(world: World, _world: World) -> Iterator[Hit]:
    """Find files that stop the plugin."""
    for config in configs(world):
        for sentence in _broken(config.value):
            yield Hit(config.path, f"{config.name}: {sentence}", on=config.entry)


def check_ignored(world: World, _world: World) -> Iterator[Hit]:
    """Find keys that the plugin leaves out."""
    for config in configs(world):
        for sentence in _ignored(config.value):
            yield Hit(config.path, f"{config.name}: {sentence}", on=config.entry)


def check_silent_share(world: World, _world: World) -> Iterator[Hit]:
    """Find shares that go by the name of a whole GPU and may be asked for by twos."""
    for config in configs(world):
        slicing = plain.mapping(config.value, "sharing", "timeSlicing")
        names = [plain.text(one, "name") for _, one in plain.mappings(slicing, "resources")]
        if "nvidia.com/gpu" not in names:
            continue
        open_ends = [
            key
            for key in ("renameByDefault", "failRequestsGreaterThanOne")
            if not plain.is_true(slicing, key)
        ]
        if len(open_ends) == 2:  # noqa: PLR2004 — either of them makes sharing show
            yield Hit(
                config.path,
                f"{config.name}: shares of a GPU are called nvidia.com/gpu like a whole one, and "
                "a pod that asks for 2 may get two shares of the same GPU",
                on=config.entry,
            )


def configs(world: World) -> Iterator[Config]:
    """Return every configuration file of the device plugin that was given."""
    for entry in world.of_kind("ConfigMap"):
        yield from _in_texts(entry, ("data",), entry.mapping("data"))
    for entry, found in all_settings(world):
        data = found.given("devicePlugin.config.data")
        if isinstance(data, Mapping):
            yield from _in_texts(entry, found.at("devicePlugin.config.data"), data)


def _in_texts(entry: Entry, path: Path, texts: Mapping[str, object]) -> Iterator[Config]:
    for key, text in texts.items():
        if isinstance(text, str) and ("sharing" in text or "migStrategy" in text):
            documents, problems = read(text, "")
            if len(documents) == 1 and not problems and _is_one(documents[0].value):
                yield Config(entry, (*path, key), documents[0].value)


def _is_one(value: Mapping[str, object]) -> bool:
    """Tell whether a mapping is such a file and not another one that has ``sharing`` in it."""
    names_gpus = "nvidia.com/" in str(plain.get(value, "sharing"))
    return "version" in value and (names_gpus or "migStrategy" in plain.mapping(value, "flags"))


def _broken(value: Mapping[str, object]) -> Iterator[str]:
    version = value.get("version")
    if version not in ("v1", ""):
        yield f"version is {version!r}, and the device plugin reads only v1"
    for strategy in STRATEGIES:
        shared = plain.get(value, "sharing", strategy)
        if isinstance(shared, Mapping):
            yield from _broken_shares(f"sharing.{strategy}", shared)
    mixed = plain.text(value, "flags", "migStrategy") == "mixed"
    if mixed and plain.mappings(value, "sharing", "mps", "resources"):
        yield "sharing.mps does not go together with flags.migStrategy mixed"


def _broken_shares(place: str, shared: Mapping[str, object]) -> Iterator[str]:
    resources = shared.get("resources")
    if not resources or not isinstance(resources, list):
        yield f"{place} has no resources"
        return
    for index, one in plain.mappings(shared, "resources"):
        item = f"{place}.resources[{index}]"
        replicas = one.get("replicas")
        if not one.get("name"):
            yield f"{item} has no name"
        if isinstance(replicas, bool) or not isinstance(replicas, int):
            yield f"{item}.replicas is {'missing' if replicas is None else 'no number'}"
        elif replicas < REPLICAS_MIN:
            yield f"{item}.replicas is {replicas}, and the least is {REPLICAS_MIN}"


def _ignored(value: Mapping[str, object]) -> Iterator[str]:
    for place, known in KEYS.items():
        inside = plain.mapping(value, *(place.split(".") if place else ()))
        for key in inside:
            if str(key).lower() not in known:
                at = f"{place}.{key}" if place else key
                yield f"the device plugin knows no {at} and leaves it out"
    if all(plain.mappings(value, "sharing", one, "resources") for one in STRATEGIES):
        yield "sharing.timeSlicing is left out, because sharing.mps is there"
    for strategy in STRATEGIES:
        for index, one in plain.mappings(value, "sharing", strategy, "resources"):
            if one.get("devices") not in (None, "all"):
                yield (
                    f"sharing.{strategy}.resources[{index}].devices is left out: all devices of a "
                    "node are shared alike"
                )


SOURCE = "NVIDIA/k8s-device-plugin v0.17, api/config/v1 (replicas.go, config.go, sharing.go)"
FAILING = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: device-plugin-config
data:
  any: | # <- here
    version: v1
    sharing:
      timeSlicing:
        renameByDefault: true
        failRequestsGreaterThanOne: true
        resources:
          - name: nvidia.com/gpu
            replicas: 4
"""
PASSING = FAILING.replace(" # <- here", "")

RULES = (
    Rule(
        id="PLUGIN-CONFIG",
        severity="error",
        title="The device plugin can read its configuration",
        why="The plugin stops at a file that it cannot read. The node then offers no GPU, and the "
        "only trace is the log of a DaemonSet.",
        remedy="write it as the plugin's README shows: a name and at least 2 replicas for each "
        "resource",
        source=SOURCE,
        scope="world",
        check=check_broken,
        failing=FAILING.replace("replicas: 4", "replicas: 1"),
        passing=PASSING,
    ),
    Rule(
        id="PLUGIN-CONFIG-KEY",
        severity="warning",
        title="The device plugin reads everything in its configuration",
        why="The plugin leaves out what it does not know or does not do, and says so at most in "
        "its log. The sharing that comes of it is not the one that was meant.",
        remedy="take it out, or write the key that the plugin knows",
        source=SOURCE,
        scope="world",
        check=check_ignored,
        failing=FAILING.replace("renameByDefault", "rename"),
        passing=PASSING,
    ),
    Rule(
        id="SHARE-SILENT",
        severity="info",
        title="A share of a GPU does not pass for a whole one",
        why="With time slicing every pod sees the whole memory of the GPU and may fill it for the "
        "others, and two shares are not two GPUs. Who asks for nvidia.com/gpu does not know that.",
        remedy="set failRequestsGreaterThanOne: true, and renameByDefault: true so that a share is "
        "called nvidia.com/gpu.shared",
        source=SOURCE + "; README, Shared Access to GPUs with CUDA Time-Slicing",
        scope="world",
        check=check_silent_share,
        failing=FAILING.replace(
            "        renameByDefault: true\n        failRequestsGreaterThanOne: true\n", ""
        ),
        passing=PASSING,
    ),
)
