"""Where rank 0 is found: names of pods need a headless Service.

A pod of an Indexed Job is called ``train-0``. Its name is in the DNS only if the pod has a
``subdomain`` and a headless Service of that name selects it: then ``train-0.train`` is an address.
A Service with an address of its own answers for itself and not for its pods. Names of pods that are
not ready are left out unless the Service publishes them, and a rank that waits for the others first
is not ready. A StatefulSet makes the next pod only when the last one is.

A JobSet makes all of this by itself and can be told not to.

That a Service is missing is never said: it may be in any other file.

Sources: Kubernetes documentation, DNS for Services and Pods (hostname and subdomain); Jobs;
k8s.io/api 1.37, core/v1 ServiceSpec; jobset v0.13, NetworkSpec; kubernetes #117819,
pytorch/torchx #541, lws #85, kuberay #2375.
"""

import re
from collections.abc import Iterator

from gpuyard.dialects.plain import Path
from gpuyard.dialects.workloads import ContainerView, PodView
from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.rules.launch.torchrun import JOINS, is_distributed, launches
from gpuyard.lint.rules.samples import TRAIN, changed, together
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

ADDRESSES = ("MASTER_ADDR", "PET_MASTER_ADDR", "PET_RDZV_ENDPOINT", "JAX_COORDINATOR_ADDRESS")
_HOST = re.compile(r"(?:[a-z]+://)?([A-Za-z0-9$(){}_-]+)((?:\.[A-Za-z0-9$(){}_-]+)*)(?::[0-9]+)?")


