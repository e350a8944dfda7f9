"""Shares and MIG instances, beyond the examples of their rules."""

import pytest

from gpuyard.lint.rules.sharing.too_big import ON_GKE
from gpuyard.model.catalogue import device_model
from tests.small_lint import asking, found, pod, table


@table(
    "GPU-SHARES",
    (pod(asking({"nvidia.com/gpu.shared": 2})), 1, "two shares"),
    (pod(asking({"nvidia.com/mig-1g.10gb.shared": 2})), 1, "of a MIG instance"),
    (pod(asking({"nvidia.com/gpu": 2})), 0, "whole GPUs"),
    (pod(asking({"volcano.sh/vgpu-number": 2})), 0, "vGPUs of another plugin"),
)
def test_shares(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "MIG-SEVERAL",
    (pod(asking({"nvidia.com/mig-1g.10gb": 2})), 1, "two of a kind"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 1, "nvidia.com/mig-2g.20gb": 1})), 1, "two kinds"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 1})), 0, "one"),
    (pod(asking({"amd.com/cpx_nps4": 2})), 0, "AMD's partitions are devices"),
)
def test_several_instances(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


@table(
    "MIG-PROFILE",
    (pod(asking({"nvidia.com/mig-1g.15gb": 1})), 1, "none has it"),
    (pod(asking({"nvidia.com/mig-1g.5gb": 1})), 0, "A100"),
    (pod(asking({"nvidia.com/mig-1g.5gb.me": 1})), 0, "with media engines"),
    (pod(asking({"nvidia.com/mig-1c.3g.20gb": 1})), 0, "a compute instance"),
    (pod(asking({"nvidia.com/mig-7g.180gb": 1})), 0, "B200"),
)
def test_profiles(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


VLLM = {"command": ["vllm", "serve", "/m"]}


@table(
    "MIG-SPREAD",
    (pod(asking({"nvidia.com/mig-1g.10gb": 2}, **VLLM, args=["-tp", "2"])), 1, "two"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 1}, **VLLM, args=["-tp", "2"])), 1, "two on one"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 1}, **VLLM, args=["-tp", "1"])), 0, "one"),
    (pod(asking({"nvidia.com/mig-1g.10gb": 1}, **VLLM)), 0, "nothing said"),
)
def test_spread_over_instances(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def served(model, product="NVIDIA-H100-80GB-HBM3", limits=None):
    container = asking(limits or {"nvidia.com/gpu": 1}, command=["vllm", "serve", model])
    return pod(container, nodeSelector={"nvidia.com/gpu.product": product})


@table(
    "GPU-TOO-BIG",
    (served("org/llama-1b"), 1, "one billion"),
    (served("org/Qwen2.5-0.5B-Instruct"), 1, "half a billion"),
    (served("org/llama-8b"), 0, "eight billion"),
    (served("org/mixtral-8x7b"), 0, "experts"),
    (served("org/qwen3-30b-a3b"), 0, "few of many at a time"),
    (served("org/llama"), 0, "the name does not say"),
    (served("org/llama-1b", product="NVIDIA-L4"), 0, "a GPU that cannot be cut"),
    (served("org/llama-1b", product="something"), 0, "an unknown GPU"),
    (served("org/llama-1b", limits={"nvidia.com/mig-1g.10gb": 1}), 0, "cut already"),
    (
        pod(
            asking({"nvidia.com/gpu": 1}, command=["vllm", "serve", "org/llama-1b"]),
            nodeSelector={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
        ),
        1,
        "by GKE's label",
    ),
    (
        pod(asking({"nvidia.com/gpu": 1}, command=["vllm", "serve", "org/llama-1b"])),
        0,
        "on any GPU",
    ),
)
def test_small_models(rule, objects, expected):
    assert len(found(*objects, rule=rule)) == expected


def test_a_smaller_slice_is_named():
    (finding,) = found(served("org/llama-1b"), rule="GPU-TOO-BIG")
    assert "1g.10gb would do" in finding.message


@pytest.mark.parametrize("name", sorted(ON_GKE))
def test_accelerators_of_gke_can_be_cut(name):
    assert device_model(ON_GKE[name]).mig_profiles
