"""Which texts of a folder are complained about."""

import pytest

from gpuyard.lint import Text, read_texts

BROKEN = "a: {b\n"
OBJECT = "apiVersion: v1\nkind: Pod\n"
GPU = "x: nvidia.com/gpu\n"


@pytest.mark.parametrize(
    ("source", "content", "is_told"),
    [
        pytest.param("k8s/pod.yaml", OBJECT + GPU + BROKEN, True, id="an object with GPUs"),
        pytest.param("k8s/pod.yaml", OBJECT + BROKEN, False, id="an object without"),
        pytest.param("k8s/list.yaml", "- " + OBJECT + GPU + BROKEN, True, id="a list of objects"),
        pytest.param("report.yaml", "gpu_limit: .inf\n" + GPU + BROKEN, False, id="a report"),
        pytest.param("report.yaml", "of:\n  " + OBJECT + GPU + BROKEN, False, id="that quotes one"),
        pytest.param("helm/values-gpu.yaml", GPU + BROKEN, True, id="Helm values"),
        pytest.param(
            "k/kustomization.yaml", OBJECT + "namePrefix: gpu-lab\n" + BROKEN, False, id="a name"
        ),
        pytest.param("log.json", 'DLLL {"gpu": 8, "cuda": 13}\n', False, id="a log"),
        pytest.param("pod.json", '{"apiVersion": "v1", "gpu": 1', True, id="an object in JSON"),
    ],
)
def test_what_is_found_in_a_folder(source, content, is_told):
    given = read_texts([Text(source, content, is_named=False)])
    assert bool(given.problems) is is_told
    assert given.passed_over == ([] if is_told else [source])


@pytest.mark.parametrize("content", [BROKEN, OBJECT + BROKEN, 'DLLL {"gpu": 8}\n"'])
def test_what_was_named_is_complained_about(content):
    given = read_texts([Text("a.json", content)])
    assert given.problems
    assert given.passed_over == []
