"""Helm values of the gpu-operator: which documents hold some, and what is wrong with them."""

import textwrap

import pytest

from gpuyard.dialects.documents import read
from gpuyard.lint import examine
from gpuyard.lint.rules.helm import keys
from gpuyard.lint.rules.helm.keys import KEYS, VERSIONS


def findings(*texts, only=("HELM",)):
    """Return (rule, line, message) for texts, each with its file name."""
    documents, problems = [], []
    for source, text in texts:
        given = read(textwrap.dedent(text), source)
        documents += given.documents
        problems += given.problems
    return [
        (one.rule, one.line, one.message)
        for one in examine(documents, problems).findings
        if one.rule.startswith(only)
    ]


def rules(*texts, only=("HELM",)):
    return [rule for rule, _, _ in findings(*texts, only=only)]


def values(text, version="v25.3.4"):
    return ("values.yaml", f"# gpuyard:chart gpu-operator {version}\n{textwrap.dedent(text)}")


# -- the table


def test_versions_are_in_order():
    assert list(VERSIONS) == sorted(set(VERSIONS))
    written = {keys.text(one) for one in VERSIONS}
    assert written >= {"v23.9.2", "v24.6.2", "v24.9.2", "v25.3.4", "v25.10.1", "v26.3.3", "v26.7.0"}


def test_each_key_is_known_to_some_version_and_none_is_also_a_mapping_of_keys():
    for path, key in KEYS.items():
        assert key.since in VERSIONS
        assert key.until in VERSIONS
        assert key.since <= key.until
        assert not any(other != path and other[: len(path)] == path for other in KEYS)


@pytest.mark.parametrize(
    ("dotted", "version", "known"),
    [
        ("driver.kernelModuleType", (24, 9, 2), False),
        ("driver.kernelModuleType", (25, 3, 0), True),
        ("driver.useOpenKernelModules", (24, 9, 2), True),
        ("driver.useOpenKernelModules", (25, 3, 0), False),
        ("cdi.default", (26, 3, 3), True),
        ("cdi.nriPluginEnabled", (25, 10, 1), False),
        ("gpuCluster.deployCR", (26, 7, 0), True),
        ("psp.enabled", (24, 3, 0), False),
        ("gdrcopy.enabled", (23, 9, 2), False),
    ],
)
def test_when_a_key_is_known(dotted, version, known):
    assert KEYS[tuple(dotted.split("."))].is_known(version) is known


# -- whose values are the operator's, and of which version

PARENT = "apiVersion: v2\nname: gpu\nversion: 1.0.0\n"
KUSTOMIZED = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
DEAD = "driver: {enabled: true, gone: 1}\ntoolkit: {enabled: true}\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([("values.yaml", DEAD)], ["HELM-DEAD-KEY"], id="by keys"),
        pytest.param([("a.yaml", "driver: {gone: 1}\n")], [], id="one common key tells nothing"),
        pytest.param(
            [("a.yaml", DEAD + "server: 1\nclient: 2\nui: 3\n")], [], id="most keys are others'"
        ),
        pytest.param(
            [("a.yaml", "# gpuyard:chart nvidia/gpu-operator v25.3.4\ndriver: {gone: 1}\n")],
            ["HELM-DEAD-KEY"],
            id="a comment says it",
        ),
        pytest.param(
            [("a.yaml", "# gpuyard:chart network-operator\n" + DEAD)], [], id="another chart"
        ),
        pytest.param(
            [
                ("gpu/values.yaml", "gpu-operator: {driver: {gone: 1}}\n"),
                (
                    "gpu/Chart.yaml",
                    PARENT + "dependencies: [{name: gpu-operator, version: v25.3.4}]\n",
                ),
            ],
            ["HELM-DEAD-KEY"],
            id="a dependency of the chart beside",
        ),
        pytest.param(
            [
                ("gpu/values.yaml", "op: {driver: {gone: 1}}\ndriver: {gone: 1}\n"),
                (
                    "gpu/Chart.yaml",
                    PARENT + "dependencies: [{name: gpu-operator, alias: op, version: v25.3.4}]\n",
                ),
            ],
            ["HELM-DEAD-KEY"],
            id="under its alias",
        ),
        pytest.param(
            [
                ("web/values.yaml", DEAD),
                ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            ],
            [],
            id="the chart beside is another one",
        ),
        pytest.param(
            [("a.yaml", "gpu-operator:\n  driver: {gone: 1}\nother: {}\n")],
            ["HELM-DEAD-KEY"],
            id="a chart of charts, by the dependency's name",
        ),
        pytest.param(
            [
                ("a/gpu.yaml", "driver: {gone: 1}\n"),
                (
                    "a/kustomization.yaml",
                    KUSTOMIZED
                    + "helmCharts: [{name: gpu-operator, version: 25.3.4, valuesFile: gpu.yaml}]\n",
                ),
            ],
            ["HELM-DEAD-KEY"],
            id="a kustomization beside names the file",
        ),
    ],
)
def test_which_values_are_the_operators(texts, expected):
    assert rules(*texts) == expected


