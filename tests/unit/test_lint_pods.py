"""What a pod says beside its resources: whom the rules leave alone, and what else they find."""

from tests.small_lint import asking, deployment, env, found, job, other, pod, table

GPU = {"nvidia.com/gpu": 1}


def with_spec(value, **fields):
    return {**value, "spec": {**value["spec"], **fields}}


def ray(group=None, **template):
    worker = {"groupName": "w", "template": {"spec": pod(asking(GPU))["spec"], **template}}
    return other(
        "RayCluster", "ray.io/v1", spec={"workerGroupSpecs": [{**worker, **(group or {})}]}
    )


def volcano(**fields):
    task = {"name": "t", "replicas": 1, "template": {"spec": pod(asking(GPU))["spec"]}}
    return other("Job", "batch.volcano.sh/v1alpha1", spec={"tasks": [task], **fields})


SELECTOR = {"nodeSelector": {"a": "b"}}


@table(
    "POD-LEVEL",
    (with_spec(deployment(asking(GPU)), **SELECTOR), 1, "beside the template"),
    (ray(SELECTOR), 1, "in a worker group"),
    (ray(None, tolerations=[{"operator": "Exists"}]), 1, "beside the spec of a template"),
    (pod(asking(GPU, **SELECTOR)), 1, "in a container"),
    (pod(asking(GPU), **SELECTOR), 0, "in the PodSpec"),
    (with_spec(deployment(asking(GPU)), nodeSelector=None), 0, "nothing there"),
    (volcano(priorityClassName="high", schedulerName="volcano"), 0, "Volcano's own"),
    (volcano(**SELECTOR), 1, "not Volcano's"),
    (
        other(
            "InferenceService",
            "serving.kserve.io/v1beta1",
            spec={"predictor": {"containers": [asking(GPU, name="c")], **SELECTOR}},
        ),
        0,
        "a predictor of KServe is a PodSpec",
    ),
)
def test_levels(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def services(ports, count=1, *, namespace="team", **spec):
    return tuple(
        other(
            "Service",
            name=f"s{number}",
            namespace=namespace,
            spec={"ports": [{"port": port} for port in range(1, ports + 1)], **spec},
        )
        for number in range(count)
    )


@table(
    "SERVICE-LINKS",
    ((pod(asking(GPU)), *services(100, 2)), 1, "1,004 variables"),
    ((pod(asking(GPU)), *services(100, 1)), 0, "502 variables"),
    ((pod(asking(GPU)), *services(100, 2, clusterIP="None")), 0, "headless"),
    ((pod(asking(GPU), enableServiceLinks=False), *services(100, 2)), 0, "switched off"),
    ((pod({}), *services(100, 2)), 0, "no GPU"),
    ((pod(asking(GPU)), *services(100, 2, namespace=None)), 0, "of any namespaces"),
)
def test_service_links(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def namespace(**labels):
    return other("Namespace", name="team", namespace=None, labels=labels)


INJECTED = namespace(**{"istio-injection": "enabled"})
REVISED = namespace(**{"istio.io/rev": "1-27"})


def labelled(value, **labels):
    template = value["spec"]["template"]
    spec = {**value["spec"], "template": {**template, "metadata": {"labels": labels}}}
    return {**value, "spec": spec}


OUT = {"sidecar.istio.io/inject": "false"}
IN = {"sidecar.istio.io/inject": "true"}


@table(
    "JOB-MESH",
    ((job(asking(GPU)), INJECTED), 1, "in a namespace with injection"),
    ((job(asking(GPU)), REVISED), 1, "by revision"),
    ((labelled(job(asking(GPU)), **OUT), INJECTED), 0, "opts out"),
    (labelled(job(asking(GPU)), **IN), 1, "opts in"),
    ((job(asking(GPU)), namespace()), 0, "no injection"),
    (job(asking(GPU)), 0, "nothing known of the namespace"),
    ((deployment(asking(GPU)), INJECTED), 0, "a server may be in the mesh"),
)
def test_mesh(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def policy(selector=None, ingress=None, name="p", **spec):
    rules = {} if ingress is None else {"ingress": ingress}
    return other(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        name=name,
        spec={"podSelector": selector or {}, **rules, **spec},
    )


SAME = {"podSelector": {"matchLabels": {"app": "a"}}}


@table(
    "NETPOL-RANKS",
    ((job(asking(GPU), count=2), policy()), 1, "nobody is let in"),
    ((job(asking(GPU), count=1), policy()), 0, "one pod"),
    ((job(asking(GPU), count=2), policy(ingress=[{"from": [SAME]}])), 0, "its own"),
    ((job(asking(GPU), count=2), policy(ingress=[{}])), 0, "everybody"),
    (
        (job(asking(GPU), count=2), policy(ingress=[{"from": [SAME], "ports": [{"port": 1}]}])),
        1,
        "its own, at one port",
    ),
    (
        (job(asking(GPU), count=2), policy(), policy(ingress=[{"from": [SAME]}], name="q")),
        0,
        "another policy lets them in",
    ),
    (
        (
            job(asking(GPU), count=2),
            policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"job-name": "a"}}}]}]),
        ),
        0,
        "by a label that a controller adds",
    ),
    (
        (
            job(asking(GPU), count=2),
            policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]),
        ),
        1,
        "others",
    ),
    (
        (job(asking(GPU), count=2), policy(ingress=[{"from": [{"namespaceSelector": {}}]}])),
        0,
        "by namespace",
    ),
    ((job(asking(GPU), count=2), policy(policyTypes=["Egress"])), 0, "about what goes out"),
    ((job(asking(GPU), count=2, hostNetwork=True), policy()), 0, "on the node's network"),
)
def test_network_policies(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def script(text, **more):
    return asking(GPU, command=["sh", "-c", text], **more)


@table(
    "POD-MEMLOCK",
    (pod(script("ulimit -l unlimited; train")), 1, "locked memory"),
    (pod(script("ulimit -Hl unlimited; train")), 1, "its hard limit"),
    (pod(script("ulimit -n 65536; train")), 0, "open files"),
    (pod(script("ulimit -l unlimited", securityContext={"privileged": True})), 0, "privileged"),
    (
        pod(
            script(
                "ulimit -l unlimited",
                securityContext={"capabilities": {"add": ["SYS_RESOURCE"]}},
            )
        ),
        0,
        "with the right to",
    ),
)
def test_locked_memory(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


DEFAULT = other(
    "PriorityClass", "scheduling.k8s.io/v1", namespace=None, value=1, globalDefault=True
)


@table(
    "GPU-NO-PRIORITY",
    (pod(asking(GPU)), 1, "none"),
    (pod(asking(GPU), priorityClassName="high"), 0, "a class"),
    (pod(asking(GPU), priority=0), 0, "a number, as the API server writes it"),
    ((pod(asking(GPU)), DEFAULT), 0, "the cluster's default"),
    (volcano(), 0, "Volcano orders its jobs itself"),
    (
        {
            **job(asking(GPU)),
            "metadata": {"name": "a", "labels": {"kueue.x-k8s.io/queue-name": "q"}},
        },
        0,
        "in a queue",
    ),
)
def test_priority(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "GPU-IMAGE-TAG",
    (pod(asking(GPU, image="a/b:latest")), 1, "latest"),
    (pod(asking(GPU, image="a/b")), 1, "no tag"),
    (pod(asking(GPU, image="registry.example:5000/a/b")), 1, "a port is no tag"),
    (pod(asking(GPU, image="a/b:1.0")), 0, "a version"),
    (pod(asking(GPU, image="a/b@sha256:00")), 0, "a digest"),
    (pod(asking(GPU, image="$IMAGE")), 0, "filled in"),
    (pod(asking(GPU)), 0, "none at all"),
    (pod(asking(GPU, image="a/b:1"), {"image": "c:latest"}), 0, "a container without GPU"),
)
def test_tags(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


REAL = "hf_" + "aB3" * 11


@table(
    "POD-TOKEN",
    (pod(asking(GPU, **env("HF_TOKEN", REAL))), 1, "a token"),
    (pod(asking(GPU, **env("HUGGING_FACE_HUB_TOKEN", REAL))), 1, "under its old name"),
    (pod(asking(GPU, **env("HF_TOKEN", "<your-token>"))), 0, "a placeholder"),
    (pod(asking(GPU, **env("HF_TOKEN", "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxx"))), 0, "crossed out"),
    (pod(asking(GPU, **env("HF_TOKEN", "$(TOKEN)"))), 0, "a variable"),
    (pod(asking(GPU, **env("HF_TOKEN", ""))), 0, "empty"),
    (pod(asking(GPU, **env("MODEL", REAL))), 0, "something else"),
)
def test_tokens(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def two_groups(first, second, resource="nvidia.com/gpu"):
    return other(
        "PyTorchJob",
        "kubeflow.org/v1",
        spec={
            "pytorchReplicaSpecs": {
                "Master": {"template": {"spec": pod(asking(GPU), tolerations=first)["spec"]}},
                "Worker": {
                    "template": {"spec": pod(asking({resource: 1}), tolerations=second)["spec"]}
                },
            }
        },
    )


TAINT = {"key": "nvidia.com/gpu", "operator": "Exists"}


@table(
    "POD-TOLERATIONS",
    (two_groups([TAINT], []), 1, "the master only"),
    (two_groups([], [TAINT]), 1, "the workers only"),
    (two_groups([TAINT], [TAINT]), 0, "both"),
    (two_groups([], []), 0, "neither"),
    (two_groups([TAINT], [{"operator": "Exists"}]), 0, "everything"),
    (two_groups([{"key": "team"}], []), 0, "another taint"),
    (two_groups([TAINT], [], resource="amd.com/gpu"), 0, "other GPUs"),
)
def test_tolerations(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected
