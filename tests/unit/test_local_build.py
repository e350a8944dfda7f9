"""Finding or building the programs, with a Go that only pretends."""

import json
import multiprocessing
import sys
from pathlib import Path

import pytest

from gpuyard.local.build import build, is_whole
from gpuyard.local.cache import cache_folder
from gpuyard.local.errors import LocalError
from gpuyard.local.go_module import PACKAGES, link_flags, module_text, understood
from gpuyard.local.programs import find, provide, what_is_missing
from gpuyard.local.versions import DEFAULT, RELEASES, minor, release_for, satisfies

GO_MOD = """module k8s.io/kubernetes

go 1.26.0

godebug default=go1.26

require (
	k8s.io/api v0.0.0
	k8s.io/kube-openapi v0.0.0-2026
)

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	k8s.io/client-go => ./staging/src/k8s.io/client-go
)
"""

# A Go that writes down what it was asked, and "builds" a program that says its version.
GO = """#!{python}
import json, os, pathlib, sys, time
with open({asked!r}, "a") as file:
    flags = {{key: os.environ.get(key) for key in ("GOFLAGS", "CGO_ENABLED", "GOWORK")}}
    file.write(json.dumps([sys.argv[1:], flags, pathlib.Path("go.mod").read_text()]) + "\\n")
if sys.argv[1] == "mod":
    if {broken!r}:
        print(json.dumps({{"Error": "no\\nsuch module"}}))
        sys.exit(1)
    print(json.dumps({{"GoMod": {go_mod!r}}}))
    sys.exit()
time.sleep({seconds})
if {fails!r} in sys.argv[-1]:
    sys.stderr.write("go: downloading x\\n# k8s.io/x\\nx.go:1: undefined: y\\n")
    sys.exit(2)
target = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
target.write_text("#!/bin/sh\\necho Kubernetes v1.36.3\\n")
target.chmod(0o755)
"""


@pytest.fixture
def machine(tmp_path):
    """A function that makes an environment with a pretended Go; `asked` is what it was asked."""
    (tmp_path / "bin").mkdir()
    asked = tmp_path / "asked"
    asked.touch()
    (tmp_path / "kubernetes.mod").write_text(GO_MOD)

    def make(*, fails="nothing", broken=False, seconds=0, **environ):
        go = tmp_path / "bin" / "go"
        text = GO.format(
            python=sys.executable,
            asked=str(asked),
            broken=broken,
            go_mod=str(tmp_path / "kubernetes.mod"),
            fails=fails,
            seconds=seconds,
        )
        go.write_text(text)
        go.chmod(0o755)
        path = f"{tmp_path / 'bin'}:/bin:/usr/bin"
        return {"PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")} | environ

    make.asked = lambda: [json.loads(line) for line in asked.read_text().splitlines()]
    return make


