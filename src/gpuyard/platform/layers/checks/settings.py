"""What was configured so that it cannot work together: CDI and old pods, quotas on GKE."""

from collections.abc import Iterable, Iterator

from gpuyard.dialects import plain
from gpuyard.dialects.workloads import ContainerView, Workload, workload
from gpuyard.platform.layers import versions
from gpuyard.platform.layers.checks.check import Case, Check
from gpuyard.platform.layers.clouds import GKE
from gpuyard.platform.layers.facts import DAEMON_SET, DEPLOYMENT, Facts, Object
from gpuyard.platform.layers.installers import OWNERS, operator_version, operators
from gpuyard.platform.layers.words import Finding

CDI_BY_DEFAULT = (25, 10)  # the gpu-operator from which on
VISIBLE = "NVIDIA_VISIBLE_DEVICES"
NO_DEVICES = frozenset({"", "none", "void"})
CRITICAL = frozenset({"system-node-critical", "system-cluster-critical"})


def check_cdi(check: Check, case: Case) -> Iterator[Finding]:
    """Find pods that ask for GPUs by a variable, where CDI no longer hears it."""
    if not any(_is_cdi_on(case.facts, policy) for policy in case.policies):
        return
    for kind in (DAEMON_SET, DEPLOYMENT):
        for value in case.facts.of(kind):
            found = workload(value)
            if found is None or _is_operators_own(value):
                continue
            for container in _asking_by_variable(found):
                yield check.found(
                    "warning",
                    f"container {container.name} sees GPUs by {VISIBLE} and names no "
                    "runtimeClassName; with CDI the default runtime does not read that variable",
                    "set runtimeClassName: nvidia in its pod template",
                    on=found.title,
                )


def _is_cdi_on(facts: Facts, policy: Object) -> bool:
    """Tell whether CDI is what containers get by default; of an unknown version nothing is said."""
    version = versions.numbers(operator_version(facts, "gpu-operator"))
    written = plain.get(policy, "spec", "cdi", "enabled")
    if not version:
        return False
    if version < CDI_BY_DEFAULT:
        return written is True and plain.is_true(policy, "spec", "cdi", "default")
    if written is not None:
        return written is True
    return not any(  # an upgrade by OLM keeps what its ClusterPolicy did not say
        "olm.owner" in plain.texts(one, "metadata", "labels")
        for one in operators(facts, "gpu-operator")
    )


def _is_operators_own(value: Object) -> bool:
    return any(
        plain.text(owner, "kind") in OWNERS
        for _, owner in plain.mappings(value, "metadata", "ownerReferences")
    )


def _asking_by_variable(found: Workload) -> Iterator[ContainerView]:
    for pod in found.pods:
        if pod.spec.text("runtimeClassName"):
            continue
        for container in pod.containers:
            variable = container.env(VISIBLE)
            if variable is not None and not container.gpus and variable.value not in NO_DEVICES:
                yield container


def check_quota(check: Check, case: Case) -> Iterator[Finding]:
    """Find critical pods on GKE in namespaces without the quota that admits them."""
    facts = case.facts
    if not facts.sees("ResourceQuota") or not any(pool.cloud == GKE for pool in case.pools):
        return
    admitted = {
        plain.text(quota, "metadata", "namespace"): _admitted(quota)
        for quota in facts.of("ResourceQuota")
        if _admitted(quota)
    }
    for namespace, (name, title) in sorted(_critical(facts.of(DAEMON_SET)).items()):
        if namespace == "kube-system" or name in admitted.get(namespace, ()):
            continue
        yield check.found(
            "error",
            f"its pods have priority class {name}, and namespace {namespace} has no ResourceQuota "
            "that admits it: GKE creates none of them",
            f"create a ResourceQuota in {namespace} whose scopeSelector has PriorityClass In "
            f"[{', '.join(sorted(CRITICAL))}]",
            on=title,
        )


def _admitted(quota: Object) -> frozenset[str]:
    terms = plain.mappings(quota, "spec", "scopeSelector", "matchExpressions")
    return frozenset(
        value
        for _, term in terms
        if plain.text(term, "scopeName") == "PriorityClass"
        for _, value in plain.words(term, "values")
    )


def _critical(values: Iterable[Object]) -> dict[str, tuple[str, str]]:
    """Return the namespaces with critical DaemonSets: (priority class, one of them)."""
    found: dict[str, tuple[str, str]] = {}
    for value in values:
        name = plain.text(value, "spec", "template", "spec", "priorityClassName")
        namespace = plain.text(value, "metadata", "namespace")
        if name in CRITICAL and not namespace.startswith(("kube-", "gke-", "gmp-")):
            title = f"DaemonSet {namespace}/{plain.text(value, 'metadata', 'name')}"
            found.setdefault(namespace, (name, title))
    return found


CHECKS = (
    Check(
        id="CDI-VARIABLE",
        title="Pods that see GPUs by a variable name the runtime that reads it",
        source="GPU Operator documentation, Container Device Interface (CDI by default since "
        "v25.10.0); NVIDIA/gpu-operator v26.7.0, CDIConfigSpec",
        look=check_cdi,
    ),
    Check(
        id="GKE-QUOTA",
        title="GKE admits the layers' critical pods",
        source="GPU Operator documentation, Google GKE, ResourceQuota for system-node-critical; "
        "Kubernetes documentation, Limit Priority Class consumption",
        look=check_quota,
    ),
)
