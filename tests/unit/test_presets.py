"""Policies by name, and names that are not one."""

import pytest

from gpuyard.model.policy import Policy
from gpuyard.scheduling.presets import PRESETS, UnknownPolicyError, preset
from gpuyard.scheduling.scores import SCORES

ALL = (
    "best-fit, clustering, dot-product, fgd, gpuyard, kai, kube, kube-most-allocated, "
    "packing, random"
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
    assert policy.scores
    assert {term.name for term in policy.scores} <= set(SCORES)
    assert all(term.weight > 0 for term in policy.scores)
    assert len(set(PRESETS.values())) == len(PRESETS)


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
    policy = PRESETS[name]
    assert {term.name: term.weight for term in policy.scores} == scores
    assert (policy.devices, policy.tie_break, policy.gangs) == (devices, "rank", "all-or-nothing")


def test_kube_is_the_default_profile():
    weights = {term.name: term.weight for term in PRESETS["kube"].scores}
    assert weights == {
        "least-allocated": 1,
        "taint-toleration": 3,
        "node-affinity": 2,
        "topology-spread": 2,
        "inter-pod-affinity": 2,
        "balanced-allocation": 1,
    }
    assert (PRESETS["kube"].tie_break, PRESETS["kube"].gangs) == ("random", "pod-by-pod")
