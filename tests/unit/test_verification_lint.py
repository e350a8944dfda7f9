"""The review of manifests that others wrote: what it counts, and when it says no."""

import json
import re

import pytest

from verification import lint

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: train}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: trainer
          image: registry.example/trainer:1.4
          resources: {limits: {nvidia.com/gpu: 4}}
"""
PLAIN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "yard" / "deep").mkdir(parents=True)
    (tmp_path / "yard" / "deep" / "train.yaml").write_text(f"{JOB}---\n{PLAIN}")
    (tmp_path / "yard" / "broken.yaml").write_text("a: {b\n")
    (tmp_path / "yard" / "gone.yaml").symlink_to("nowhere")
    return tmp_path / "yard"


def test_what_is_counted(folder, capsys):
    assert lint.main([str(folder), "-o", "json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    told = {name: one[name] for name in ("folder", "files", "objects", "gpu_workloads")}
    assert told == {"folder": "yard", "files": 2, "objects": 2, "gpu_workloads": 1}
    assert (one["passed_over"], len(one["unreadable"])) == (1, 1)
    assert [(error["file"], error["rule"]) for error in one["errors"]] == [
        ("deep/train.yaml", "GPU-SHM")
    ]
    assert one["by_rule"]["GPU-SHM"] == 1
    assert sum(one["by_severity"].values()) == sum(one["by_file"].values())


def test_what_is_printed(folder, capsys):
    assert lint.main([str(folder)]) == 0
    text = capsys.readouterr().out
    assert "yard: 2 files, 2 objects, 1 GPU workload" in text
    assert "deep/train.yaml:11:11  GPU-SHM  Job train" in text
    assert text.splitlines()[-1].startswith("together: 2 files, 2 objects, 1 GPU workload, 1 error")


def test_an_error_in_a_file_without_gpus_is_a_miss(folder, capsys, monkeypatch):
    monkeypatch.setattr(lint, "ABOUT_GPUS", re.compile("x{9}"))
    assert lint.main([str(folder)]) == 1
    assert "MISSED: an error in deep/train.yaml" in capsys.readouterr().out


def test_a_folder_without_manifests_is_refused(tmp_path, capsys):
    assert lint.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("verification.lint: ")
