"""What the webhook adds to a write: ``python -m benchmarks.webhook_load --rate 500``.

A real API server, and the program behind it. Deployments are created at a fixed rate as dry runs,
so that admission is all that happens: five seconds in a namespace that the webhook watches, five in
one that is switched off, in turn. A latency counts from the moment at which its request was due,
not from when there was room to send it; so where the machine cannot keep up, it shows.

The client, the API server, its store and the webhook share this machine. What is asked for is the
difference: the p99 of watched turns minus that of unwatched turns, turn by turn. Beside it stands
what the API server itself counted: how long it waited for the webhook.
"""

import argparse
import asyncio
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import yaml

from benchmarks.reviews import deployment
from gpuyard.kube.authority import Authority
from gpuyard.local.cluster import start
from gpuyard.local.site import ADMINS, Site

HOST = "127.0.0.1"
CONNECTIONS = 64
TURN_S = 5.0
WARM_UP_S = 3.0
WATCHED, UNWATCHED = "watched", "unwatched"
CREATED = b"201"


class Turn(NamedTuple):
    """What one turn took."""

    namespace: str
    latencies_ms: list[float]
    seconds: float
    webhook_cpu_s: float

    def at(self, quantile: float) -> float:
        """Return a quantile of the latencies."""
        return sorted(self.latencies_ms)[int(quantile * (len(self.latencies_ms) - 1))]


class Wire:
    """Connections to the API server as its administrator, as cheap as Python has them."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.port = site.ports.server
        pair = site.authority.client("load", [ADMINS])
        both = folder / "client.pem"
        both.write_bytes(pair.certificate_pem + pair.key_pem.reveal().encode())
        self.context = ssl.create_default_context(cadata=site.ca_pem.decode())
        self.context.load_cert_chain(both)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a new connection."""
        return await asyncio.open_connection(HOST, self.port, ssl=self.context)

    async def send(self, method: str, path: str, value: object) -> bytes:
        """Send one request on a connection of its own; return its status."""
        reader, writer = await self.open()
        status = await ask(reader, writer, request(method, path, msgspec.json.encode(value)))
        writer.close()
        return status


