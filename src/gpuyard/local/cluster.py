"""Start a cluster, use it, stop it.

    with start() as cluster:
        print(cluster.site.admin_kubeconfig)

A cluster has a folder, an authority, ports of its own; several run side by side. `start` returns
when the API server is ready, and with it the roles and namespaces that Kubernetes brings. If a port
was taken in the last moment it tries again with others, `TRIES_MAX` times in all.
"""

import http.client
import os
import signal
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Self

from gpuyard.local import commands
from gpuyard.local.build import Say
from gpuyard.local.credentials import write_private
from gpuyard.local.errors import LocalError
from gpuyard.local.kept import Kept, sweep
from gpuyard.local.ports import LOOPBACK, free_ports
from gpuyard.local.programs import SERVER, Programs, provide
from gpuyard.local.site import ADMINS, Card, make

READY_SECONDS_MAX = 120.0  # four on an idle machine; a busy one with two cores needs more
LOOK_EVERY_S = 0.1
ANSWER_SECONDS_MAX = 2.0  # somebody else may listen there, and say nothing
TRIES_MAX = 3
PORT_TAKEN = "address already in use"


class Cluster:
    """A running cluster; `site` says where it is and how to reach it."""

    def __init__(self, kept: Kept, programs: Programs, flags: Sequence[str]) -> None:
        self._kept = kept
        self._programs = programs
        self._flags = tuple(flags)
        card = Card(programs.version, commands.Ports(*free_ports(3)))
        self.site, self._files = make(kept.folder, card)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all programs and remove the folder; harmless when done twice."""
        self._kept.end()

    def signal(self, program: str, number: signal.Signals) -> None:
        """Send one of the programs a signal, to stall it or to end it."""
        self._kept.signal(program, number)

    def run(self) -> None:
        """Start the programs and wait until the server is ready.

        Raises
        ------
        LocalError
            where a program ends, or the server is not ready in time.

        """
        names = tuple(self._programs.paths)
        for name in names[: len(SERVER)]:
            self._kept.start(name, self._command(name))
        self._wait_until_ready()
        for name in names[len(SERVER) :]:
            self._kept.start(name, self._command(name))

    def _command(self, name: str) -> list[str]:
        path, ports = self._programs.paths[name], self.site.ports
        if name == "etcd":
            return commands.etcd(path, self._files, ports)
        if name == "kube-apiserver":
            has_controllers = "kube-controller-manager" in self._programs.paths
            return commands.apiserver(
                path, self._files, ports, has_controllers=has_controllers, extra=self._flags
            )
        kubeconfig = self.site.kubeconfig(name, self.site.user(f"system:{name}"))
        if name == "kube-scheduler":
            return commands.scheduler(path, kubeconfig)
        return commands.controllers(path, self._files, kubeconfig)

    def _wait_until_ready(self) -> None:
        doing = f"starting Kubernetes {self.site.version}"
        context = self._context()
        until = time.monotonic() + READY_SECONDS_MAX
        while not self._is_ready(context):
            for name in SERVER:
                if (status := self._kept.has_ended(name)) is not None:
                    said = self._kept.last_words(name)
                    raise LocalError(f"{doing}: {name} ended with status {status}: {said}")
            if time.monotonic() > until:
                said = self._kept.last_words("kube-apiserver")
                raise LocalError(
                    f"{doing}: not ready after {READY_SECONDS_MAX:g} s; kube-apiserver said last:"
                    f" {said}"
                )
            time.sleep(LOOK_EVERY_S)

    def _context(self) -> ssl.SSLContext:
        """Return TLS as the administrator, for the questions whether the server is ready."""
        context = ssl.create_default_context(cadata=self.site.ca_pem.decode())
        pair = self.site.authority.client("readiness", [ADMINS])
        whole = pair.certificate_pem + pair.key_pem.reveal().encode()
        file = write_private(self.site.folder / "readiness.pem", whole)
        context.load_cert_chain(file)
        file.unlink()
        return context

    def _is_ready(self, context: ssl.SSLContext) -> bool:
        asked = http.client.HTTPSConnection(
            LOOPBACK, self.site.ports.server, context=context, timeout=ANSWER_SECONDS_MAX
        )
        try:
            asked.request("GET", "/readyz")
            return asked.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asked.close()


def start(
    *,
    controllers: bool = False,
    scheduler: bool = False,
    apiserver_flags: Sequence[str] = (),
    say: Say = lambda _: None,
    environ: Mapping[str, str] = os.environ,
) -> Cluster:
    """Return a running cluster; use it as a context manager, or stop it.

    `say` hears about a build, which may take minutes. `apiserver_flags` have the last word.

    Raises
    ------
    LocalError
        where there are no programs and they cannot be built, or one of them does not run.

    """
    needed = commands.needed_programs(controllers=controllers, scheduler=scheduler)
    programs = provide(needed, say=say, environ=environ)
    sweep()
    for tries in range(1, TRIES_MAX + 1):
        kept = Kept()
        try:
            cluster = Cluster(kept, programs, apiserver_flags)
            cluster.run()
        except BaseException as error:
            is_last = tries == TRIES_MAX or not isinstance(error, LocalError)
            may_repeat = not is_last and PORT_TAKEN in kept.tail_of_all()
            kept.end()
            if not may_repeat:
                raise
        else:
            return cluster
    raise AssertionError("the last try returns or raises")
