"""The GPU catalogue: names, look-up, and MIG geometry that is possible in itself."""

from itertools import pairwise

import pytest

from gpuyard.model.catalogue import MODELS, UnknownDeviceModel, device_model

GIB = 2**30
WITH_MIG = [model for model in MODELS if model.mig_profiles]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        pytest.param("T4", "T4", id="short name"),
        pytest.param("h100", "H100", id="any case"),
        pytest.param("NVIDIA-H100-80GB-HBM3", "H100", id="product label"),
        pytest.param("NVIDIA-H100-NVL", "H100-NVL", id="product label of another board"),
        pytest.param("A100", "A100-80", id="bare A100 is the 80 GB one"),
        pytest.param("A100-40GB", "A100-40", id="size spelled out"),
        pytest.param("V100M32", "V100M32", id="name in the trace"),
        pytest.param("Tesla-V100-SXM2-32GB", "V100M32", id="product label of a trace model"),
        pytest.param("AMD_Instinct_MI300X_OAM", "MI300X", id="AMD's product label"),
    ],
)
def test_look_up(asked, name):
    assert device_model(asked).name == name


@pytest.mark.parametrize("name", ["G2", "G3", "T4", "P100", "V100M16", "V100M32", "A10"])
def test_every_model_of_the_trace_is_known(name):
    assert device_model(name).name == name


@pytest.mark.parametrize("name", ["G2", "G3"])
def test_nothing_is_invented_about_anonymised_models(name):
    model = device_model(name)
    assert (model.vendor, model.memory_bytes, model.nvlink) == ("unknown", None, None)
    assert model.mig_profiles == ()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        pytest.param("H10O", "did you mean H100", id="letter for digit"),
        pytest.param("L40", "did you mean L40S", id="missing letter"),
        pytest.param("V100", "did you mean V100M16 or V100M32?", id="two that begin so"),
        pytest.param("toaster", "unknown GPU model 'toaster' (known: G2,", id="nothing near"),
        pytest.param("", "unknown GPU model '' (known: G2,", id="empty"),
    ],
)
def test_unknown_model_is_one_sentence_with_the_way_out(asked, sentence):
    with pytest.raises(UnknownDeviceModel) as caught:
        device_model(asked)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"unknown GPU model {asked!r}")


def test_unknown_model_is_a_key_error_that_says_what_was_asked():
    with pytest.raises(KeyError) as caught:
        device_model("B20")
    assert caught.value.name == "B20"
    assert caught.value.suggestions[0] == "B200"


def test_no_name_means_two_models():
    names = [alias.casefold() for model in MODELS for alias in (model.name, *model.aliases)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("name", "memory_gib", "nvlink"),
    [
        pytest.param("T4", 16, False, id="T4"),
        pytest.param("V100M16", 16, None, id="V100 boards with and without NVLink share a name"),
        pytest.param("P100", None, None, id="P100 was sold in two sizes"),
        pytest.param("L4", 24, False, id="L4"),
        pytest.param("A30", 24, True, id="A30 with a bridge"),
        pytest.param("A100-40", 40, True, id="A100 40 GB"),
        pytest.param("L40S", 48, False, id="L40S"),
        pytest.param("H100", 80, True, id="H100 SXM"),
        pytest.param("H100-NVL", 94, True, id="H100 NVL"),
        pytest.param("H200", 141, True, id="H200"),
        pytest.param("B200", 180, True, id="B200"),
        pytest.param("MI300X", 192, False, id="MI300X"),
    ],
)
def test_memory_and_nvlink(name, memory_gib, nvlink):
    model = device_model(name)
    assert model.memory_bytes == (None if memory_gib is None else memory_gib * GIB)
    assert model.nvlink is nvlink


@pytest.mark.parametrize(
    ("model", "profile", "starts", "memory_slices", "compute_slices", "max_count"),
    [
        pytest.param("A100-40", "1g.5gb", (0, 1, 2, 3, 4, 5, 6), 1, 1, 7, id="smallest"),
        pytest.param("A100-40", "1g.5gb+me", (0, 1, 2, 3, 4, 5, 6), 1, 1, 1, id="media: only one"),
        pytest.param("A100-80", "1g.20gb", (0, 2, 4, 6), 2, 1, 4, id="double memory"),
        pytest.param("H100", "2g.20gb", (0, 2, 4), 2, 2, 3, id="two slices"),
        pytest.param("H100", "3g.40gb", (0, 4), 4, 3, 2, id="three slices take four of memory"),
        pytest.param("H200", "4g.71gb", (0,), 4, 4, 1, id="four slices start at zero only"),
        pytest.param("B200", "7g.180gb", (0,), 8, 7, 1, id="the whole GPU"),
        pytest.param("A30", "2g.12gb", (0, 2), 2, 2, 2, id="half an A30"),
        pytest.param("A30", "4g.24gb", (0,), 4, 4, 1, id="a whole A30"),
    ],
)
def test_profile(model, profile, starts, memory_slices, compute_slices, max_count):
    found = device_model(model).mig_profile(profile)
    assert found is not None
    assert found.starts == starts
    assert (found.memory_slices, found.compute_slices) == (memory_slices, compute_slices)
    assert found.max_count == max_count


def test_profile_of_another_model_is_none():
    assert device_model("A100-80").mig_profile("1g.5gb") is None
    assert device_model("T4").mig_profile("1g.5gb") is None


@pytest.mark.parametrize(
    ("name", "memory_slices", "compute_slices"),
    [
        pytest.param("H100", 8, 7, id="seven-slice class"),
        pytest.param("A30", 4, 4, id="four-slice class"),
        pytest.param("L4", 0, 0, id="no MIG"),
    ],
)
def test_slices_of_the_whole_gpu(name, memory_slices, compute_slices):
    model = device_model(name)
    assert model.mig_memory_slices == memory_slices
    assert model.mig_compute_slices == compute_slices


@pytest.mark.parametrize("model", WITH_MIG, ids=lambda model: model.name)
def test_geometry_is_possible(model):
    assert len({profile.name for profile in model.mig_profiles}) == len(model.mig_profiles)
    for profile in model.mig_profiles:
        assert profile.starts[-1] + profile.memory_slices <= model.mig_memory_slices
        assert all(b - a >= profile.memory_slices for a, b in pairwise(profile.starts))
        assert profile.max_count == (1 if profile.media else len(profile.starts))
        assert profile.max_count * profile.compute_slices <= model.mig_compute_slices
        assert profile.name.startswith(f"{profile.compute_slices}g.")


@pytest.mark.parametrize("model", WITH_MIG, ids=lambda model: model.name)
def test_memory_fits_its_name_and_its_gpu(model):
    for profile in model.mig_profiles:
        named_gib = int(profile.name.partition(".")[2].partition("gb")[0])
        assert profile.memory_gib is None or named_gib * 0.85 < profile.memory_gib <= named_gib
        assert named_gib * GIB <= model.memory_bytes
