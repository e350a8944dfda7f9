"""Shares and MIG instances, beyond the examples of their rules."""

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