def check_subdomain(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find Jobs that look for a pod of theirs by a name that the DNS does not have."""
    if pod.workload.kind != "Job" or pod.spec.text("subdomain") or pod.spec.is_true("hostNetwork"):
        return
    first = f"{pod.workload.name}-0"
    for container in pod.containers:
        for written, path in _addresses(pod, container):
            match = _HOST.fullmatch(written)
            if match is None or match[1] != first or _is_service(match[2], pod.workload.namespace):
                continue
            if (pod.count or 0) > 1:
                yield Hit(
                    path,
                    f"container {container.name} looks for {written}, but the pods have no "
                    "subdomain and so no name in the DNS",
                    of="value",
                )
                return


def check_service(pod: PodView, world: World) -> Iterator[Hit]:
    """Find Services that are to name pods and cannot."""
    name = _service_name(pod)
    service = world.named("Service", name, world.entry(pod)) if name else None
    if service is None or not _looks_for_pods_of(name, pod):
        return
    if service.text("spec", "clusterIP") != "None":
        yield Hit(
            ("spec",),
            f"Service {service.name} is not headless, so that {pod.workload.title} has no names "
            "for its pods in the DNS",
            on=service,
            edits=(Set(("spec", "clusterIP"), "None"),),
        )


def check_not_ready(pod: PodView, world: World) -> Iterator[Hit]:
    """Find Services that hide pods which become ready only after they found each other."""
    name = _service_name(pod)
    service = world.named("Service", name, world.entry(pod)) if name else None
    if service is None or not is_distributed(pod) or not _waits_unready(pod):
        return
    if service.text("spec", "clusterIP") == "None" and not _publishes(service):
        yield Hit(
            ("spec",),
            f"Service {service.name} leaves out pods that are not ready, and those of "
            f"{pod.workload.title} are not until they found each other",
            on=service,
            edits=(Set(("spec", "publishNotReadyAddresses"), value=True),),
        )


def check_jobset(jobs: Entry, _world: World) -> Iterator[Hit]:
    """Find JobSets that were told to give their pods no names."""
    workload = jobs.workload
    if workload is None or not any(map(is_distributed, workload.gpu_pods)):
        return
    if jobs.get("spec", "network", "enableDNSHostnames") is False:
        yield Hit(
            ("spec", "network", "enableDNSHostnames"),
            f"the pods of JobSet {jobs.name} look for each other and have no names in the DNS",
        )


def check_ordered(pod: PodView, _world: World) -> Iterator[Hit]:
    """Find StatefulSets that make the next rank only when the last is ready."""
    workload = pod.workload
    if workload.kind != "StatefulSet" or (pod.count or 0) <= 1 or not is_distributed(pod):
        return
    if workload.text("spec", "podManagementPolicy") != "Parallel" and _waits_unready(pod):
        yield Hit(
            ("spec", "podManagementPolicy"),
            f"{count(pod.count or 0, 'rank')} are made one after the other, each when the last is "
            "ready",
        )


def _service_name(pod: PodView) -> str:
    """Return the name of the Service that is to name the pods, "" where none is."""
    if pod.workload.kind == "StatefulSet":
        return pod.workload.text("spec", "serviceName")
    return pod.spec.text("subdomain")


def _addresses(pod: PodView, container: ContainerView) -> Iterator[tuple[str, Path]]:
    for name in ADDRESSES:
        variable = container.env(name)
        if variable is not None and variable.value:
            yield variable.value, variable.path
    joined = container.flag(*JOINS)
    if joined is not None and joined.value:
        yield joined.value, joined.path
    for launch in launches(pod):
        if launch.container is container and launch.nodes != (1, 1):
            for name in ("master_addr", "rdzv_endpoint"):
                option = launch.option(name)
                if option is not None and option.value:
                    yield option.value, option.path


def _is_service(rest: str, namespace: str) -> bool:
    """Tell whether what follows a name makes it that of a Service: a namespace, ``ns.svc``."""
    parts = rest.split(".")[1:]
    return not parts or parts[1:2] == ["svc"] or parts in (["default"], [namespace])


def _looks_for_pods_of(service: str, pod: PodView) -> bool:
    matches = (
        _HOST.fullmatch(written)
        for container in pod.containers
        for written, _ in _addresses(pod, container)
    )
    return any(match and f"{match[2]}.".startswith(f".{service}.") for match in matches)


def _waits_unready(pod: PodView) -> bool:
    return any(one.get("readinessProbe") is not None for one in pod.containers)


def _publishes(service: Entry) -> bool:
    return service.is_true("spec", "publishNotReadyAddresses")


_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: train
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    job-name: train
"""
_PROBED = changed(
    TRAIN,
    "          resources:\n",
    "          readinessProbe:\n            tcpSocket: {port: 29500}\n          resources:\n",
)
_JOBSET = """\
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: train
  labels:
    kueue.x-k8s.io/queue-name: research
spec:
  network:
    enableDNSHostnames: true
  replicatedJobs:
    - name: node
      template:
        spec:
          parallelism: 2
          completions: 2
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              containers:
                - name: trainer
                  image: registry.example/trainer:1.4
                  env:
                    - name: MASTER_ADDR
                      value: train-node-0-0.train
                  resources:
                    limits:
                      nvidia.com/gpu: 1
"""
_SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: llm
spec:
  replicas: 2
  podManagementPolicy: Parallel
  serviceName: llm
  selector:
    matchLabels: {app: llm}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
        - name: server
          image: registry.example/server:2.1
          env:
            - name: MASTER_ADDR
              value: llm-0.llm
          readinessProbe:
            httpGet: {path: /health, port: 8000}
          resources:
            limits:
              nvidia.com/gpu: 1
"""

RULES = (
    Rule(
        id="LAUNCH-SUBDOMAIN",
        severity="error",
        title="The pods of a Job have the names they look for",
        why="The name of a pod is in the DNS only with a subdomain and a headless Service of that "
        "name. Without, no rank finds rank 0, and the rendezvous times out.",
        remedy="set subdomain in the pod template and make a headless Service of that name that "
        "selects the pods",
        source="Kubernetes documentation, Job with Pod-to-Pod Communication; DNS for Services and "
        "Pods",
        scope="pod",
        check=check_subdomain,
        failing=changed(
            changed(TRAIN, "      subdomain: train\n", ""),
            "- --master_addr=train-0.train",
            "- --master_addr=train-0.train # <- here",
        ),
        passing=TRAIN,
    ),
    Rule(
        id="LAUNCH-HEADLESS",
        severity="error",
        title="The Service that names the pods of a job is headless",
        why="A Service with an address of its own has one name, its own. Those of its pods are in "
        "the DNS only if clusterIP is None; without, no rank finds rank 0.",
        remedy="set clusterIP: None",
        source="Kubernetes documentation, DNS for Services and Pods; kubernetes #117819",
        scope="pod",
        check=check_service,
        has_fix=True,
        failing=together(
            changed(changed(_SERVICE, "  clusterIP: None\n", ""), "spec:\n", "spec: # <- here\n"),
            TRAIN,
        ),
        passing=together(_SERVICE, TRAIN),
    ),
    Rule(
        id="LAUNCH-NOT-READY",
        severity="warning",
        title="Ranks find each other before they are ready",
        why="A headless Service leaves pods out of the DNS until their readiness probe passes. A "
        "rank that waits for the others first is never ready, and is never found.",
        remedy="set publishNotReadyAddresses: true on the headless Service",
        source="k8s.io/api 1.37, core/v1 ServiceSpec.publishNotReadyAddresses; lws #85, "
        "kuberay #2375, pytorch/torchx #541",
        scope="pod",
        check=check_not_ready,
        has_fix=True,
        failing=together(
            changed(
                changed(_SERVICE, "  publishNotReadyAddresses: true\n", ""),
                "spec:\n",
                "spec: # <- here\n",
            ),
            _PROBED,
        ),
        passing=together(_SERVICE, _PROBED),
    ),
    Rule(
        id="LAUNCH-ORDERED",
        severity="warning",
        title="The ranks of a StatefulSet are made at once",
        why="By default a StatefulSet makes pod 1 when pod 0 is ready. A rank 0 that waits for the "
        "others before it answers its probe waits for ever.",
        remedy="set podManagementPolicy: Parallel",
        source="Kubernetes documentation, StatefulSets, Pod Management Policies",
        scope="pod",
        check=check_ordered,
        failing=changed(
            changed(_SET, "  podManagementPolicy: Parallel\n", ""),
            "spec:\n  replicas",
            "spec: # <- here\n  replicas",
        ),
        passing=_SET,
    ),
    Rule(
        id="LAUNCH-JOBSET-DNS",
        severity="warning",
        title="A JobSet whose pods look for each other gives them names",
        why="With enableDNSHostnames: false a JobSet makes no headless Service. Names such as "
        "train-node-0-0.train are then unknown, and no rank finds rank 0.",
        remedy="remove enableDNSHostnames: false",
        source="jobset v0.13, api/jobset/v1alpha2 Network",
        scope="object",
        kinds=("jobset.x-k8s.io/JobSet",),
        check=check_jobset,
        failing=changed(_JOBSET, "enableDNSHostnames: true", "enableDNSHostnames: false # <- here"),
        passing=_JOBSET,
    ),
)
