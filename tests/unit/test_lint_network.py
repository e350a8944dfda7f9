"""Cards that no network brings into a pod."""

from tests.small_lint import asking, found, other, pod, table

CARD = {"nvidia.com/gpu": 1, "nvidia.com/hostdev": 1}
NAMED = {"nvidia.com/gpu": 1, "nvidia.com/rail0": 1}


def annotated(value, **annotations):
    return {**value, "metadata": {**value["metadata"], "annotations": annotations}}


def definition(resource):
    value = other("NetworkAttachmentDefinition", "k8s.cni.cncf.io/v1")
    return annotated(value, **{"k8s.v1.cni.cncf.io/resourceName": resource})


@table(
    "RDMA-UNATTACHED",
    (pod(asking(CARD)), 1, "no network"),
    (annotated(pod(asking(CARD)), **{"k8s.v1.cni.cncf.io/networks": "a"}), 0, "a network"),
    (annotated(pod(asking(CARD)), **{"v1.multus-cni.io/default-network": "a"}), 0, "its only one"),
    (pod(asking(CARD), hostNetwork=True), 0, "the node's network"),
    (pod(asking(NAMED)), 0, "a name that may mean anything"),
    ((pod(asking(NAMED)), definition("nvidia.com/rail0")), 1, "a name that a network knows"),
    (pod(asking({"nvidia.com/gpu": 1, "rdma/ib": 1})), 0, "a slot of a shared card"),
    (pod(asking({"nvidia.com/gpu": 1, "vpc.amazonaws.com/efa": 1})), 0, "EFA"),
)
def test_unattached(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected
