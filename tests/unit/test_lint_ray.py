"""What Ray is told of GPUs, beyond the two examples."""

from tests.small_lint import asking, found, other, pod, table

FOUR = pod(asking({"nvidia.com/gpu": 4}))["spec"]
NONE = pod({})["spec"]


def cluster(said, spec=FOUR, **group):
    parameters = {} if said is None else {"num-gpus": said}
    worker = {"groupName": "w", "rayStartParams": parameters, "template": {"spec": spec}}
    return other("RayCluster", "ray.io/v1", spec={"workerGroupSpecs": [{**worker, **group}]})


@table(
    "RAY-GPUS-MISSING",
    (cluster("8"), 1, "eight of four"),
    (cluster("4"), 0, "four of four"),
    (cluster(None), 0, "KubeRay fills it in"),
    (cluster("1", spec=NONE), 0, "a number, in a cluster without GPUs"),
    (cluster("1", spec=pod(asking({}, image="a/ray:2.50-gpu"))["spec"]), 1, "one of none"),
    (cluster("8", resources={"GPU": "4"}), 0, "overruled by the group"),
    (cluster("many"), 0, "no number"),
    (cluster("8", spec={**FOUR, "resourceClaims": [{"name": "g"}]}), 0, "claims beside"),
)
def test_more_than_there_are(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "RAY-GPUS-HIDDEN",
    (cluster("2"), 1, "two of four"),
    (cluster("0"), 1, "none of four"),
    (cluster("0", spec=NONE), 0, "none of none"),
    (cluster("0", spec=pod(asking({"google.com/tpu": 4}))["spec"]), 0, "TPUs are no GPUs to Ray"),
    (cluster("4"), 0, "all"),
)
def test_fewer_than_there_are(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected
