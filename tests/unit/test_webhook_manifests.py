"""What is printed for a cluster: it fails open, asks little, and what runs there may do nothing."""

import base64

import pytest

from gpuyard.cli.documents import as_json, as_yaml
from gpuyard.dialects.documents import read
from gpuyard.lint import Text, check
from gpuyard.web.admission.app import PATHS
from gpuyard.web.admission.manifests import NAMESPACE, Wanted, manifests

INSIDE = Wanted(authority_pem=b"CA", image="registry.example/gpuyard:1", pair_pem=(b"CERT", b"KEY"))
OUTSIDE = Wanted(authority_pem=b"CA", url="https://10.0.0.1:8443/")


def of_kind(kind, wanted=INSIDE):
    return [one for one in manifests(wanted) if one["kind"] == kind]


def webhooks(wanted=INSIDE):
    return [
        (configuration["metadata"]["name"], webhook)
        for configuration in of_kind("ValidatingWebhookConfiguration", wanted)
        for webhook in configuration["webhooks"]
    ]


@pytest.mark.parametrize("wanted", [INSIDE, OUTSIDE], ids=["inside", "outside"])
def test_every_webhook_fails_open_and_soon(wanted):
    for _, webhook in webhooks(wanted):
        assert webhook["failurePolicy"] == "Ignore"
        assert webhook["timeoutSeconds"] <= 2
        assert webhook["sideEffects"] == "None"
        assert base64.b64decode(webhook["clientConfig"]["caBundle"]) == b"CA"
        operations = {each for rule in webhook["rules"] for each in rule["operations"]}
        assert operations == {"CREATE", "UPDATE"}


def test_the_label_of_a_namespace_chooses_the_path():
    chosen = {
        (name, webhook["name"].partition(".")[0]): (
            webhook["clientConfig"]["service"]["path"],
            webhook["namespaceSelector"]["matchExpressions"][-1],
        )
        for name, webhook in webhooks()
        if "completed" not in webhook["name"]
    }
    label = "gpuyard.io/lint"
    assert chosen == {
        ("gpuyard-lint", "warn"): (
            "/admit",
            {"key": label, "operator": "NotIn", "values": ["off", "audit", "enforce"]},
        ),
        ("gpuyard-lint", "audit"): (
            "/audit",
            {"key": label, "operator": "In", "values": ["audit"]},
        ),
        ("gpuyard-lint-enforce", "enforce"): (
            "/enforce",
            {"key": label, "operator": "In", "values": ["enforce"]},
        ),
    }


def test_nobody_asks_about_kubernetes_itself_or_about_us():
    for _, webhook in webhooks():
        names = webhook["namespaceSelector"]["matchExpressions"][0]
        assert (names["key"], names["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        assert {"kube-system", NAMESPACE} <= set(names["values"])


def test_what_has_no_namespace_is_asked_about_once():
    cluster_wide = [
        webhook["name"]
        for _, webhook in webhooks()
        for rule in webhook["rules"]
        if rule["scope"] != "Namespaced"
    ]
    assert cluster_wide == ["warn-completed.lint.gpuyard.io"]


def test_outside_of_the_cluster_only_the_configurations_are_made():
    assert {one["kind"] for one in manifests(OUTSIDE)} == {"ValidatingWebhookConfiguration"}
    urls = {webhook["clientConfig"]["url"] for _, webhook in webhooks(OUTSIDE)}
    assert urls == {f"https://10.0.0.1:8443{path}" for path in PATHS.values()}


def test_what_runs_may_do_nothing():
    (deployment,) = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == "registry.example/gpuyard:1"
    kinds = {one["kind"] for one in manifests(INSIDE)}
    assert not {kind for kind in kinds if "Role" in kind}


def test_names_fit_together():
    (deployment,), (service,), (secret,) = map(of_kind, ("Deployment", "Service", "Secret"))
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    (port,) = template["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert f"--listen=:{port['containerPort']}" in template["spec"]["containers"][0]["args"]
    (mounted,) = template["spec"]["volumes"]
    assert mounted["secret"]["secretName"] == secret["metadata"]["name"]
    assert {key: base64.b64decode(one) for key, one in secret["data"].items()} == {
        "tls.crt": b"CERT",
        "tls.key": b"KEY",
    }
    called = webhooks()[0][1]["clientConfig"]["service"]
    assert called["name"] == service["metadata"]["name"]
    assert called["port"] == service["spec"]["ports"][0]["port"]


def test_settings_are_mounted_where_they_are_read():
    wanted = Wanted(authority_pem=b"CA", image="i", settings="lint: {}\n")
    (config,) = of_kind("ConfigMap", wanted)
    (deployment,) = of_kind("Deployment", wanted)
    pod = deployment["spec"]["template"]["spec"]
    (file,) = config["data"]
    assert f"--config=/etc/gpuyard/config/{file}" in pod["containers"][0]["args"]
    assert [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]] == [
        "/etc/gpuyard/tls",
        "/etc/gpuyard/config",
    ]
    assert of_kind("Secret", wanted) == []  # somebody else makes it


@pytest.mark.parametrize("written", [as_yaml, as_json])
def test_what_is_printed_reads_back_as_the_same(written):
    documents, problems = read(written(manifests(INSIDE)), "printed")
    assert problems == []
    assert [document.value for document in documents] == manifests(INSIDE)
    assert check([Text("printed", written(manifests(INSIDE)))]) == []
