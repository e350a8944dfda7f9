"""Helm values that nobody reads.

Helm merges any key into the values of a chart, and templates read those that they know. A key that
was renamed, that lies one level too high or that came with a later version does nothing: no error,
no warning, a release that succeeds. The operator's chart has no schema that would tell.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from gpuyard.dialects.plain import Path
from gpuyard.lint.rule import Hit, Rule
from gpuyard.lint.rules.helm import keys
from gpuyard.lint.rules.helm.keys import CONTAINERS, KEYS
from gpuyard.lint.rules.helm.release import Release, release
from gpuyard.lint.values import Values
from gpuyard.lint.world import World

ALIKE = 0.75  # so near has a key to be to one that is meant
NOT_FOR_TEMPLATES = ("x-", "_", ".")  # keys under which people keep YAML anchors
REPLACED: Mapping[Path, str] = {
    ("driver", "useOpenKernelModules"): "driver.kernelModuleType: open",
    ("operator", "defaultRuntime"): "nothing, the runtime is found on each node",
    ("cdi", "default"): "cdi.enabled, which makes CDI the default",
    ("psp", "enabled"): "psa.enabled",
}
"""What took the place of keys that are gone."""


def check(values: Values, world: World) -> Iterator[Hit]:
    """Find keys that the chart's version does not read."""
    found = release(values, world)
    if found is not None and found.is_modelled and not found.is_newer:
        for path in _unknown(found):
            if found.is_said or not _is_of_another_version(path):
                yield from _hit(found, path)


def check_unsaid(values: Values, world: World) -> Iterator[Hit]:
    """Find keys that the newest version does not read any more, where no version is said."""
    found = release(values, world)
    if found is not None and not found.is_said:
        for path in _unknown(found):
            if _is_of_another_version(path):
                yield from _hit(found, path)


def _hit(found: Release, path: Path) -> Iterator[Hit]:
    dotted = ".".join(map(str, path))
    known = [key for place, key in KEYS.items() if place[: len(path)] == path]
    meant = REPLACED.get(path) or _meant(found, path)
    if not known and not meant and len(path) == 1 and not found.is_named:
        return  # a file that is recognised by its keys may serve another chart as well
    if known:
        later = all(key.since > found.version for key in known)
        when = (
            f"it came with {keys.text(min(key.since for key in known))}"
            if later
            else f"it was last read by {keys.text(max(key.until for key in known))}"
        )
    else:
        when = f"did you mean {meant}?" if meant else "it knows nothing of that name"
    yield Hit(
        found.view.at(*path),
        f"{dotted} has no effect in {found.chart}: {when}",
        remedy=f"write {meant}" if meant and not known else _remedy(path, known),
    )


def _remedy(path: Path, known: list[keys.Key]) -> str | None:
    if path in REPLACED:
        return f"take the key out; in its place came {REPLACED[path]}"
    return "take the key out, or use a version of the chart that reads it" if known else None


def _unknown(found: Release) -> Iterator[Path]:
    """Return the paths of keys that the version does not know, the highest only."""
    waiting: list[tuple[Path, Mapping[str, object]]] = [((), found.view.value)]
    while waiting:
        above, mapping = waiting.pop(0)
        for name, value in mapping.items():
            path = (*above, name)
            key = KEYS.get(path)
            if key is None and path in CONTAINERS:
                if not any(KEYS[one].is_known(found.version) for one in CONTAINERS[path]):
                    yield path
                elif isinstance(value, Mapping):
                    waiting.append((path, value))
            elif not (above or key) and name.startswith(NOT_FOR_TEMPLATES):
                pass
            elif key is None or not key.is_known(found.version):
                yield path


def _is_of_another_version(path: Path) -> bool:
    return path in KEYS or path in CONTAINERS


def _meant(found: Release, path: Path) -> str:
    """Return the key that was probably meant: lower down, beside, or elsewhere; "" for none."""
    name = str(path[-1])
    alive = [one for one, key in KEYS.items() if key.is_known(found.version)]
    parent = path[:-1]
    below = [one for one in alive if one[: len(parent)] == parent and one[-1] == name and parent]
    if len(below) == 1:
        return ".".join(map(str, below[0]))
    beside = {str(one[len(parent)]) for one in alive if one[: len(parent)] == parent}
    near = _nearest(name, beside)
    if near:
        return ".".join(map(str, (*parent, near)))
    anywhere = [one for one in alive if one[-1] == name]
    return ".".join(map(str, anywhere[0])) if len(anywhere) == 1 else ""


def _nearest(name: str, known: set[str]) -> str:
    plain = {one.lower(): one for one in sorted(known)}
    near = get_close_matches(name.replace("-", "").replace("_", "").lower(), plain, 1, ALIKE)
    return plain[near[0]] if near else ""


WHY = (
    "Helm merges every key and complains about none. The release succeeds, and the setting is not "
    "there: a driver without its upgrade policy, an exporter without its metrics."
)
SOURCE = (
    "NVIDIA/gpu-operator, values.yaml, templates and CRDs v23.3.0 to v26.7.0; NVIDIA/aicr #2447"
)

RULES = (
    Rule(
        id="HELM-DEAD-KEY",
        severity="error",
        title="The gpu-operator's chart reads every value that is set",
        why=WHY,
        remedy="write the key as the values.yaml of that version of the chart does",
        source=SOURCE,
        scope="values",
        check=check,
        failing="""\
# gpuyard:chart gpu-operator v25.3.4
driver:
  enabled: true
  maxParallelUpgrades: 4 # <- here
toolkit:
  enabled: true
""",
        passing="""\
# gpuyard:chart gpu-operator v25.3.4
driver:
  enabled: true
  upgradePolicy:
    maxParallelUpgrades: 4
toolkit:
  enabled: true
""",
    ),
    Rule(
        id="HELM-OLD-KEY",
        severity="warning",
        title="Values without a version keep to what the newest chart reads",
        why="Nothing says which version of the chart these values are for. Under the newest one "
        "some of them do nothing, and Helm does not tell.",
        remedy="say the version, `# gpuyard:chart gpu-operator v25.3.4`, or take the key out",
        source=SOURCE,
        scope="values",
        check=check_unsaid,
        failing="""\
driver:
  useOpenKernelModules: true # <- here
toolkit:
  enabled: true
migManager:
  enabled: true
""",
        passing="""\
driver:
  kernelModuleType: open
toolkit:
  enabled: true
migManager:
  enabled: true
""",
    ),
)