def request(method: str, path: str, body: bytes) -> bytes:
    """Return a request as bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bytes:
    """Send bytes and read the answer to its end; return its status."""
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [line for line in lines if line.startswith(b"content-length:")]
    if lengths:
        await reader.readexactly(int(lengths[0].partition(b":")[2]))
    else:
        await reader.readuntil(b"0\r\n\r\n")  # the last chunk
    return lines[0].split(b" ")[1]


async def turn(wire: Wire, namespace: str, rate: float, seconds: float, webhook: int) -> Turn:
    """Create Deployments at a rate for so many seconds."""
    total = int(rate * seconds)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All"
    sent = request("POST", path, msgspec.json.encode(deployment("llm", namespace)))
    latencies: list[float] = []
    numbers = iter(range(total))
    begun, cpu_s = time.perf_counter(), cpu_of(webhook)

    async def work() -> None:
        reader, writer = await wire.open()
        for number in numbers:
            due = begun + number / rate
            early = due - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
            status = await ask(reader, writer, sent)
            latencies.append((time.perf_counter() - due) * 1e3)
            if status != CREATED:
                raise ValueError(f"the API server answers {status.decode()}")
        writer.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    took = time.perf_counter() - begun
    return Turn(namespace, latencies, took, cpu_of(webhook) - cpu_s)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, from proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the webhook; return it and its address."""
    authority = Authority.new("load")
    pair = authority.server([HOST])
    (folder / "ca.crt").write_bytes(authority.pair.certificate_pem)
    (folder / "tls.crt").write_bytes(pair.certificate_pem)
    (folder / "tls.key").write_bytes(pair.key_pem.reveal().encode())
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gpuyard", "webhook", "--listen", f"{HOST}:0"),
            *("--cert", str(folder / "tls.crt"), "--key", str(folder / "tls.key")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    address = msgspec.json.decode(process.stderr.readline())["address"]
    return process, f"https://{address}"


def configurations(folder: Path, url: str) -> list[dict[str, Any]]:
    """Return what the program prints for an API server."""
    printed = subprocess.run(
        [
            *(sys.executable, "-m", "gpuyard", "webhook", "--print-manifests"),
            *("--url", url, "--ca", str(folder / "ca.crt")),
        ],
        capture_output=True,
        check=True,
    ).stdout
    return list(yaml.safe_load_all(printed))


def reviews_of(folder: Path, url: str) -> float:
    """Return how many reviews the webhook has answered."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    with urllib.request.urlopen(f"{url}/metrics", context=context) as answer:  # noqa: S310  ours
        lines = answer.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("gpuyard_webhook_reviews_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


def waits_of(wire: Wire) -> dict[float, float]:
    """Return how many waits for the webhook took at most so many seconds, as the server counts."""
    url = f"https://{HOST}:{wire.port}/metrics"
    with urllib.request.urlopen(url, context=wire.context) as answer:
        lines = answer.read().decode().splitlines()
    name = "apiserver_admission_webhook_admission_duration_seconds_bucket"
    found = {}
    for line in lines:
        if line.startswith(name) and 'name="warn.lint.gpuyard.io"' in line:
            bound = line.partition('le="')[2].partition('"')[0]
            found[float(bound)] = float(line.rpartition(" ")[2])
    return found


class Found(NamedTuple):
    """All turns; the reviews asked for and answered in them; waits by their upper bound."""

    turns: list[Turn]
    asked: int
    answered: float
    waits: dict[float, float]


async def measured(site: Site, folder: Path, rate: float, turns: int) -> Found:
    """Return what was found in so many turns of each kind."""
    wire = Wire(site, folder)
    process, url = started(folder)
    try:
        for one in configurations(folder, url):
            path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
            await wire.send("POST", path, one)
        for name, labels in (WATCHED, {}), (UNWATCHED, {"gpuyard.io/lint": "off"}):
            metadata = {"name": name, "labels": labels}
            await wire.send("POST", "/api/v1/namespaces", {"metadata": metadata})
        await asyncio.sleep(WARM_UP_S)
        for name in (WATCHED, UNWATCHED):
            await turn(wire, name, rate, WARM_UP_S, process.pid)
        before, waits = reviews_of(folder, url), waits_of(wire)
        found = [
            await turn(wire, name, rate, TURN_S, process.pid)
            for _ in range(turns)
            for name in (WATCHED, UNWATCHED)
        ]
        asked = sum(len(one.latencies_ms) for one in found if one.namespace == WATCHED)
        waited = {bound: now - waits.get(bound, 0.0) for bound, now in waits_of(wire).items()}
        return Found(found, asked, reviews_of(folder, url) - before, waited)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhook_load")
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second")
    parser.add_argument("--turns", type=int, default=5, help="of each kind")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, start(say=print) as cluster:
        found = asyncio.run(measured(cluster.site, Path(folder), chosen.rate, chosen.turns))
    show(found)


def show(found: Found) -> None:
    """Print a line for each turn, and what was added."""
    print(f"{'namespace':<12}{'per s':>8}{'p50 ms':>9}{'p99 ms':>9}{'webhook CPU ms/request':>24}")
    for one in found.turns:
        per_s = len(one.latencies_ms) / one.seconds
        cpu_ms = one.webhook_cpu_s / len(one.latencies_ms) * 1e3
        print(
            f"{one.namespace:<12}{per_s:>8.0f}{one.at(0.5):>9.2f}{one.at(0.99):>9.2f}{cpu_ms:>24.2f}"
        )
    pairs = list(zip(found.turns[::2], found.turns[1::2], strict=True))
    for quantile in (0.5, 0.99):
        added = [with_it.at(quantile) - without.at(quantile) for with_it, without in pairs]
        print(
            f"added at p{quantile * 100:g}: median {median(added):.2f} ms"
            f" ({min(added):.2f} to {max(added):.2f})"
        )
    total = found.waits.get(float("inf"), 0.0)
    shares = [
        f"{found.waits[bound] / total:.1%} in {bound * 1e3:g} ms"
        for bound in sorted(found.waits)
        if total and bound < 1
    ]
    print(f"the API server waited for it: {', '.join(shares)}")
    print(f"reviews answered: {found.answered:.0f} of {found.asked}")


if __name__ == "__main__":
    main()
