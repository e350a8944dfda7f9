"""Credentials printed by a program: the protocol between kubectl and its exec plugins.

The program is told in ``KUBERNETES_EXEC_INFO`` what is wanted (never interactive; the cluster only
if the kubeconfig says so) and prints an ``ExecCredential`` with a token, a client certificate or
both, and perhaps when they end. It is run once for all requests, again shortly before that end, and
again when the server refuses what it gave.

It is somebody else's program, so it is bounded: `EXEC_SECONDS_MAX` for its answer, after which its
whole process group is ended, and `OUTPUT_BYTES_MAX` for what it prints. Its standard output never
appears in an error, for it is the secret; of standard error the last line does.

Protocol: client.authentication.k8s.io v1 and v1beta1; client-go v0.36,
plugin/pkg/client/auth/exec/exec.go.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import time

import msgspec

from gpuyard.kube.access import ExecCommand
from gpuyard.kube.errors import CredentialError
from gpuyard.kube.login.identity import ClientCertificate, Identity
from gpuyard.kube.secret import Secret

EXEC_SECONDS_MAX = 60.0
OUTPUT_BYTES_MAX = 2**20
RENEW_BEFORE_END_S = 10.0
STDERR_SHOWN_MAX = 200


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: dt.datetime | None = None


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    api_version: str = ""
    status: _Status | None = None


class ExecPluginSource:
    """The credentials that a plugin prints, kept until they end or are refused."""

    def __init__(
        self, user: str, command: ExecCommand, *, seconds_max: float = EXEC_SECONDS_MAX
    ) -> None:
        self._command = command
        self._seconds_max = seconds_max
        self._place = f"getting credentials for user {user!r} from exec plugin {command.command!r}"
        self._kept: Identity | None = None
        self._ends_s: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def identity(self) -> Identity:
        """Return the kept credentials, or run the plugin.

        Raises
        ------
        CredentialError
            where it is not there, fails, hangs, or prints something else.

        """
        async with self._one_at_a_time:
            if self._kept is None or self._is_over():
                printed = await self._run()
                self._kept, self._ends_s = self._understood(printed)
            return self._kept

    def forget(self) -> bool:
        """Run the plugin again next time."""
        had_some, self._kept = self._kept is not None, None
        return had_some

    def remedy(self) -> str:
        """Return where the credentials came from."""
        return f"log in again for the exec plugin {self._command.command!r}"

    def _is_over(self) -> bool:
        # the plugin gives a date, so the wall clock is what it must be compared with
        return self._ends_s is not None and time.time() > self._ends_s - RENEW_BEFORE_END_S

    async def _run(self) -> bytes:
        """Run the plugin and return what it printed."""
        try:
            process = await asyncio.create_subprocess_exec(
                self._command.command,
                *(argument.reveal() for argument in self._command.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | self._environment(),
                start_new_session=True,  # so that its children end with it
            )
        except OSError as error:
            reason = (error.strerror or "it cannot be started").lower()
            hint = self._command.install_hint.strip() or "install it, or correct its name"
            raise CredentialError(f"{self._place}: {reason}; {hint}") from None
        try:
            async with asyncio.timeout(self._seconds_max):
                printed, complaint = await asyncio.gather(
                    _read_bounded(process.stdout), _read_bounded(process.stderr)
                )
                status = await process.wait()
        except TimeoutError:
            raise CredentialError(
                f"{self._place}: no answer within {self._seconds_max:g} s; run it by hand to see"
                " what it waits for"
            ) from None
        finally:
            await _end(process)
        if status != 0:
            raise CredentialError(
                f"{self._place}: it failed with status {status}{_last_line(complaint)}; run it by"
                " hand and log in as it asks"
            )
        if len(printed) > OUTPUT_BYTES_MAX:
            raise CredentialError(
                f"{self._place}: it printed more than {OUTPUT_BYTES_MAX} bytes; is it the right"
                " program?"
            )
        return printed

    def _environment(self) -> dict[str, str]:
        spec: dict[str, object] = {"interactive": False}
        if self._command.cluster_info is not None:
            spec["cluster"] = msgspec.Raw(self._command.cluster_info.reveal().encode())
        told = {"kind": "ExecCredential", "apiVersion": self._command.api_version, "spec": spec}
        own = {name: value.reveal() for name, value in self._command.environment}
        return own | {"KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode()}

    def _understood(self, printed: bytes) -> tuple[Identity, float | None]:
        """Return what was printed as credentials, and when they end in Unix seconds."""
        try:
            credential = msgspec.json.decode(printed, type=_ExecCredential)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._not_understood("what it printed is no ExecCredential") from None
        if credential.kind != "ExecCredential":
            raise self._not_understood("what it printed is no ExecCredential")
        if credential.api_version != self._command.api_version:
            raise self._not_understood(
                f"it answered in apiVersion {credential.api_version[:80]!r} where the kubeconfig"
                f" says {self._command.api_version!r}"
            )
        status = credential.status or _Status()
        if bool(status.client_certificate_data) != bool(status.client_key_data):
            raise self._not_understood("it printed half a client certificate")
        if not status.token and not status.client_certificate_data:
            raise self._not_understood("it printed neither a token nor a client certificate")
        ends = status.expiration_timestamp
        return _identity(status), ends.timestamp() if ends else None

    def _not_understood(self, wrong: str) -> CredentialError:
        return CredentialError(f"{self._place}: {wrong}; run it by hand and compare")


def _identity(status: _Status) -> Identity:
    certificate = None
    if status.client_certificate_data:
        pem = status.client_certificate_data.encode()
        certificate = ClientCertificate(pem, Secret(status.client_key_data))
    bearer = Secret(f"Bearer {status.token}") if status.token else None
    return Identity(authorization=bearer, certificate=certificate)


async def _read_bounded(stream: asyncio.StreamReader | None) -> bytes:
    """Return a stream's bytes up to the limit and one more; the rest is read and dropped."""
    assert stream is not None
    kept = bytearray()
    while chunk := await stream.read(2**16):
        kept += chunk[: OUTPUT_BYTES_MAX + 1 - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End what is left of the plugin's process group, and collect the plugin."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    shown = "".join(one for one in lines[-1] if one.isprintable()) if lines else ""
    return f" ({shown[:STDERR_SHOWN_MAX]})" if shown else ""
