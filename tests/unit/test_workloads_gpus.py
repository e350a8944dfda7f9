"""Which resources are GPUs, how many a pod asks for, and what its claims add."""

import pytest

from gpuyard.dialects.workloads import gpu_resource, workload


@pytest.mark.parametrize(
    ("name", "vendor", "sharing", "profile"),
    [
        ("nvidia.com/gpu", "nvidia", "whole", ""),
        ("nvidia.com/pgpu", "nvidia", "whole", ""),
        ("nvidia.com/gpu.shared", "nvidia", "share", ""),
        ("nvidia.com/mig-1g.10gb", "nvidia", "partition", "1g.10gb"),
        ("nvidia.com/mig-1g.10gb.me", "nvidia", "partition", "1g.10gb.me"),
        ("nvidia.com/mig-1c.3g.40gb", "nvidia", "partition", "1c.3g.40gb"),
        ("nvidia.com/mig-1g.10gb.shared", "nvidia", "share", "1g.10gb"),
        ("nvidia.com/vgpu", "nvidia", "share", ""),
        ("nvidia.com/gpumem", "nvidia", "part", ""),
        ("nvidia.com/gpumem-percentage", "nvidia", "part", ""),
        ("nvidia.com/gpucores", "nvidia", "part", ""),
        ("volcano.sh/vgpu-number", "nvidia", "share", ""),
        ("volcano.sh/vgpu-memory", "nvidia", "part", ""),
        ("volcano.sh/vgpu-cores", "nvidia", "part", ""),
        ("amd.com/gpu", "amd", "whole", ""),
        ("amd.com/cpx_nps4", "amd", "partition", "cpx_nps4"),
        ("gpu.intel.com/i915", "intel", "whole", ""),
        ("gpu.intel.com/xe", "intel", "whole", ""),
        ("habana.ai/gaudi", "intel", "whole", ""),
        ("google.com/tpu", "google", "whole", ""),
        ("aws.amazon.com/neuron", "aws", "whole", ""),
        ("aws.amazon.com/neuroncore", "aws", "partition", ""),
    ],
)
def test_gpu_resource(name, vendor, sharing, profile):
    found = gpu_resource(name)
    assert (found.name, found.vendor, found.sharing, found.profile) == (
        *(name, vendor, sharing, profile),
    )


@pytest.mark.parametrize(
    "name",
    [
        *["cpu", "memory", "gpu", "nvidia.com", "nvidia.com/hostdev", "nvidia.com/mig", "rdma/ib"],
        *[
            "nvidia.com/mig-1g",
            "requests.nvidia.com/gpu",
            "vpc.amazonaws.com/efa",
            "x/nvidia.com/gpu",
        ],
        *["gpu.intel.com/i915_monitoring", "example.com/gpu", "amd.com/nic", "NVIDIA.com/gpu", ""],
    ],
)
def test_what_is_no_gpu(name):
    assert gpu_resource(name) is None


def limits(**amounts):
    return {"resources": {"limits": {"nvidia.com/gpu": amounts["gpu"]}}}


def pod(spec, claims=None):
    found = workload({"apiVersion": "v1", "kind": "Pod", "spec": spec}, claims=claims)
    return found.pods[0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"containers": [limits(gpu=2)]}, 2, id="one container"),
        pytest.param({"containers": [limits(gpu=2), limits(gpu="1")]}, 3, id="containers add up"),
        pytest.param(
            {"initContainers": [limits(gpu=4)], "containers": [limits(gpu=1)]},
            4,
            id="of init containers the largest counts",
        ),
        pytest.param(
            {
                "initContainers": [{"restartPolicy": "Always", **limits(gpu=1)}, limits(gpu=2)],
                "containers": [limits(gpu=1)],
            },
            3,
            id="a sidecar stays beside the init containers behind it",
        ),
        pytest.param(
            {"containers": [{"resources": {"requests": {"nvidia.com/gpu": 2}}}]},
            2,
            id="only requested",
        ),
        pytest.param({"containers": [{"resources": {"limits": {"cpu": 2}}}]}, 0, id="none"),
        pytest.param({"containers": [limits(gpu=0)]}, 0, id="zero"),
        pytest.param({"containers": [limits(gpu="1.5"), limits(gpu="x")]}, 0, id="no whole number"),
        pytest.param({"containers": [limits(gpu=-1), limits(gpu=True)]}, 0, id="nonsense"),
        pytest.param({"containers": [limits(gpu="1k")]}, 1000, id="a quantity"),
        pytest.param({"containers": [limits(gpu=2.0)]}, 2, id="a float"),
        pytest.param({"containers": "x", "initContainers": {}}, 0, id="no containers at all"),
    ],
)
def test_gpus_of_a_pod(spec, expected):
    found = pod(spec)
    assert found.gpus == found.whole_gpus == found.gpus_known == expected


def test_devices_of_every_kind_are_told_apart():
    wanted = {
        "nvidia.com/gpu": 1,
        "nvidia.com/mig-1g.10gb": "2",
        "nvidia.com/gpu.shared": 3,
        "nvidia.com/gpumem": 4000,
        "cpu": 8,
    }
    found = pod({"containers": [{"name": "c", "resources": {"limits": wanted}}]})
    assert found.devices == {
        "nvidia.com/gpu": 1,
        "nvidia.com/mig-1g.10gb": 2,
        "nvidia.com/gpu.shared": 3,
    }
    assert (found.gpus, found.whole_gpus) == (6, 1)
    assert [(ask.resource.name, ask.count, ask.written) for ask in found.gpu_asks] == [
        ("nvidia.com/gpu", 1, 1),
        ("nvidia.com/mig-1g.10gb", 2, "2"),
        ("nvidia.com/gpu.shared", 3, 3),
        ("nvidia.com/gpumem", 0, 4000),
    ]
    assert found.containers[0].gpus == 6


