"""Rules about NCCL's variables, held to the exceptions that their examples do not show."""

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint import examine
from gpuyard.lint.rules.nccl import debugging, names

EXAMPLES = {rule.id: rule for module in (debugging, names) for rule in module.RULES}


def messages(rule, text):
    """Return what one rule says of a text."""
    documents, _ = read(text, "a.yaml")
    return [one.message for one in examine(documents).findings if one.rule == rule]


def edited(text, old, new):
    """Return an example with a place changed that is there."""
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        pytest.param(
            "NCCL-DEBUGGING", "NCCL_P2P_LEVEL", "NCCL_DEBUG_SUBSYS", id="logging is no debugging"
        ),
        pytest.param(
            "NCCL-DEBUGGING", "NCCL_P2P_LEVEL", "NCCL_CUMEM_HOST_ENABLE", id="the guide advises it"
        ),
        pytest.param("NCCL-RDMA-OFF", 'value: "1"', 'value: "0"', id="not off"),
        pytest.param("NCCL-RDMA-OFF", "rdma/hca_shared_devices_a", "example.com/x", id="no NIC"),
        pytest.param(
            "NCCL-RDMA-OFF",
            "      env:\n",
            "      env:\n        - {name: NCCL_NET_PLUGIN, value: libnccl-net.so}\n",
            id="a plugin takes the place of IB verbs",
        ),
        pytest.param(
            "NCCL-RDMA-OFF", "rdma/hca_shared_devices_a", "vpc.amazonaws.com/efa", id="EFA has one"
        ),
        pytest.param("NCCL-INTERFACE", "value: ens5", "value: eth", id="the beginning of a name"),
        pytest.param("NCCL-INTERFACE", "value: ens5", 'value: "=eth0"', id="exactly"),
        pytest.param("NCCL-INTERFACE", "value: ens5", 'value: "^docker,lo"', id="what not to use"),
        pytest.param("NCCL-INTERFACE", "value: ens5", "value: ens5,eth0", id="one of a list"),
        pytest.param("NCCL-INTERFACE", "value: ens5", "value: $(IFNAME)", id="a variable"),
        pytest.param(
            "NCCL-INTERFACE",
            "      subdomain:",
            "      hostNetwork: true\n      subdomain:",
            id="the host's interfaces",
        ),
        pytest.param(
            "NCCL-INTERFACE",
            "    spec:\n      subdomain",
            "    metadata: {annotations: {k8s.v1.cni.cncf.io/networks: rail@ens5}}\n"
            "    spec:\n      subdomain",
            id="a second network of that name",
        ),
        pytest.param(
            "NCCL-INTERFACE",
            "    spec:\n      subdomain",
            "    metadata: {annotations: {k8s.amazonaws.com/nicConfig: multi-nic-attachment}}\n"
            "    spec:\n      subdomain",
            id="an annotation that may bring interfaces",
        ),
        pytest.param(
            "NCCL-INTERFACE",
            "    spec:\n      subdomain",
            "    metadata:\n      annotations:\n        networking.gke.io/interfaces: |\n"
            '          [{"interfaceName": "ens5", "network": "rdma-0"}]\n'
            "    spec:\n      subdomain",
            id="an interface of GKE",
        ),
        pytest.param(
            "NCCL-INTERFACE",
            "nvidia.com/gpu: 8",
            "nvidia.com/gpu: 8\n              cloud.example/eni: 1",
            id="a resource that may bring interfaces",
        ),
        pytest.param(
            "NCCL-HCA-PREFIX", "mlx5_0,mlx5_1", "mlx5_0,mlx5_2", id="no node has twenty adapters"
        ),
        pytest.param("NCCL-HCA-PREFIX", "mlx5_0,mlx5_1", "mlx5", id="all adapters"),
        pytest.param("NCCL-HCA-PREFIX", "mlx5_0,mlx5_1", "mlx5_1,mlx5_10", id="both are meant"),
        pytest.param("NCCL-HCA-PREFIX", "mlx5_0,mlx5_1", "=mlx5_1", id="exactly"),
        pytest.param(
            "NCCL-GID-INDEX",
            "  containers:",
            "  hostNetwork: true\n  containers:",
            id="the host's table does not change",
        ),
        pytest.param("NCCL-GID-INDEX", 'value: "3"', "value: $(GID)", id="found at the start"),
    ],
)
def test_an_exception_is_left_alone(rule, old, new):
    text = EXAMPLES[rule].failing
    assert messages(rule, text)
    assert messages(rule, edited(text, old, new)) == []


def test_one_process_looks_for_no_interface():
    text = edited(EXAMPLES["NCCL-INTERFACE"].failing, "parallelism: 2", "parallelism: 1")
    assert messages("NCCL-INTERFACE", text)
    text = edited(text, "nvidia.com/gpu: 8", "nvidia.com/gpu: 1")
    assert messages("NCCL-INTERFACE", text) == []


def test_an_exclusion_stays_one():
    text = edited(EXAMPLES["NCCL-HCA-PREFIX"].failing, "mlx5_0,mlx5_1", "^mlx5_1:1")
    (found,) = [one for one in examine(read(text, "a").documents).findings if "HCA" in one.rule]
    assert found.remedy == "write NCCL_IB_HCA=^=mlx5_1:1"


def test_many_variables_are_counted_and_some_are_named():
    env = "".join(
        f"        - {{name: NCCL_{name}, value: '1'}}\n"
        for name in ("P2P_DISABLE", "SHM_DISABLE", "ALGO", "PROTO", "BUFFSIZE", "NTHREADS")
    )
    text = edited(EXAMPLES["NCCL-DEBUGGING"].passing, "      env:\n", f"      env:\n{env}")
    (message,) = messages("NCCL-DEBUGGING", text)
    assert "6 variables" in message
    assert message.endswith("NCCL_ALGO, NCCL_PROTO and 2 more")


def test_what_a_cloud_recommends_is_left_alone_there():
    text = edited(EXAMPLES["NCCL-DEBUGGING"].failing, "NCCL_P2P_LEVEL", "NCCL_BUFFSIZE")
    assert messages("NCCL-DEBUGGING", text)
    selector = "  nodeSelector: {cloud.google.com/gke-spot: 'true'}\n  containers:"
    assert messages("NCCL-DEBUGGING", edited(text, "  containers:", selector)) == []
