"""The gpu-operator's settings, the device plugin's files, and what lives beside them."""

import textwrap

import pytest

from tests.small_findings import findings, rules

CHART = "# gpuyard:chart gpu-operator v{}\n"


def values(text, version="25.10.1"):
    return f"{CHART.format(version)}{textwrap.dedent(text)}\n"


def policy(text):
    spec = textwrap.indent(textwrap.dedent(text), "  ")
    head = "apiVersion: nvidia.com/v1\nkind: ClusterPolicy\nmetadata: {name: cluster-policy}\n"
    return f"{head}spec:\n{spec}\n"


def config_map(name, **files):
    data = "".join(
        f"  {key}: |\n{textwrap.indent(textwrap.dedent(text), '    ')}"
        for key, text in files.items()
    )
    return f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n{data}\n"


@pytest.mark.parametrize(
    ("version", "text", "expected"),
    [
        ("26.7.0", "gpuCluster: {deployCR: true}\ndriver: {enabled: true}", 2),
        (
            "26.7.0",
            """
            gpuCluster: {deployCR: true}
            clusterPolicy: {deployCR: false}
            driver: {enabled: false}
            """,
            0,
        ),
        ("26.3.3", "cdi: {enabled: false, nriPluginEnabled: true}", 1),
        ("26.3.3", "cdi: {nriPluginEnabled: true}\ntoolkit: {enabled: false}", 1),
        ("26.3.3", "cdi: {nriPluginEnabled: true}", 0),
        ("25.10.1", "devicePlugin: {config: {create: true, data: {any: x}}}", 1),
        pytest.param(
            "25.10.1",
            "devicePlugin: {config: {create: true, name: a}}",
            0,
            id="before 26.7 the chart then makes no ConfigMap and says nothing",
        ),
        ("26.7.0", "devicePlugin: {config: {create: true, name: a}}", 1),
        ("25.3.4", "migManager: {config: {create: true, data: {config.yaml: x}}}", 1),
    ],
)
def test_settings_that_exclude_each_other(version, text, expected):
    assert len(rules(values(text, version), "OPERATOR-CONFLICT")) == expected


@pytest.mark.parametrize(
    "text",
    [
        "mig: {strategy: double}",
        "driver: {kernelModuleType: Open}",
        "migManager: {config: {default: all-1g.10gb}}",
        "sandboxWorkloads: {defaultWorkload: vm}",
        "daemonsets: {updateStrategy: Recreate}",
    ],
)
@pytest.mark.parametrize("dress", [values, policy])
def test_words_that_the_resource_refuses(dress, text):
    assert rules(dress(text), "OPERATOR-VALUE") == ["OPERATOR-VALUE"]


@pytest.mark.parametrize(
    "text",
    [
        "mig: {strategy: mixed}",
        'migManager: {config: {default: ""}}',
        "migManager: {config: {default: all-disabled}}",
        'mig: {strategy: "{{ .Values.strategy }}"}',
    ],
)
@pytest.mark.parametrize("dress", [values, policy])
def test_words_that_it_takes(dress, text):
    assert rules(dress(text), "OPERATOR-VALUE") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("driver: {enabled: false, version: '550'}", 1),
        ("driver: {enabled: false, kernelModuleType: auto}", 0),
        ("driver: {enabled: false, rdma: {enabled: true}}", 0),
        ("devicePlugin: {config: {default: any}}", 1),
        ("devicePlugin: {config: {default: '', name: ''}}", 0),
        ("vgpuManager: {enabled: true}", 1),
        ("vgpuManager: {enabled: true}\nsandboxWorkloads: {enabled: true}", 0),
        ("cdi: {default: true}", 1),
        ("gds: {enabled: true}\ndriver: {kernelModuleType: proprietary}", 1),
        ("gds: {enabled: true}", 0),
    ],
)
def test_settings_that_wait_for_a_switch(text, expected):
    assert len(rules(values(text), "OPERATOR-IDLE")) == expected


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("kataManager: {enabled: true}", "26.7.0", 1),
        ("kataManager: {enabled: true}", "26.3.3", 0),
        ("kataManager: {enabled: false}", "26.7.0", 0),
        ("operator: {initContainer: {image: cuda}}", "26.3.0", 1),
        ("operator: {initContainer: {image: cuda}}", "25.10.1", 0),
        ("cdi: {default: true}", "25.3.4", 0),
    ],
)
def test_settings_that_are_no_longer_looked_at(text, version, expected):
    assert len(rules(values(text, version), "OPERATOR-IDLE")) == expected


def test_a_policy_waits_only_for_what_it_says():
    assert rules(policy("vgpuManager: {enabled: true}"), "OPERATOR-IDLE") == []


POD = """
---
apiVersion: v1
kind: Pod
metadata: {name: embed}
spec:
  containers:
    - name: server
      resources: {limits: {RESOURCE: 1}}
"""