def test_an_ask_names_its_place_and_keeps_what_is_written():
    asked = {
        "limits": {"nvidia.com/gpu": "0.5"},
        "requests": {"nvidia.com/gpu": 1, "amd.com/gpu": 2},
    }
    found = pod({"containers": [{"name": "c", "resources": asked}]})
    place = ("spec", "containers", 0, "resources")
    assert [(ask.path, ask.written, ask.container) for ask in found.gpu_asks] == [
        ((*place, "limits", "nvidia.com/gpu"), "0.5", "c"),
        ((*place, "requests", "amd.com/gpu"), 2, "c"),
    ]
    assert found.asks_gpus


# --- Claims ------------------------------------------------------------------------------------


def template(*requests):
    return {"spec": {"spec": {"devices": {"requests": list(requests)}}}}


def given(objects):
    """Return the lookup that knows `objects` by kind and name."""
    return lambda kind, name: objects.get((kind, name))


def exactly(name, **more):
    return {"name": "r", "exactly": {"deviceClassName": name, **more}}


@pytest.mark.parametrize(
    ("requests", "gpus", "is_gpu"),
    [
        pytest.param([exactly("gpu.nvidia.com")], 1, True, id="one by default"),
        pytest.param([exactly("gpu.nvidia.com", count=4)], 4, True, id="a count"),
        pytest.param(
            [exactly("mig.nvidia.com", count=2), exactly("gpu.amd.com")], 3, True, id="sum"
        ),
        pytest.param(
            [{"name": "r", "deviceClassName": "gpu.nvidia.com", "count": 2}],
            2,
            True,
            id="v1beta1 without exactly",
        ),
        pytest.param(
            [exactly("gpu.nvidia.com", allocationMode="All")], None, True, id="all of a node"
        ),
        pytest.param([exactly("gpu.nvidia.com", adminAccess=True)], 0, True, id="only to look at"),
        pytest.param([exactly("gpu.nvidia.com", count="x")], None, True, id="no number"),
        pytest.param([exactly("dra.net")], 0, False, id="network cards"),
        pytest.param([exactly("compute-domain-daemon.nvidia.com")], 0, False, id="a channel"),
        pytest.param([exactly("our-gpu-pool")], None, False, id="a class of the cluster's own"),
        pytest.param([exactly("")], None, False, id="no class"),
        pytest.param(
            [
                {
                    "firstAvailable": [
                        {"name": "a", "deviceClassName": "gpu.nvidia.com", "count": 2},
                        {"name": "b", "deviceClassName": "mig.nvidia.com", "count": 2},
                    ]
                }
            ],
            2,
            True,
            id="alternatives of one number",
        ),
        pytest.param(
            [
                {
                    "firstAvailable": [
                        {"name": "a", "deviceClassName": "gpu.nvidia.com"},
                        {"name": "b", "deviceClassName": "mig.nvidia.com", "count": 2},
                    ]
                }
            ],
            None,
            True,
            id="alternatives that differ",
        ),
        pytest.param([], 0, False, id="nothing"),
    ],
)
def test_gpus_of_a_claim(requests, gpus, is_gpu):
    spec = {"containers": [{}], "resourceClaims": [{"name": "c", "resourceClaimTemplateName": "t"}]}
    found = pod(spec, claims=given({("ResourceClaimTemplate", "t"): template(*requests)}))
    (claim,) = found.claims
    assert (claim.gpus, claim.is_gpu, claim.is_known) == (gpus, is_gpu, True)
    assert (found.gpus, found.gpus_known, found.asks_gpus) == (gpus or 0, gpus, is_gpu)


def test_a_claim_whose_object_is_not_given_is_not_counted_as_nothing():
    spec = {
        "containers": [{"resources": {"claims": [{"name": "c"}], **limits(gpu=1)["resources"]}}],
        "resourceClaims": [{"name": "c", "resourceClaimName": "x"}],
    }
    found = pod(spec)
    (claim,) = found.claims
    assert (claim.kind, claim.object_name, claim.is_known) == ("ResourceClaim", "x", False)
    assert (claim.gpus, claim.path) == (None, ("spec", "resourceClaims", 0))
    assert (found.gpus, found.gpus_known, found.workload.gpus_total) == (1, None, None)
    assert found.containers[0].claims == ("c",)


def test_a_claim_that_exists_already_is_read_one_level_higher():
    one = {"spec": {"devices": {"requests": [exactly("gpu.nvidia.com", count=2)]}}}
    spec = {"containers": [{}], "resourceClaims": [{"name": "c", "resourceClaimName": "x"}]}
    found = pod(spec, claims=given({("ResourceClaim", "x"): one}))
    assert (found.gpus, found.claims[0].classes, found.claims[0].requests) == (
        *(2, ("gpu.nvidia.com",), ("r",)),
    )


@pytest.mark.parametrize(
    "claims", [None, "x", [3], [{}], [{"name": "c"}], [{"resourceClaimName": ["x"]}]]
)
def test_entries_that_name_no_claim_are_not_looked_up(claims):
    def fail(kind, name):
        raise AssertionError((kind, name))

    found = pod({"containers": [], "resourceClaims": claims}, claims=fail)
    assert [claim.is_known for claim in found.claims] in ([], [False])


def test_whole_workloads_that_ask_for_gpus():
    plain = {"template": {"spec": {"containers": [{}]}}}
    asks = {"template": {"spec": {"containers": [limits(gpu=1)]}}}
    found = workload(
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "spec": {"tfReplicaSpecs": {"PS": plain, "Worker": asks}},
        }
    )
    assert found.asks_gpus
    assert [pod.role for pod in found.gpu_pods] == ["Worker"]
    assert found.gpus_total == 1
