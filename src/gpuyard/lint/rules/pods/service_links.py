"""A variable for every Service.

Each pod is told of every Service of its namespace by environment variables, seven or so for each
port, unless ``enableServiceLinks`` is false. With hundreds of Services a container starts slowly,
and beyond the kernel's limit not at all ("argument list too long"). Headless Services give none.
"""

from collections import defaultdict
from collections.abc import Iterator

from gpuyard.lint.rule import Hit, Rule, Set
from gpuyard.lint.wording import count
from gpuyard.lint.world import Entry, World

VARIABLES_MAX = 1000
OF_A_SERVICE = 2  # <NAME>_SERVICE_HOST, _SERVICE_PORT; _PORT is counted with the first port
OF_A_PORT = 5  # _PORT, _PORT_80_TCP, …_PROTO, …_PORT, …_ADDR


def check(world: World, _world: World) -> Iterator[Hit]:
    """Find workloads in namespaces with so many Services that their variables hurt."""
    given: dict[str, int] = defaultdict(int)
    for service in world.of_kind("Service"):
        if service.namespace or world.origin == "cluster":
            given[service.namespace] += _variables(service)
    if not any(number > VARIABLES_MAX for number in given.values()):
        return
    for entry in world.looked_at:
        number = given.get(entry.namespace, 0)
        if entry.workload is None or number <= VARIABLES_MAX or world.owner(entry) is not None:
            continue
        for pod in entry.workload.gpu_pods:
            if pod.spec.get("enableServiceLinks") is not False:
                path = pod.spec.at("enableServiceLinks")
                yield Hit(
                    path,
                    f"{count(number, 'environment variable')} of Services of the namespace go into "
                    "every container",
                    on=entry,
                    edits=(Set(path, False),),
                )


def _variables(service: Entry) -> int:
    if (
        service.text("spec", "clusterIP") == "None"
        or service.text("spec", "type") == "ExternalName"
    ):
        return 0
    return OF_A_SERVICE + OF_A_PORT * len(service.mappings("spec", "ports"))


_POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: trainer
  namespace: research
spec: {mark}
  containers:
    - name: trainer
      image: registry.example/trainer:1.4
      resources:
        limits:
          nvidia.com/gpu: 1
"""
_SERVICE = """\
---
apiVersion: v1
kind: Service
metadata:
  name: ports-{number}
  namespace: research
spec:
  clusterIP: 10.0.0.{number}
  ports:
"""
_PORT = """\
    - {{name: p{port}, port: {port}}}
"""
_SERVICES = "".join(
    _SERVICE.format(number=number) + "".join(_PORT.format(port=8000 + port) for port in range(20))
    for number in range(1, 11)
)

RULES = (
    Rule(
        id="SERVICE-LINKS",
        severity="warning",
        title="A pod is not handed a variable for every Service",
        why="In a namespace with many Services the environment of each process grows by thousands "
        "of variables. Starts slow down, and beyond the kernel's limit they fail with 'argument "
        "list too long'.",
        remedy="set enableServiceLinks: false in the PodSpec; names resolve by DNS all the same",
        source="k8s.io/api 1.37, PodSpec.enableServiceLinks; Kubernetes documentation, Service, "
        "Environment variables; aws/eks-node-monitoring-agent, LargeEnvironment",
        scope="world",
        check=check,
        has_fix=True,
        failing=_POD.format(mark="# <- here") + _SERVICES,
        passing=_POD.replace("spec: {mark}", "spec:\n  enableServiceLinks: false") + _SERVICES,
    ),
)
