"""Helm values of the wrong type, and values that are taken away where a template looks inside.

What a template prints is read again as YAML, so that the text "true" is as good as the word. What
a template tests is not: there every text that is not empty counts as true, "false" as well. And
what is copied as a whole meets the types of the custom resource.

``driver:`` with nothing behind it is null, and null makes Helm forget the chart's own mapping. A
template that looks inside then stops with a nil pointer.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects.plain import Path, mappings
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.rules.helm import keys
from gpuyard.lint.rules.helm.keys import CONTAINERS, KEYS
from gpuyard.lint.rules.helm.release import Release, release
from gpuyard.lint.values import Values
from gpuyard.lint.world import World

# True or false that a template tests, or copies into a custom resource with the rest.
TESTED = frozenset(
    tuple(dotted.split("."))
    for dotted in (
        *("nfd.enabled", "nfd.nodefeaturerules", "operator.cleanupCRD", "operator.upgradeCRD"),
        *("operator.logging.develMode", "operator.use_ocp_driver_toolkit", "gds.enabled"),
        *("devicePlugin.config.create", "migManager.config.create", "platform.openshift"),
        *("driver.nvidiaDriverCRD.enabled", "driver.nvidiaDriverCRD.deployDefaultCR"),
        *("clusterPolicy.deployCR", "gpuCluster.deployCR", "cdi.nriPluginEnabled"),
        *("dcgmExporter.serviceMonitor.enabled", "dcgmExporter.serviceMonitor.honorLabels"),
        *("dcgmExporter.hpcJobMapping.enabled", "driver.licensingConfig.nlsEnabled"),
    )
)
LOOKED_INTO = frozenset(
    tuple(dotted.split("."))
    for dotted in (
        *("driver", "toolkit", "devicePlugin", "dcgm", "dcgmExporter", "gfd", "migManager", "mig"),
        *("nodeStatusExporter", "operator", "validator", "psa", "cdi", "sandboxWorkloads"),
        *("vgpuManager", "vgpuDeviceManager", "vfioManager", "sandboxDevicePlugin", "daemonsets"),
        *("nfd", "gds", "driver.rdma", "driver.manager", "driver.nvidiaDriverCRD"),
        "operator.logging",
    )
)
"""Mappings into which a template looks without asking whether they are there."""

NAMES = {
    "?": "true or false",
    "$": "a text",
    "#": "a whole number",
    "[]": "a list",
    "{}": "a mapping",
    "=": "a list of name and value",
}


def check(values: Values, world: World) -> Iterator[Hit]:
    """Find values of a type with which the release fails or means the opposite."""
    found = release(values, world)
    if found is None or not found.is_modelled:
        return
    for path, key in KEYS.items():
        value = found.view.get(*path)
        if value is not None and key.is_known(found.version):
            yield from _typed(found, path, key, value)
            if key.type == "=":
                yield from _variables(found, path, value, values)
    for path in CONTAINERS:
        value = found.view.get(*path)
        if path and value is not None and not isinstance(value, Mapping):
            dotted = ".".join(map(str, path))
            yield Hit(
                found.view.at(*path),
                f"{dotted} is {_shown(value)}, and the chart looks for keys in it",
                remedy=f"write the key below it, {dotted}.enabled for instance",
            )


def check_null(values: Values, world: World) -> Iterator[Hit]:
    """Find mappings that are emptied although a template looks inside."""
    found = release(values, world)
    if found is None or not found.is_named or found.view.path != values.path:
        return  # what null does to the values of a dependency depends on the version of Helm
    for path in LOOKED_INTO:
        parent = found.view.mapping(*path[:-1])
        if path[-1] in parent and parent[path[-1]] is None:
            yield Hit(
                found.view.at(*path),
                f"{'.'.join(path)} is empty, which takes away what the chart's templates look into",
            )


def _typed(found: Release, path: Path, key: keys.Key, value: object) -> Iterator[Hit]:
    dotted = ".".join(map(str, path))
    if not _is_of(key.type, value, path):
        yield Hit(
            found.view.at(*path), f"{dotted} is {_shown(value)}, but has to be {NAMES[key.type]}"
        )
    elif path[-1] == "version" and isinstance(value, float):
        yield Hit(
            found.view.at(*path),
            f"{dotted} is the number {value}: a zero at the end of a version is lost",
            remedy="put the version in quotes",
        )


def _variables(found: Release, path: Path, listed: object, values: Values) -> Iterator[Hit]:
    """Find variables that are no text; in YAML of its own they can be put in quotes."""
    for index, one in mappings(listed):
        written = one.get("value")
        if written is None or isinstance(written, str):
            continue
        place = found.view.at(*path, index, "value")
        is_scalar = isinstance(written, bool | int) and values.entry.get(*place) == written
        text = str(written).lower()
        yield Hit(
            place,
            f"{'.'.join(map(str, path))}: {one.get('name')} is {_shown(written)}, but has to be "
            "a text",
            remedy="put the value in quotes",
            edits=(Set(place, text),) if is_scalar else (),
        )


def _is_of(kind: keys.Type, value: object, path: Path) -> bool:
    scalar = not isinstance(value, Mapping | list)
    match kind:
        case "?":
            is_word = isinstance(value, str) and value in {"true", "false"} and path not in TESTED
            return isinstance(value, bool) or is_word or _is_template(value)
        case "$" | "#":
            is_number = not isinstance(value, str) or value.isdecimal() or _is_template(value)
            return scalar and (kind == "$" or is_number)
        case "[]" | "=":
            return isinstance(value, list) or _is_template(value)
        case "{}":
            return isinstance(value, Mapping) or _is_template(value)
        case "*":
            return True


def _is_template(value: object) -> bool:
    """Tell whether something else fills in the value before Helm sees it."""
    return isinstance(value, str) and ("{{" in value or "${" in value)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "the word true" if value else "the word false"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value}"


RULES = (
    Rule(
        id="HELM-TYPE",
        severity="error",
        title="Values of the gpu-operator's chart have the type it expects",
        why="With a wrong type the release stops in a template or at the API server, or a switch "
        "means the opposite: to a template every text that is not empty is true.",
        remedy="write the value in the type that the chart's values.yaml shows",
        source="NVIDIA/gpu-operator templates and CRDs v23.3.0 to v26.7.0; Helm v3, if and toYaml",
        scope="values",
        check=check,
        has_fix=True,
        failing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  enabled: false
toolkit:
  env:
    - name: CONTAINERD_SET_AS_DEFAULT
      value: true # <- here
""",
        passing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  enabled: false
toolkit:
  env:
    - name: CONTAINERD_SET_AS_DEFAULT
      value: "true"
""",
    ),
    Rule(
        id="HELM-NULL",
        severity="error",
        title="No mapping of the gpu-operator's values is left empty",
        why="A key with nothing behind it is null, and null makes Helm drop the chart's own "
        "values below it. The first template that looks for one stops with a nil pointer.",
        remedy="take the key out, or write {} behind it to change nothing",
        source="Helm v3, coalesceValues; NVIDIA/gpu-operator #461, #478",
        scope="values",
        check=check_null,
        failing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  rdma: # <- here
toolkit:
  enabled: true
""",
        passing="""\
# gpuyard:chart gpu-operator v25.10.1
driver:
  rdma:
    enabled: false
toolkit:
  enabled: true
""",
    ),
)
