"""Fleets in one line."""

import pytest

from gpuyard.traces.fleet import (
    DEMO_FLEET,
    DEMO_SHARED_POOLS,
    SERVERS,
    FleetError,
    parse_fleet,
    pools_of,
)


def test_groups_become_nodes_in_their_order():
    nodes = parse_fleet("2x8xH100+1x4xA100")
    assert [(node.name, node.rank, node.pool, len(node.devices)) for node in nodes] == [
        ("h100-000", 0, "h100", 8),
        ("h100-001", 1, "h100", 8),
        ("a100-000", 2, "a100", 4),
    ]
    assert dict(nodes[2].labels) == {
        "kubernetes.io/hostname": "a100-000",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "topology.kubernetes.io/zone": "zone-2",
    }


def test_a_node_with_fewer_gpus_has_its_share_of_a_server():
    whole, half = (parse_fleet(f"1x{gpus}xH100")[0].allocatable for gpus in (8, 4))
    assert whole.get("cpu") == 224_000 == 2 * half.get("cpu")
    assert whole.get("memory") == 2048 * 2**30 == 2 * half.get("memory")


@pytest.mark.parametrize(
    ("line", "model"),
    [
        pytest.param("1x8xh100", "H100", id="case does not matter"),
        pytest.param("1x8xA100", "A100", id="a name of the catalogue stays"),
        pytest.param("1x8xA100-40", "A100-40", id="a name with a dash"),
        pytest.param(" 1x8xMI300X ", "MI300X", id="blanks around, x inside"),
        pytest.param("1x1xG2", "G2", id="a model without a product label"),
        pytest.param("1x4xGB200", "GB200", id="a model without a server of its own"),
    ],
)
def test_models(line, model):
    (node,) = parse_fleet(line)
    assert {device.model for device in node.devices} == {model}


def test_one_pool_numbers_its_nodes_through():
    names = [node.name for node in parse_fleet("1x8xL4+1x4xL4")]
    assert names == ["l4-000", "l4-001"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("", "write NODESxGPUSxMODEL", id="empty"),
        pytest.param("4x8", "group '4x8'", id="no model"),
        pytest.param("4x8xH100+", "group ''", id="trailing plus"),
        pytest.param("-4x8xH100", "write NODESxGPUSxMODEL", id="negative"),
        pytest.param("0x8xH100", "at least 1 node", id="no nodes"),
        pytest.param("1x0xH100", "1 to 64 GPUs", id="no GPUs"),
        pytest.param("1x65xH100", "1 to 64 GPUs", id="too many GPUs"),
        pytest.param("100001x8xH100", "more than 100000 nodes", id="too many nodes"),
        pytest.param("1x8xH1000", "did you mean H100", id="unknown model"),
    ],
)
def test_a_bad_fleet_is_one_sentence(line, words):
    with pytest.raises(FleetError) as error:
        parse_fleet(line)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_demo_fleet():
    assert len(DEMO_FLEET) == 64
    assert sum(len(node.devices) for node in DEMO_FLEET) == 512
    pools = pools_of(DEMO_FLEET, DEMO_SHARED_POOLS)
    assert [(pool.name, pool.sharing) for pool in pools] == [
        ("h100", "exclusive"),
        ("a100", "exclusive"),
        ("l4", "time-slicing"),
    ]


@pytest.mark.parametrize("model", SERVERS)
def test_each_server_can_be_asked_for(model):
    (node,) = parse_fleet(f"1x1x{model}")
    assert node.allocatable.get("cpu") > 0
    assert node.allocatable.get("memory") > 0