HELM_RELEASE = """
    apiVersion: helm.toolkit.fluxcd.io/v2
    kind: HelmRelease
    metadata: {name: gpu}
    spec:
      chart: {spec: {chart: gpu-operator, version: VERSION}}
      values:
        driver: {useOpenKernelModules: true}
"""
APPLICATION = """
    apiVersion: argoproj.io/v1alpha1
    kind: Application
    metadata: {name: gpu}
    spec:
      sources:
        - chart: gpu-operator
          targetRevision: VERSION
          helm: {valuesObject: {driver: {useOpenKernelModules: true}}}
"""
APPLICATION_TEXT = """
    apiVersion: argoproj.io/v1alpha1
    kind: Application
    metadata: {name: gpu}
    spec:
      source:
        chart: gpu-operator
        targetRevision: VERSION
        helm:
          values: |
            driver: {useOpenKernelModules: true}
"""
K3S = """
    apiVersion: helm.cattle.io/v1
    kind: HelmChart
    metadata: {name: gpu}
    spec:
      chart: gpu-operator
      version: VERSION
      valuesContent: |-
        driver: {useOpenKernelModules: true}
"""
KUSTOMIZATION = """
    apiVersion: kustomize.config.k8s.io/v1beta1
    kind: Kustomization
    helmCharts:
      - name: gpu-operator
        version: VERSION
        valuesInline: {driver: {useOpenKernelModules: true}}
"""


@pytest.mark.parametrize("dress", [HELM_RELEASE, APPLICATION, APPLICATION_TEXT, K3S, KUSTOMIZATION])
@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v24.9.2", []),
        ("v25.3.4", ["HELM-DEAD-KEY"]),
        ("25.3.x", ["HELM-DEAD-KEY"]),
        ("~24.6.0", []),
        ('"*"', ["HELM-OLD-KEY"]),
        pytest.param("v22.9.0", [], id="older than what we know"),
        pytest.param("v99.1.0", [], id="newer than what we know"),
    ],
)
def test_every_dress_says_its_version(dress, version, expected):
    assert rules(("a.yaml", dress.replace("VERSION", version))) == expected


# -- dead keys


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("driver: {maxParallelUpgrades: 2}", "did you mean driver.upgradePolicy.maxParallel"),
        ("driver: {kernelModulesType: open}", "did you mean driver.kernelModuleType?"),
        ("driver: {useOpenKernelModules: true}", "it was last read by v24.9.2"),
        ("cdi: {nriPluginEnabled: true}", "it came with v26.3.0"),
        ("dcgm-exporter: {enabled: true}", "did you mean dcgmExporter?"),
        ("devicePlugin: {config: {deflaut: any}}", "did you mean devicePlugin.config.default?"),
        ("draDriver: {version: v1}", "it came with v26.7.0"),
        ("nodeSelector: {pool: gpu}", "it knows nothing of that name"),
        ("driver: {zzz: 1}", "it knows nothing of that name"),
    ],
)
def test_what_is_said_of_a_dead_key(text, says):
    ((rule, line, message),) = findings(values(text))
    assert (rule, line) == ("HELM-DEAD-KEY", 2)
    assert says in message


