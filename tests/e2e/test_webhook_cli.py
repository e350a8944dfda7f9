"""``gpuyard webhook`` as an administrator meets it: printed manifests, wrong use, and its end."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import msgspec
import pytest
import yaml

from tests.admission_reviews import RULE, UID, review, without_shm
from tests.program import run

IMAGE = "registry.example/gpuyard:1"
PROGRAM = (sys.executable, "-m", "gpuyard", "webhook")


def test_manifests_are_printed_whole(tmp_path):
    done = run("webhook", "--print-manifests", "--image", IMAGE, cwd=tmp_path)
    assert done.returncode == 0
    assert "the certificate ends on 20" in done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert kinds == [
        "Namespace",
        "ServiceAccount",
        "Secret",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
        "ValidatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    ]


def test_manifests_for_another_namespace_authority_and_settings(tmp_path):
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "mine.yaml").write_text(f"lint:\n  severities:\n    {RULE}: warning\n")
    more = ("--namespace", "lint", "--ca", "ca.crt", "--config", "mine.yaml", "-o", "json")
    done = run("webhook", "--print-manifests", "--image", IMAGE, *more, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    items = json.loads(done.stdout)["items"]
    by_kind = {one["kind"]: one for one in items}
    assert "Secret" not in by_kind
    assert by_kind["ConfigMap"]["data"]["gpuyard.yaml"] == (tmp_path / "mine.yaml").read_text()
    inside = [one for one in items if "Webhook" not in one["kind"] and one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in inside} == {"lint"}


def test_policies_are_printed(tmp_path):
    done = run("webhook", "--policies", "--to", "policies.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    made = list(yaml.safe_load_all((tmp_path / "policies.yaml").read_text()))
    assert {one["apiVersion"] for one in made} == {"admissionregistration.k8s.io/v1"}
    assert "gpuyard-gpu-shm" in {one["metadata"]["name"] for one in made}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        pytest.param(["--print-manifests"], "name the container image with --image", id="no image"),
        pytest.param(
            ["--print-manifests", "--policies"], "ask one by one", id="two answers at once"
        ),
        pytest.param(["--image", IMAGE], "say what --print-manifests is", id="a loose option"),
        pytest.param(["--cert", "a"], "--cert and --key are two halves", id="half a pair"),
        pytest.param(
            ["--print-manifests", "--url", "https://10.0.0.1"],
            "needs the --ca that proves it",
            id="an address without an authority",
        ),
        pytest.param(
            ["--print-manifests", "--image", IMAGE, "--ca", "no.pem"],
            "no.pem holds no PEM certificate",
            id="an authority that is none",
        ),
        pytest.param(
            ["--print-manifests", "--image", IMAGE, "--ca", "gone.pem"],
            "gone.pem: No such file or directory",
            id="an authority that is not there",
        ),
        pytest.param(["--config", "no.pem"], "no.pem:1:1", id="settings that are none"),
        pytest.param(
            ["--cert", "no.pem", "--key", "no.pem"],
            "they are not a PEM certificate and an unencrypted PEM key",
            id="a certificate that is none",
        ),
        pytest.param(
            ["--listen", "8443"], "'8443' is no address; write HOST:PORT", id="no address"
        ),
        pytest.param(["--listen", ":65536"], "is no address", id="no port"),
        pytest.param(["--listen", "nowhere.invalid:1"], "listening on nowhere", id="no host"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, args, sentence):
    (tmp_path / "no.pem").write_text("just a text\n")
    done = run("webhook", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("gpuyard: ")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("webhook", "--listen", address, cwd=tmp_path)
    assert done.returncode == 2
    assert f"listening on {address}: Address already in use" in done.stderr


@contextmanager
def ended(process):
    """End a process that a failed test leaves behind: it would be waited for without end."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_it_serves_with_a_certificate_of_its_own_until_it_is_told_to_stop(tmp_path, number):
    process = subprocess.Popen(
        [*PROGRAM, "--listen", "127.0.0.1:0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, ended(process):
        line = msgspec.json.decode(process.stderr.readline())
        authority = ""
        while "END CERTIFICATE" not in authority:
            authority += process.stdout.readline()
        context = ssl.create_default_context(cadata=authority)
        request = urllib.request.Request(
            f"https://{line['address']}/enforce", data=msgspec.json.encode(review(without_shm()))
        )
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            response = msgspec.json.decode(answer.read())["response"]
        assert (response["uid"], response["allowed"]) == (UID, False)
        process.send_signal(number)
        said = [msgspec.json.decode(one) for one in process.stderr]
        assert process.wait(30) == 0
    events = [one["event"] for one in said]
    assert events == ["refused", *(["stopping"] if number == signal.SIGTERM else []), "stopped"]
