"""Policies by name, and names that are not one."""

import msgspec
import pytest

from gpuyard.scheduling.passes.knobs import PassKnobs
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.presets import PLACEMENTS, PRESETS, UnknownPolicyError, placement, preset
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.rounds import TIRESIAS
from gpuyard.scheduling.scores import SCORES

ALL = (
    "best-fit, clustering, dot-product, fgd, gpuyard, kai, kube, kube-most-allocated, "
    "kueue, packing, random"
)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("fdg", f"unknown policy 'fdg'; did you mean 'fgd'? ({ALL})", id="near"),
        pytest.param("kub", f"unknown policy 'kub'; did you mean 'kube'? ({ALL})", id="shorter"),
        pytest.param("zzz", f"unknown policy 'zzz'; there are {ALL}", id="nothing near"),
        pytest.param("", f"unknown policy ''; there are {ALL}", id="empty"),
        pytest.param("FGD", f"unknown policy 'FGD'; there are {ALL}", id="names are lower case"),
    ],
)
def test_unknown(name, sentence):
    with pytest.raises(UnknownPolicyError) as caught:
        preset(name)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_known(name):
    policy = preset(name)
    assert isinstance(policy, Policy)
    scores = policy.placement.scores
    assert scores
    assert {term.name for term in scores} <= set(SCORES)
    assert all(term.weight > 0 for term in scores)
    assert placement(name) is policy.placement
    assert [one for one in PRESETS.values() if one == policy] == [policy]


@pytest.mark.parametrize(
    ("name", "queueing"),
    [
        pytest.param("kube", type(None), id="kube-scheduler knows no queues"),
        pytest.param("kueue", QueuePolicy, id="Kueue"),
        pytest.param("kai", PassKnobs, id="KAI"),
        pytest.param("gpuyard", QueuePolicy, id="ours"),
    ],
)
def test_how_those_who_wait_take_turns(name, queueing):
    assert type(preset(name).queueing) is queueing


@pytest.mark.parametrize("policy", [*PRESETS.values(), TIRESIAS])
def test_a_policy_is_data(policy):
    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy


@pytest.mark.parametrize(
    ("name", "scores", "devices"),
    [
        pytest.param("fgd", {"fgd": 1}, "fgd", id="FGD chooses its device itself"),
        pytest.param("best-fit", {"best-fit": 1}, "best-fit", id="best-fit"),
        pytest.param("dot-product", {"dot-product": 1}, "best-fit", id="dot product"),
        pytest.param("packing", {"packing": 1}, "best-fit", id="packing"),
        pytest.param("clustering", {"clustering": 1}, "best-fit", id="clustering"),
        pytest.param("random", {"random": 1}, "random", id="random in both"),
    ],
)
def test_the_policies_of_the_paper(name, scores, devices):
    policy = PLACEMENTS[name]
    assert {term.name: term.weight for term in policy.scores} == scores
    assert (policy.devices, policy.tie_break, policy.gangs) == (devices, "rank", "all-or-nothing")


def test_kube_is_the_default_profile():
    weights = {term.name: term.weight for term in PLACEMENTS["kube"].scores}
    assert weights == {
        "least-allocated": 1,
        "taint-toleration": 3,
        "node-affinity": 2,
        "topology-spread": 2,
        "inter-pod-affinity": 2,
        "balanced-allocation": 1,
    }
    assert (PLACEMENTS["kube"].tie_break, PLACEMENTS["kube"].gangs) == ("random", "pod-by-pod")