@pytest.mark.parametrize(
    ("settings", "resource", "expected"),
    [
        pytest.param(values("mig: {strategy: single}"), "nvidia.com/mig-1g.10gb", 1, id="single"),
        pytest.param(values("driver: {}"), "nvidia.com/mig-1g.10gb", 1, id="the chart's default"),
        pytest.param(values("mig: {strategy: mixed}"), "nvidia.com/mig-1g.10gb", 0, id="mixed"),
        pytest.param(values("mig: {strategy: single}"), "nvidia.com/gpu", 0, id="a whole name"),
        pytest.param(policy("driver: {}"), "nvidia.com/mig-1g.10gb", 0, id="a policy is silent"),
        pytest.param("", "nvidia.com/mig-1g.10gb", 0, id="no operator was given"),
        pytest.param(
            policy("mig: {strategy: single}") + "---\n" + policy("mig: {strategy: mixed}"),
            "nvidia.com/mig-1g.10gb",
            0,
            id="two clusters in one folder",
        ),
    ],
)
def test_a_profile_under_a_strategy(settings, resource, expected):
    found = rules(settings + POD.replace("RESOURCE", resource), "MIG-STRATEGY")
    assert len(found) == expected


MIG = """
version: v1
mig-configs:
  ours:
    - devices: [0]
      FILTER
      mig-enabled: true
      mig-devices: {"1g.10gb": 7}
    - devices: [1]
      mig-enabled: true
      mig-devices: {"PROFILE": 1}
"""


@pytest.mark.parametrize(
    ("strategy", "profile", "line", "expected"),
    [
        ("single", "3g.40gb", "mig-enabled: true", 1),
        ("single", "1g.10gb", "mig-enabled: true", 0),
        ("mixed", "3g.40gb", "mig-enabled: true", 0),
        pytest.param("single", "3g.40gb", 'device-filter: "0x1"', 0, id="for different GPUs"),
    ],
)
def test_profiles_under_a_strategy(strategy, profile, line, expected):
    text = MIG.replace("PROFILE", profile).replace("FILTER", line)
    if line == "mig-enabled: true":
        text = text.replace("mig-enabled: true\n      mig-enabled: true", "mig-enabled: true")
    settings = policy(f"mig: {{strategy: {strategy}}}\nmigManager: {{config: {{name: m}}}}\n")
    documents = settings + config_map("m", **{"config.yaml": text})
    assert len(rules(documents, "MIG-SINGLE")) == expected


SHARING = """
version: v1
sharing:
  timeSlicing:
    renameByDefault: true
    failRequestsGreaterThanOne: true
    resources:
      - {name: nvidia.com/gpu, replicas: 4}
"""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("replicas: 4", "replicas: 4", []),
        ("replicas: 4", "replicas: 1", ["PLUGIN-CONFIG"]),
        ("replicas: 4", 'replicas: "4"', ["PLUGIN-CONFIG"]),
        (", replicas: 4", "", ["PLUGIN-CONFIG"]),
        ("version: v1", "version: v2", ["PLUGIN-CONFIG"]),
        ("name: nvidia.com/gpu, ", "", []),  # then nothing says that it is the plugin's
        ("timeSlicing", "timeslicing", []),  # Go's JSON does not mind
        ("renameByDefault", "renamedByDefault", ["PLUGIN-CONFIG-KEY"]),
        ("replicas: 4", "replicas: 4, devices: [0]", ["PLUGIN-CONFIG-KEY"]),
        ("    renameByDefault: true\n    failRequests", "    failRequests", []),
        (
            "    renameByDefault: true\n    failRequestsGreaterThanOne: true\n",
            "",
            ["SHARE-SILENT"],
        ),
    ],
)
def test_files_of_the_device_plugin(before, after, expected):
    assert before in SHARING
    text = config_map("plugin", any=SHARING.replace(before, after))
    assert rules(text, "PLUGIN-CONFIG", "SHARE-SILENT") == expected


def test_mps_and_time_slicing_together():
    both = SHARING + "  mps:\n    resources: [{name: nvidia.com/gpu, replicas: 4}]\n"
    ((rule, _, message),) = findings(config_map("p", any=both), "PLUGIN-CONFIG")
    assert rule == "PLUGIN-CONFIG-KEY"
    assert "timeSlicing is left out" in message


def test_mps_does_not_go_with_mixed():
    text = (
        "version: v1\nflags: {migStrategy: mixed}\n"
        "sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}\n"
    )
    assert rules(config_map("p", any=text), "PLUGIN-CONFIG") == ["PLUGIN-CONFIG"]


