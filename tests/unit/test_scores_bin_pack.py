"""The scores of the ``kai`` preset, by hand: bin-pack, spread, shared device, CPU-only node."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.policy import WeightedScore
from gpuyard.scheduling.presets import PLACEMENTS
from gpuyard.scheduling.scores import SCORES, bin_pack
from tests.small_fleet import node, placer_of, snapshot_of, template

HALF = template(1000, 1, milli=500)
QUARTER = template(1000, 1, milli=250)
WHOLE = template(1000, 1)
CPU_ONLY = template(1000)
MIG = template(1000, amounts=(("nvidia.com/mig-1g.10gb", 1),))


def score(name, asked, *nodes, pods=()):
    snapshot = snapshot_of(*nodes, pods=pods)
    term = WeightedScore(name=name)
    rule, shape = SCORES[name], snapshot.shape(asked)
    if not rule.concerns(snapshot, shape, term):
        return None
    raw = rule.raw(snapshot, shape, term, np.arange(len(nodes)), np.random.default_rng(0))
    return (rule.normalise(raw) if rule.normalise else raw).tolist()


@pytest.mark.parametrize(
    ("asked", "nodes", "pods", "expected"),
    [
        pytest.param(
            WHOLE,
            [node("a", gpus="AAAA"), node("b", gpus="AA"), node("c", gpus="AAA")],
            [],
            [0, 100, 50],
            id="the fewest free devices in absolute numbers",
        ),
        pytest.param(
            WHOLE,
            [node("a", gpus="AAAA"), node("b", gpus="AA")],
            [("a", HALF, (0,)), ("a", HALF, (1,)), ("a", WHOLE, (2,))],
            [100, 0],
            id="a shared device is not a free one",
        ),
        pytest.param(
            WHOLE, [node("a", gpus="AA"), node("b", gpus="AA")], [], [100, 100], id="all alike"
        ),
        pytest.param(
            CPU_ONLY,
            [node("a", 4000, "A"), node("b", 2000, "AAAA")],
            [],
            [0, 100],
            id="who asks for no device is packed by CPU",
        ),
    ],
)
def test_bin_pack(asked, nodes, pods, expected):
    assert score("bin-pack", asked, *nodes, pods=pods) == expected


def test_bin_pack_of_no_nodes():
    assert bin_pack.fewest_free(np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(WHOLE, [50, 100], id="the part of the devices that is free"),
        pytest.param(CPU_ONLY, [75, 100], id="the part of the CPU that is free"),
    ],
)
def test_spread(asked, expected):
    nodes = [node("a", 4000, "AA"), node("b", 1000, "A")]
    assert score("spread", asked, *nodes, pods=[("a", WHOLE, (0,))]) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(HALF, [0, 100, 0, 0], id="where a shared one has room"),
        pytest.param(QUARTER, [100, 100, 0, 0], id="a quarter finds room beside three"),
        pytest.param(WHOLE, None, id="does not concern whole devices"),
        pytest.param(CPU_ONLY, None, id="nor pods without any"),
    ],
)
def test_shared_device(asked, expected):
    nodes = [node(name, gpus="AA") for name in "abcd"]
    pods = [
        ("a", template(1000, 1, milli=750), (0,)),
        ("b", HALF, (1,)),
        ("c", WHOLE, (0,)),
    ]
    assert score("shared-device", asked, *nodes, pods=pods) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(CPU_ONLY, [0, 100, 0], id="away from devices and from instances"),
        pytest.param(WHOLE, None, id="does not concern who asks for a device"),
        pytest.param(MIG, None, id="nor who asks for an instance"),
    ],
)
def test_cpu_only_node(asked, expected):
    mig = node("c", amounts=(("nvidia.com/mig-1g.10gb", 7),))
    assert score("cpu-only-node", asked, node("a", gpus="A"), node("b"), mig) == expected


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        pytest.param(HALF, "shared", id="a share goes to a shared device, past a fuller node"),
        pytest.param(WHOLE, "full", id="a whole device comes from the fullest node"),
        pytest.param(CPU_ONLY, "plain", id="no device: away from devices, past a fuller node"),
    ],
)
def test_the_preset_in_order(asked, where):
    nodes = [
        node("empty", 8000, "AAAA"),
        node("full", 6000, "A"),
        node("plain", 9000),
        node("shared", 8000, "AAA"),
    ]
    placer = placer_of(snapshot_of(*nodes, pods=[("shared", HALF, (0,))]), "kai")
    assert placer.policy is PLACEMENTS["kai"]
    assert placer.place("new", asked).node == where


def test_a_bonus_outweighs_scores_and_only_where_the_pod_fits():
    placer = placer_of(
        snapshot_of(node("a", gpus="A"), node("b", gpus="AA"), node("c", 100, "A")), "kai"
    )
    shape = placer.snapshot.shape(WHOLE)
    assert placer.choose(shape).slot == 0
    assert placer.choose(shape, bonus=np.array([0, 1000, 9000])).slot == 1
    within = np.array([True, False, True])
    assert placer.choose(shape, within, np.array([0, 1000, 9000])).slot == 0


def test_distributed_takes_the_emptiest_devices():
    snapshot = snapshot_of(node("a", gpus="AAA"), pods=[("a", HALF, (0,))])
    packs = placer_of(snapshot, "kai")
    assert packs.choose(snapshot.shape(QUARTER)).devices == (0,)
    policy = msgspec.structs.replace(PLACEMENTS["kai"], devices="distributed")
    spreads = type(packs)(snapshot, policy, np.random.default_rng(0))
    assert spreads.choose(snapshot.shape(QUARTER)).devices == (1,)