@pytest.mark.parametrize(
    "text",
    [
        "global: {anything: 1}",
        "node-feature-discovery: {worker: {anything: 1}}",
        "x-anchors: &a {b: 1}",
        "operator: {resources: {limits: {memory: 1Gi}}}",
        "driver: {startupProbe: {failureThreshold: 200}}",
        "devicePlugin: {config: {create: true, name: c, data: {any: text}}}",
        "nameOverride: gpu",
        "validator: {plugin: {env: [{name: WITH_WORKLOAD, value: 'false'}]}}",
        "driver: {rdma: {useHostMofed: false}}",
    ],
)
def test_keys_that_are_alive(text):
    assert rules(values(text), only=("HELM-DEAD", "HELM-OLD", "HELM-TYPE")) == []


def test_of_a_newer_chart_only_types_are_known():
    text = "driver: {brandNew: 1, enabled: []}"
    assert rules(values(text, "v99.1.0")) == ["HELM-TYPE"]


# -- types


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("driver: false", "driver is the word false, and the chart looks for keys in it"),
        ("toolkit: {env: {A: b}}", "toolkit.env is a mapping, but has to be a list"),
        ("toolkit: {env: [{name: A, value: 1}]}", "A is the number 1, but has to be a text"),
        ('nfd: {enabled: "false"}', "nfd.enabled is the text 'false', but has to be true or false"),
        ("daemonsets: {tolerations: {key: a}}", "daemonsets.tolerations is a mapping"),
        ("driver: {version: 550.10}", "a zero at the end"),
        ("mig: {strategy: [single]}", "mig.strategy is a list"),
        ("devicePlugin: {config: {data: text}}", "devicePlugin.config.data is the text"),
        ("driver: {upgradePolicy: {maxParallelUpgrades: many}}", "has to be a whole number"),
    ],
)
def test_what_is_said_of_a_wrong_type(text, says):
    ((rule, _, message),) = findings(values(text), only=("HELM-TYPE",))
    assert rule == "HELM-TYPE"
    assert says in message


def test_a_variable_inside_a_text_is_found_and_not_mended():
    text = K3S.replace(
        "driver: {useOpenKernelModules: true}", "toolkit: {env: [{name: A, value: 1}]}"
    )
    documents, problems = read(textwrap.dedent(text.replace("VERSION", "v25.3.4")), "a.yaml")
    (found,) = [
        one for one in examine(documents, problems).found if one.finding.rule == "HELM-TYPE"
    ]
    assert (found.finding.line, found.edits) == (8, ())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('driver: {enabled: "true"}', id="printed, not tested"),
        pytest.param("driver: {version: 550}", id="a branch"),
        pytest.param('driver: {version: "550.90.07"}', id="quoted"),
        pytest.param('gds: {enabled: "{{ .Values.gds }}"}', id="filled in by something else"),
        pytest.param("driver: {upgradePolicy: {maxUnavailable: 2}}", id="a number or a share"),
        pytest.param('dcgmExporter: {enabled: "${EXPORTER}"}', id="substituted by Flux"),
    ],
)
def test_types_that_do(text):
    assert rules(values(text), only=("HELM-TYPE",)) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("driver:", ["HELM-NULL"]),
        ("driver: {manager: null}", ["HELM-NULL"]),
        pytest.param("driver: {certConfig: null}", [], id="a template asks first"),
        ("driver: {}", []),
    ],
)
def test_null_takes_away_what_templates_look_into(text, expected):
    assert rules(values(text), only=("HELM-NULL",)) == expected