def test_other_files_are_not_the_device_plugins():
    text = "version: v1\nsharing: {public: true}\n"
    assert rules(config_map("p", any=text), "PLUGIN", "SHARE") == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("devicePlugin: {config: {name: p}}", ["PLUGIN-NO-DEFAULT"]),
        ("devicePlugin: {config: {name: p, default: any}}", []),
        ("devicePlugin: {config: {name: p, default: other}}", ["PLUGIN-DEFAULT-MISSING"]),
        pytest.param("devicePlugin: {config: {name: q, default: other}}", [], id="not given"),
        ("devicePlugin: {enabled: true}", []),
    ],
)
@pytest.mark.parametrize("dress", [values, policy])
def test_the_default_of_the_plugins_config_map(dress, settings, expected):
    text = dress(settings) + config_map("p", any=SHARING)
    assert rules(text, "PLUGIN-NO-DEFAULT", "PLUGIN-DEFAULT") == expected


def test_nodes_that_pick_by_label_need_no_default():
    node = "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: n\n  labels: {KEY: any}\n"
    node = node.replace("KEY", "nvidia.com/device-plugin.config")
    text = policy("devicePlugin: {config: {name: p}}\n") + node
    assert rules(text, "PLUGIN-NO-DEFAULT") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("driver: {upgradePolicy: {drain: {enable: true}}}", 1),
        ("driver: {upgradePolicy: {drain: {enable: true, podSelector: app=x}}}", 0),
        ("driver: {upgradePolicy: {autoUpgrade: false, drain: {enable: true}}}", 0),
        ("driver: {enabled: false, upgradePolicy: {drain: {enable: true}}}", 0),
    ],
)
def test_upgrades_that_drain(text, expected):
    assert len(rules(values(text), "DRIVER-DRAIN")) == expected


PLUGIN = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME}
spec:
  template:
    spec:
      SELECTOR
      containers: [{name: p, image: "nvcr.io/nvidia/k8s-device-plugin:v0.17.4"}]
"""


@pytest.mark.parametrize(
    ("name", "selector", "settings", "expected"),
    [
        ("mine", "hostNetwork: true", "devicePlugin: {enabled: true}", 1),
        ("mine", "hostNetwork: true", "devicePlugin: {enabled: false}", 0),
        pytest.param("mine", "nodeSelector: {a: b}", "driver: {}", 0, id="its own nodes"),
        pytest.param(
            "mine", 'nodeSelector: {nvidia.com/gpu.present: "true"}', "driver: {}", 1, id="all GPUs"
        ),
        pytest.param(
            "nvidia-device-plugin-daemonset", "hostNetwork: true", "driver: {}", 0, id="operator's"
        ),
    ],
)
def test_two_device_plugins(name, selector, settings, expected):
    text = policy(settings) + PLUGIN.replace("NAME", name).replace("SELECTOR", selector)
    assert len(rules(text, "PLUGIN-TWICE")) == expected


def test_feature_discovery_has_the_plugins_image():
    gfd = PLUGIN.replace("NAME", "gfd").replace("SELECTOR", "hostNetwork: true")
    gfd = gfd.replace("name: p,", "name: p, command: [gpu-feature-discovery],")
    assert rules(policy("driver: {}") + gfd, "PLUGIN-TWICE") == []


def test_parts_of_one_system_are_one():
    text = "".join(
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n---\n"
        for name in ("self-node-remediation", "node-healthcheck-controller-manager")
    )
    assert rules(text, "NODE-MENDERS") == []


HEALTH = """
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: health}
spec:
  selector: {}
  template:
    spec:
      CLASS
      containers:
        - name: h
          env: [{name: NVIDIA_VISIBLE_DEVICES, value: VALUE}]
"""


@pytest.mark.parametrize(
    ("version", "line", "value", "expected"),
    [
        ("25.10.1", "hostPID: true", "all", 1),
        ("25.3.4", "hostPID: true", "all", 0),
        ("25.10.1", "runtimeClassName: nvidia", "all", 0),
        ("25.10.1", "hostPID: true", "void", 0),
    ],
)
def test_pods_that_look_at_gpus_under_cdi(version, line, value, expected):
    text = values("driver: {}\n", version) + HEALTH.replace("CLASS", line).replace("VALUE", value)
    assert len(rules(text, "CDI-RUNTIME-CLASS")) == expected


def test_cdi_that_is_switched_off():
    text = values("cdi: {enabled: false}\n") + HEALTH.replace("CLASS", "hostPID: true")
    assert rules(text.replace("VALUE", "all"), "CDI-RUNTIME-CLASS") == []


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("1", 1), ("2", 0), ("25%", 1), ("50%", 0), ("100%", 0), ("many", 0)],
)
def test_when_an_upgrade_stands_still(allowed, expected):
    state = "nvidia.com/gpu-driver-upgrade-state"
    nodes = "".join(
        f"---\napiVersion: v1\nkind: Node\nmetadata:\n  name: n{number}\n"
        f"  labels: {{{state}: upgrade-required}}\nspec: {{unschedulable: {away}}}\n"
        for number, away in enumerate(("true", "false", "false", "false"))
    )
    text = policy(f"driver: {{upgradePolicy: {{maxUnavailable: {allowed}}}}}\n") + nodes
    assert len(rules(text, "DRIVER-STALLED")) == expected
