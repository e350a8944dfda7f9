"""A refusal is numbers; its sentence is Kueue's, word by word."""

import pytest

from gpuyard.scheduling.topology import Exclusions, LayerRoom, Refusal, sentence

WORKERS = {"pod_sets": ("workers",), "topology": "yard"}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        pytest.param(
            Refusal(code="no-room", needed=4, have=0, **WORKERS),
            'topology "yard" doesn\'t allow to fit any of 4 pod(s)',
            id="nothing fits",
        ),
        pytest.param(
            Refusal(code="no-room", needed=4, have=3, **WORKERS),
            'topology "yard" allows to fit only 3 out of 4 pod(s)',
            id="not enough pods fit",
        ),
        pytest.param(
            Refusal(code="no-room", needed=4, have=3, in_slices=True, **WORKERS),
            'topology "yard" allows to fit only 3 out of 4 slice(s)',
            id="not enough slices fit",
        ),
        pytest.param(
            Refusal(
                code="no-room-for-layers",
                layers=(LayerRoom("rack", 1, 2), LayerRoom("host", 3, 4)),
                excluded=Exclusions(leaves=9, topology_domain=2),
                **WORKERS,
            ),
            'topology "yard" doesn\'t allow to fit; 1/2 slice(s) fit on level rack; '
            "3/4 slice(s) fit on level host. Total nodes: 9; excluded: topologyDomain: 2",
            id="layer by layer",
        ),
        pytest.param(
            Refusal(code="no-way-down", needed=5, **WORKERS),
            'topology "yard" has room for 5 pod(s), but not in the parts of its domains',
            id="not in its parts",
        ),
        pytest.param(
            Refusal(code="no-domains", level="rack", **WORKERS),
            "no topology domains at level: rack",
            id="no domains",
        ),
        pytest.param(
            Refusal(code="no-replacement", domain="n1", **WORKERS),
            "cannot find replacement assignment for unhealthy node: n1",
            id="no replacement",
        ),
    ],
)
def test_sentence(refusal, expected):
    assert sentence(refusal) == expected


def test_exclusions_are_told_in_the_order_of_their_text_without_zeros():
    excluded = Exclusions(
        leaves=30,
        node_selector=1,
        affinity=2,
        topology_domain=3,
        taints=(("a=b:NoSchedule", 4),),
        resources=(("cpu", 5), ("nvidia.com/gpu", 0)),
        others=(("DeviceModel", 6),),
    )
    assert excluded.reasons() == [
        "DeviceModel: 6",
        "affinity: 2",
        "nodeSelector: 1",
        'resource "cpu": 5',
        'taint "a=b:NoSchedule": 4',
        "topologyDomain: 3",
    ]


def test_without_exclusions_nothing_is_said_of_the_nodes():
    refusal = Refusal(code="no-room", needed=1, excluded=Exclusions(leaves=3), **WORKERS)
    assert "Total nodes" not in sentence(refusal)