def nothing_on_path(tmp_path, **environ):
    (tmp_path / "empty").mkdir(exist_ok=True)
    there = {"PATH": str(tmp_path / "empty"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return there | environ


def folder_with(path, *names, version="1.36.3"):
    path.mkdir(parents=True)
    for name in names:
        (path / name).write_text(f"#!/bin/sh\necho Kubernetes v{version}\n")
        (path / name).chmod(0o755)
    return path


# --- The module ---------------------------------------------------------------------------------


def test_our_module_replaces_each_part_by_its_published_version():
    text = module_text("1.36.3", understood(GO_MOD))
    assert text == (
        "module gpuyard.local/kubernetes\n\ngo 1.26.0\ngodebug default=go1.26\n\n"
        "require k8s.io/kubernetes v1.36.3\n\nreplace (\n"
        "\tk8s.io/api => k8s.io/api v0.36.3\n"
        "\tk8s.io/client-go => k8s.io/client-go v0.36.3\n)\n"
    )


def test_programs_say_their_version():
    flags = link_flags("1.36.3")
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in flags
    assert "-X k8s.io/component-base/version.gitMajor=1" in flags
    assert "-X k8s.io/component-base/version.gitMinor=36" in flags


# --- The build ----------------------------------------------------------------------------------


def test_a_build_makes_every_program_once(machine, tmp_path):
    said, environ = [], machine()
    folder = build("1.36.3", tmp_path / "cache", said.append, environ)
    assert sorted(path.name for path in folder.iterdir()) == sorted(PACKAGES)
    assert said[0].startswith("building Kubernetes 1.36.3 with Go, once")
    assert [line.split(" (")[0] for line in said[1:]] == [f"built {name}" for name in PACKAGES]
    lookup, *builds = machine.asked()
    assert lookup[0] == ["mod", "download", "-json", "k8s.io/kubernetes@v1.36.3"]
    assert [arguments[-1] for arguments, _, _ in builds] == list(PACKAGES.values())
    for _, flags, module in builds:
        assert flags == {"GOFLAGS": "", "CGO_ENABLED": "0", "GOWORK": "off"}
        assert "require k8s.io/kubernetes v1.36.3" in module
    assert build("1.36.3", tmp_path / "cache", said.append, environ) == folder
    assert len(machine.asked()) == 5
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == ["1.36.3"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param(
            {"fails": "kube-scheduler"},
            "go build failed with status 2 (# k8s.io/x; x.go:1: undefined: y); the whole log is",
            id="a program does not compile",
        ),
        pytest.param(
            {"broken": True}, "go mod failed with status 1 (no such module)", id="no module"
        ),
    ],
)
def test_a_build_that_fails_leaves_nothing_but_its_log(machine, tmp_path, how, said):
    with pytest.raises(LocalError) as caught:
        build("1.36.3", tmp_path / "cache", lambda _: None, machine(**how))
    assert said in str(caught.value)
    left = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert left == [".1.36.3.lock", "1.36.3.log"]


def test_what_a_killed_build_left_is_removed(machine, tmp_path):
    for name in (".1.36.3.abc.part", ".1.35.4.abc.part", "1.36.3"):
        (tmp_path / "cache" / name).mkdir(parents=True)
    build("1.36.3", tmp_path / "cache", lambda _: None, machine())
    left = {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}
    assert left == {"1.36.3", ".1.35.4.abc.part"}
    assert is_whole(tmp_path / "cache" / "1.36.3")


def build_and_note(cache, environ, notes):
    said = []
    folder = build("1.36.3", cache, said.append, environ)
    notes.put((str(folder), is_whole(folder), said))


def test_of_two_processes_one_builds_and_the_other_waits(machine, tmp_path):
    environ = machine(seconds=0.3)
    spawn = multiprocessing.get_context("spawn")
    notes = spawn.Queue()
    arguments = (tmp_path / "cache", environ, notes)
    both = [spawn.Process(target=build_and_note, args=arguments) for _ in range(2)]
    for one in both:
        one.start()
    found = [notes.get(timeout=60) for _ in both]
    for one in both:
        one.join()
    assert {(folder, whole) for folder, whole, _ in found} == {
        (str(tmp_path / "cache" / "1.36.3"), True)
    }
    assert len(machine.asked()) == 5
    waited = [said for _, _, said in found if said and said[0].startswith("waiting")]
    assert len(waited) <= 1


def test_no_go_and_no_programs_is_one_sentence(tmp_path):
    with pytest.raises(LocalError) as caught:
        build("1.36.3", tmp_path / "cache", lambda _: None, nothing_on_path(tmp_path))
    assert str(caught.value) == (
        "building Kubernetes 1.36.3: there is no go on PATH; install Go, or let"
        " KUBEBUILDER_ASSETS name a folder with kube-apiserver and etcd"
    )


# --- Where programs are found -------------------------------------------------------------------


def test_assets_come_before_path_and_path_before_the_cache(tmp_path):
    assets = folder_with(tmp_path / "assets", "etcd", "kube-apiserver", version="1.33.1")
    folder_with(tmp_path / "bin", "etcd", "kube-apiserver", version="1.35.4")
    cached = tmp_path / "cache" / "gpuyard" / "kubernetes" / RELEASES[DEFAULT]
    folder_with(cached, *PACKAGES, version=RELEASES[DEFAULT])
    environ = {"PATH": "/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert find(environ=environ).version == RELEASES[DEFAULT]
    environ["PATH"] = f"{tmp_path / 'bin'}:/bin"
    assert (find(environ=environ).version, find(environ=environ).origin) == ("1.35.4", "PATH")
    environ["KUBEBUILDER_ASSETS"] = str(assets)
    assert find(environ=environ).paths == {
        "etcd": assets / "etcd",
        "kube-apiserver": assets / "kube-apiserver",
    }


def test_a_place_without_a_program_that_is_needed_does_not_count(tmp_path):
    assets = folder_with(tmp_path / "assets", "etcd", "kube-apiserver")
    environ = nothing_on_path(tmp_path, KUBEBUILDER_ASSETS=str(assets), PATH="/bin")
    assert find(environ=environ) is not None
    assert find((*PACKAGES,), environ) is None


@pytest.mark.parametrize(
    ("wish", "is_found"),
    [("", True), ("1.36", True), ("v1.36.3", True), ("1.36.4", False), ("1.35", False)],
)
def test_a_wish_must_be_met(tmp_path, wish, is_found):
    assets = folder_with(tmp_path / "assets", "etcd", "kube-apiserver", version="1.36.3")
    environ = nothing_on_path(
        tmp_path, KUBEBUILDER_ASSETS=str(assets), GPUYARD_KUBERNETES=wish, PATH="/bin"
    )
    assert (find(environ=environ) is not None) is is_found


def test_programs_that_do_not_run_here_do_not_count(tmp_path):
    assets = folder_with(tmp_path / "assets", "etcd", "kube-apiserver")
    (assets / "kube-apiserver").write_bytes(b"\x7fELF for another machine")
    assert find(environ=nothing_on_path(tmp_path, KUBEBUILDER_ASSETS=str(assets))) is None


def test_what_is_not_found_is_built(machine, tmp_path):
    programs = provide(("etcd", "kube-scheduler"), say=lambda _: None, environ=machine())
    assert programs.version == RELEASES[DEFAULT]
    assert set(programs.paths) == {"etcd", "kube-scheduler"}
    assert all(path.is_file() for path in programs.paths.values())
    other = machine(GPUYARD_KUBERNETES="1.35")
    assert provide(say=lambda _: None, environ=other).version == RELEASES["1.35"]


def test_what_is_missing(machine, tmp_path):
    assert what_is_missing(machine()) == ""
    bare = nothing_on_path(tmp_path)
    assert what_is_missing(bare) == "neither go nor kube-apiserver and etcd on PATH"
    assert "is not known" in what_is_missing(bare | {"GPUYARD_KUBERNETES": "2"})


# --- Versions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ("", RELEASES[DEFAULT]),
        ("1.35", RELEASES["1.35"]),
        ("v1.35", RELEASES["1.35"]),
        ("1.35.9", "1.35.9"),
    ],
)
def test_release_for(wish, expected):
    assert release_for(wish) == expected


@pytest.mark.parametrize("wish", ["1", "1.20", "latest", "1.36.x"])
def test_a_wish_that_is_not_known(wish):
    with pytest.raises(LocalError, match=r"is not known; take one of 1\.34, 1\.35, 1\.36, 1\.37"):
        release_for(wish)


def test_versions_are_compared_part_by_part():
    assert satisfies("1.36.3", "1.36")
    assert not satisfies("1.361.0", "1.36")
    assert all(minor(release) == name for name, release in RELEASES.items())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, "/c/gpuyard/kubernetes"),
        ({"HOME": "/h"}, "/h/.cache/gpuyard/kubernetes"),
    ],
)
def test_where_the_cache_is(environ, expected):
    assert cache_folder(environ) == Path(expected)
