"""The sentences of CEL that admission policies and webhook configurations share.

CEL as Kubernetes 1.30 and newer know it, with optional fields (``a.?b``). What is looked into is
``dyn``: the API server then checks no types beforehand, and one expression serves objects of many
kinds. Where an expression fails, ``failurePolicy: Ignore`` lets the object pass.
"""

from collections.abc import Iterable

from gpuyard.lint.policies.places import EACH_ITEM, EACH_VALUE, Places, Walk
from gpuyard.lint.suppress import ANNOTATION

# The names of `gpuyard.dialects.workloads.gpus`, in a form that RE2 and Python read alike.
GPU_NAMES = (
    r"^(nvidia\.com/(gpu|pgpu|vgpu|mig-|[^/]+\.shared)|volcano\.sh/v?gpu|amd\.com/(gpu|[sdtqc]px_)"
    r"|gpu\.intel\.com/|habana\.ai/gaudi|google\.com/tpu|aws\.amazon\.com/neuron)"
)
GPU_VARIABLES = r"^(NVIDIA|CUDA|HIP|ROCR)_"
GPU_FILES = r"^/dev/(nvidia|dri|kfd)"

_KUBERNETES_ITSELF = ("system:kube-", "system:node:", "system:serviceaccount:kube-system:")

_OBJECT = "dyn(object)"


def templates(places: Iterable[Places]) -> str:
    """Return the list of an object's pod templates, whichever kind of `places` it is of."""
    walks = sorted({walk for row in places for walk in row.templates})
    return " +\n".join(map(_at, walks))


def _at(walk: Walk) -> str:
    if not walk:
        return f"(request.kind.kind == 'Pod' ? [{_OBJECT}] : [])"
    for each in (EACH_ITEM, EACH_VALUE):
        if each in walk:
            cut = walk.index(each)
            return _all_of(_OBJECT + _fields(walk[:cut]), each, _fields(walk[cut + 1 :]))
    return f"[?{_OBJECT}{_fields(walk)}]"


def _all_of(held: str, each: str, rest: str) -> str:
    """Return what lies at `rest` in everything that the optional list or mapping `held` holds."""
    if each == EACH_ITEM:
        found = f"{held}.orValue([]).map(one, one{rest})"
    else:
        found = f"{held}.orValue({{}}).map(key, {held}.value()[key]{rest})"
    return f"{found}.filter(one, one.hasValue()).map(one, one.value())"


def _fields(walk: Walk) -> str:
    return "".join(f".?{field}" for field in walk)


def asks_gpus(spec: str) -> str:
    """Say whether a PodSpec asks for a GPU, or claims a device of whatever kind."""
    return (
        f"({_containers(spec)}.exists(c, [c.?resources.?limits, c.?resources.?requests]"
        f".exists(amounts, {_names_gpu('amounts')})) || {spec}.?resourceClaims.hasValue())"
    )


def mentions_gpus(spec: str) -> str:
    """Say whether a PodSpec has to do with GPUs, also where it asks for them in a wrong way."""
    return (
        f"({_containers(spec)}.exists(c, "
        "[c.?resources.?limits, c.?resources.?requests, c.?resources]"
        f".exists(amounts, {_names_gpu('amounts')}) || "
        f"c.?env.orValue([]).exists(e, e.name.matches({text(GPU_VARIABLES)}))) || "
        f"{spec}.?resourceClaims.hasValue() || "
        f"[{spec}.?resources.?limits, {spec}.?resources.?requests]"
        f".exists(amounts, {_names_gpu('amounts')}) || "
        f"{spec}.?runtimeClassName.orValue('').contains('nvidia') || "
        f"{spec}.?volumes.orValue([])"
        f".exists(v, v.?hostPath.?path.orValue('').matches({text(GPU_FILES)})))"
    )


def _containers(spec: str) -> str:
    return f"({spec}.?containers.orValue([]) + {spec}.?initContainers.orValue([]))"


def _names_gpu(amounts: str) -> str:
    return f"{amounts}.orValue({{}}).exists(name, name.matches({text(GPU_NAMES)}))"


def is_ignored(of: str, rule: str) -> str:
    """Say whether the annotations of an object or pod template accept a rule, with a reason."""
    return f"{of}.?metadata.?annotations[?{text(ANNOTATION + rule)}].orValue('').trim() != ''"


def conditions() -> list[dict[str, str]]:
    """Return when an object is looked at at all, as ``matchConditions``.

    What a controller made is its owner's affair: its author reads no warnings, and to refuse the
    pods of what runs already would be an outage. An object that is being deleted must be able to
    lose its finalizers.
    """
    itself = f"{list(_KUBERNETES_ITSELF)}.exists(who, request.userInfo.username.startsWith(who))"
    owned = ".?metadata.?ownerReferences.orValue([]).exists(one, one.?controller.orValue(false))"
    return [
        {"name": "not-made-by-a-controller", "expression": f"!{_OBJECT}{owned}"},
        {
            "name": "not-being-deleted",
            "expression": f"!{_OBJECT}.?metadata.?deletionTimestamp.hasValue()",
        },
        {"name": "not-by-kubernetes-itself", "expression": f"!{itself}"},
    ]


def mentions_condition(places: Iterable[Places]) -> dict[str, str]:
    """Return the condition that some pod template has to do with GPUs."""
    spec = "one.spec"
    return {
        "name": "mentions-gpus",
        "expression": f"({templates(places)}).exists(one, has(one.spec) && {mentions_gpus(spec)})",
    }


def text(value: str) -> str:
    """Return a literal of CEL, with the backslashes of a pattern kept."""
    if "'" in value:
        raise ValueError(f"{value!r} has a quote, which no literal here needs")
    return f"r'{value}'" if "\\" in value else f"'{value}'"
