"""MIG strategy and profiles: what a GPU that is cut is called.

Under the strategy ``single`` all slices of a node are alike and are called ``nvidia.com/gpu``;
under ``mixed`` they are called after their profile, ``nvidia.com/mig-1g.10gb``. A pod that asks for
a profile under ``single`` waits for a resource that no node will ever have; profiles of several
kinds under ``single`` leave the node without any.

A configuration of MIG Manager is applied to a node that carries its name in the label
``nvidia.com/mig.config``; that one is there does not mean that it is used.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import plain
from gpuyard.dialects.documents import read
from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import PodView
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm.settings import Settings, all_settings
from gpuyard.lint.world import Entry, World

FILE = "config.yaml"


def check_resource(pod: PodView, world: World) -> Iterator[Hit]:
    """Find pods that ask for a MIG profile although the operator names no resource after one."""
    asks = [
        ask
        for ask in pod.gpu_asks
        if ask.resource.profile and ask.resource.name.startswith("nvidia.com/mig-")
    ]
    if not asks:
        return
    strategies = {found.text("mig.strategy") for _, found in all_settings(world)}
    if strategies and strategies <= {"single", "none"}:
        for ask in asks:
            yield Hit(
                ask.path,
                f"container {ask.container} asks for {ask.resource.name}, but the gpu-operator "
                f"beside it has mig.strategy {' or '.join(sorted(strategies))}, under which no "
                "resource has that name",
            )


def check_profiles(world: World, _world: World) -> Iterator[Hit]:
    """Find configurations with several profiles where the strategy is single."""
    for entry, found in all_settings(world):
        if found.text("mig.strategy") != "single":
            continue
        for on, path, config in _configs(entry, found, world):
            for name, parts in plain.mapping(config, "mig-configs").items():
                profiles = _profiles(parts)
                if len(profiles) > 1:
                    yield Hit(
                        path,
                        f"MIG configuration {name} has {len(profiles)} profiles "
                        f"({', '.join(profiles)}), but mig.strategy is single",
                        on=on,
                    )


def _configs(
    entry: Entry, found: Settings, world: World
) -> Iterator[tuple[Entry, Path, Mapping[str, object]]]:
    """Return the configurations of MIG Manager: in the values, or in the ConfigMap they name."""
    own = plain.text(found.given("migManager.config.data"), FILE)
    if own:
        yield entry, (*found.at("migManager.config.data"), FILE), _parsed(own)
    name = found.text("migManager.config.name")
    named = next((one for one in world.of_kind("ConfigMap") if one.name == name), None)
    if name and named is not None:
        yield named, ("data", FILE), _parsed(named.text("data", FILE))


def _parsed(text: str) -> Mapping[str, object]:
    documents, _ = read(text, "")
    return documents[0].value if documents else {}


def _profiles(parts: object) -> list[str]:
    """Return the profiles of a configuration that meet on one node: those of one set of GPUs."""
    by_filter: dict[str, set[str]] = {}
    for part in parts if isinstance(parts, list) else ():
        names = by_filter.setdefault(str(plain.get(part, "device-filter")), set())
        names.update(map(str, plain.mapping(part, "mig-devices")))
    most: set[str] = set()
    for names in by_filter.values():
        most = names if len(names) > len(most) else most
    return sorted(most)


RULES = (
    Rule(
        id="MIG-STRATEGY",
        severity="warning",
        title="A MIG profile is asked for where resources are named after profiles",
        why="Under mig.strategy single every slice is called nvidia.com/gpu. A pod that asks for "
        "nvidia.com/mig-… then waits for a resource that no node has, and is Pending for ever.",
        remedy="ask for nvidia.com/gpu and choose nodes by nvidia.com/gpu.product, or set "
        "mig.strategy to mixed",
        source="NVIDIA/k8s-device-plugin v0.17, MIG strategies; NVIDIA/gpu-operator values.yaml "
        "(mig.strategy: single)",
        scope="pod",
        check=check_resource,
        failing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  mig:
    strategy: single
---
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/mig-1g.10gb: 1 # <- here
""",
        passing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  mig:
    strategy: mixed
---
apiVersion: v1
kind: Pod
metadata:
  name: embed
spec:
  containers:
    - name: server
      image: registry.example/embed:2.1
      resources:
        limits:
          nvidia.com/mig-1g.10gb: 1
""",
    ),
    Rule(
        id="MIG-SINGLE",
        severity="warning",
        title="Under mig.strategy single every configuration has one profile",
        why="On a node with slices of several kinds the strategy single is invalid: the device "
        "plugin stops, and the node offers no GPU at all.",
        remedy="set mig.strategy to mixed, or cut all GPUs of a node alike",
        source="NVIDIA/gpu-operator #460; NVIDIA/k8s-device-plugin v0.17, internal/rm and "
        "internal/lm/mig-strategy.go",
        scope="world",
        check=check_profiles,
        failing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  mig:
    strategy: single
  migManager:
    config:
      name: our-mig
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: our-mig
data:
  config.yaml: | # <- here
    version: v1
    mig-configs:
      halves:
        - devices: all
          mig-enabled: true
          mig-devices: {"1g.10gb": 2, "3g.40gb": 1}
""",
        passing="""\
apiVersion: nvidia.com/v1
kind: ClusterPolicy
metadata:
  name: cluster-policy
spec:
  mig:
    strategy: single
  migManager:
    config:
      name: our-mig
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: our-mig
data:
  config.yaml: |
    version: v1
    mig-configs:
      sevenths:
        - devices: all
          mig-enabled: true
          mig-devices: {"1g.10gb": 7}
""",
    ),
)
