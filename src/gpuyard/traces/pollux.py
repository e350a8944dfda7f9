"""The Pollux simulator's workloads, measured applications and published results.

Pollux' authors published 8 workloads of 160 jobs, the same at half, one and a half and twice the
load, what they measured of six applications on up to 16 nodes of 4 GPUs (step times by placement
and batch size, gradients and progress by epoch), and the completion time of every job under three
schedulers. The artifact's ``simulator/`` folder is read as it is: from a tar archive of it (plain
or gzip) or from a checkout. Nothing is unpacked; only the files that are asked for are parsed.

============================================  ===================================================
file                                          columns
============================================  ===================================================
``workloads*/workload-N.csv``                 name, time (s), application, num_replicas,
                                              batch_size
``traces/APP/placements.csv``                 placement (pods per node as digits), local_bsz,
                                              step_time, sync_time (s)
``traces/APP/scalability.csv``                num_nodes, num_replicas, local_bsz, step_time,
                                              sync_time
``traces/APP/validation-BATCH.csv``           per epoch: progress, iteration, metric, grad_sqr,
                                              grad_var
``results-jobload/POLICY-LOAD/summary.json``  ``{"jcts": {workload: {job: seconds}}, ...}``
============================================  ===================================================

Two facts stand in the artifact's code and not in its tables: for how many epochs an application
trains (`EPOCHS`), and that YOLOv3 fits 8 samples on a device (`LOCAL_BATCH_MAX`).

Source: petuum/adaptdl branch osdi21-artifact @c793c7089bd3, simulator/ (Apache-2.0); Qiao et al.,
"Pollux: Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning", OSDI'21.
"""

import re
import tarfile
import zlib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path, PurePosixPath

import msgspec

from gpuyard.model.nodes import Device, Node
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request, Workload
from gpuyard.traces.rows import FILE_BYTES_MAX, Row, parse_rows, shown, suggestion, unique
from gpuyard.traces.trace import FilePath, TraceError
from gpuyard.twin.progress import Spread
from gpuyard.twin.step_time import Curve, Cut, Rectangle, StepTime, StepTimes
from gpuyard.twin.training import Application, Validation

EPOCHS = {
    "bert": 2,
    "cifar10": 100,
    "deepspeech2": 80,
    "imagenet": 90,
    "ncf": 10,
    "yolov3": 50,
}
LOCAL_BATCH_MAX = {"yolov3": 8}
LOADS = {
    "0.5": "workloads-0.5",
    "1.0": "workloads",
    "1.5": "workloads-1.5",
    "2.0": "workloads-2.0",
}

NODES = 16
DEVICES_PER_NODE = 4
DEVICE_MODEL = "T4"  # the testbed's; the tables know no other

FILES_MAX = 10_000
SUFFIXES = (".csv", ".json")
PODS_MAX = 1024
BATCH_MAX = 10**6

JOB_COLUMNS = ("name", "time", "application", "num_replicas", "batch_size")
TIME_COLUMNS = ("local_bsz", "step_time", "sync_time")
VALIDATION_COLUMNS = ("progress", "grad_sqr", "grad_var")
VALIDATION = re.compile(r"validation-([1-9][0-9]{0,8})\.csv")

TEMPLATE = PodTemplate(request=Request(devices=DeviceRequest(count=1)))


class PolluxJob(msgspec.Struct, frozen=True):
    """One row of a workload: gang of one-device pods, what it trains and with which batch."""

    workload: Workload
    application: str
    batch: int


class Summary(msgspec.Struct, frozen=True):
    """A published result: seconds from submission to completion, by workload and job."""

    jcts: dict[str, dict[str, float]]
    avgs: dict[str, float]
    mean: float


class Artifact:
    """The published files, wherever they lie."""

    def __init__(self, path: FilePath) -> None:
        """Look at what is in `path`, a tar archive or a folder.

        Raises
        ------
        TraceError
            where `path` cannot be read or holds no ``simulator/`` folder of the artifact.

        """
        self.path = str(path)
        self._files = _in_folder(Path(path)) if Path(path).is_dir() else _in_archive(path)
        if not any(name.startswith("workloads/") for name in self._files):
            raise TraceError(
                path, None, "no workloads/ folder; give the artifact's simulator/ folder or its tar"
            )

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names of the files in `folder`, sorted."""
        paths = (PurePosixPath(name) for name in self._files)
        return tuple(sorted(path.name for path in paths if str(path.parent) == folder))

    def place(self, name: str) -> str:
        """Return how to call file `name` in a message."""
        return f"{self.path}/{name}"

    def text(self, name: str) -> str:
        """Return the content of file `name`."""
        if name not in self._files:
            raise TraceError(self.path, None, f"no file {name}; take the whole simulator/ folder")
        try:
            return self._files[name].decode("utf-8")
        except UnicodeDecodeError:
            raise TraceError(self.place(name), None, "not UTF-8 text; take it anew") from None

    def rows(self, name: str, columns: tuple[str, ...]) -> list[Row]:
        """Return the rows of the CSV file `name`."""
        return list(parse_rows(self.place(name), self.text(name), columns))


def fleet() -> tuple[Node, ...]:
    """Return the simulated cluster: `NODES` nodes of `DEVICES_PER_NODE` devices, in this order."""
    devices = (Device(model=DEVICE_MODEL),) * DEVICES_PER_NODE
    return tuple(Node(name=f"node-{rank:02}", devices=devices, rank=rank) for rank in range(NODES))


def load_jobs(artifact: Artifact, name: str) -> tuple[PolluxJob, ...]:
    """Return the jobs of workload file `name` (``workloads/workload-1.csv``) in its order."""
    jobs = []
    for row in unique(artifact.rows(name, JOB_COLUMNS), "name"):
        application = row.name("application")
        if application not in EPOCHS:
            raise row.error(
                f"unknown application {shown(application)}{suggestion(application, EPOCHS)}"
            )
        pods = row.integer("num_replicas", 1, PODS_MAX)
        created_ns = row.seconds_ns("time")
        if created_ns is None:
            raise row.error("time is empty; write the second of submission")
        workload = Workload(
            key=row.name("name"),
            pod_sets=(PodSet(name="worker", count=pods, template=TEMPLATE),),
            created_ns=created_ns,
            kind="training",
        )
        jobs.append(PolluxJob(workload, application, row.integer("batch_size", 1, BATCH_MAX)))
    return tuple(jobs)


def load_application(
    artifact: Artifact, name: str, cuts: Mapping[Rectangle, Cut] | None = None
) -> Application:
    """Return what was measured of application `name`; `cuts` as in `StepTimes`."""
    folder = f"traces/{name}"
    placements: dict[Spread, Curve] = {}
    for row in artifact.rows(f"{folder}/placements.csv", ("placement", *TIME_COLUMNS)):
        digits = row.name("placement")
        if not re.fullmatch("[1-9]{1,64}", digits):
            raise row.error(f"placement is {shown(digits)}; write a digit 1..9 per node")
        _add(placements.setdefault(tuple(map(int, digits)), {}), row)
    at_scale: dict[tuple[int, int], Curve] = {}
    columns = ("num_nodes", "num_replicas", *TIME_COLUMNS)
    for row in artifact.rows(f"{folder}/scalability.csv", columns):
        where = row.integer("num_nodes", 1, PODS_MAX), row.integer("num_replicas", 1, PODS_MAX)
        _add(at_scale.setdefault(where, {}), row)
    largest = max(batch for curve in placements.values() for batch in curve)
    return Application(
        name=name,
        epochs=EPOCHS[name],
        local_batch_max=LOCAL_BATCH_MAX.get(name, largest),
        step_times=StepTimes(placements, at_scale, cuts),
        validations=_validations(artifact, folder, EPOCHS[name]),
    )


def load_summary(artifact: Artifact, policy: str, load: str) -> Summary:
    """Return the published result of `policy` (``tiresias``) at `load` (``1.0``)."""
    name = f"results-jobload/{policy}-{load}/summary.json"
    try:
        return msgspec.json.decode(artifact.text(name), type=Summary)
    except msgspec.DecodeError as error:
        raise TraceError(artifact.place(name), None, f"not a summary ({error})") from None


def _validations(artifact: Artifact, folder: str, epochs: int) -> tuple[Validation, ...]:
    validations = []
    for name in artifact.names(folder):
        match = VALIDATION.fullmatch(name)
        if match is None:
            continue
        rows = artifact.rows(f"{folder}/{name}", VALIDATION_COLUMNS)
        if len(rows) < epochs:
            raise TraceError(
                artifact.place(f"{folder}/{name}"),
                None,
                f"{len(rows)} epochs, but the application trains for {epochs}; take the whole file",
            )
        progress, square, variance = (
            tuple(_number(row, column) for row in rows) for column in VALIDATION_COLUMNS
        )
        for row, before, after in zip(rows, (0.0, *progress), progress, strict=False):
            if after <= before:
                raise row.error(f"progress is {after} after {before}; it must grow by the epoch")
        for row, parts in zip(rows, zip(square, variance, strict=True), strict=True):
            if not any(parts):
                raise row.error("grad_sqr and grad_var are both 0; a gradient has a length")
        validations.append(
            Validation(batch=int(match[1]), progress=progress, grad_sqr=square, grad_var=variance)
        )
    if not validations:
        raise TraceError(
            artifact.path, None, f"no {folder}/validation-*.csv; take the whole folder"
        )
    return tuple(sorted(validations, key=lambda validation: validation.batch))


def _add(curve: Curve, row: Row) -> None:
    batch = row.integer("local_bsz", 1, BATCH_MAX)
    if batch in curve:
        raise row.error(f"local_bsz {batch} of this placement stands already above; keep one")
    time = StepTime(_number(row, "step_time"), _number(row, "sync_time"))
    if not 0 < time.step_s >= time.sync_s:
        raise row.error(
            f"step_time is {time.step_s} and sync_time {time.sync_s}; the first is above 0 and "
            "includes the second"
        )
    curve[batch] = time


def _number(row: Row, column: str) -> float:
    """Return the cell as a number that is neither negative nor infinite."""
    value = row.cells[column]
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not isfinite(number) or number < 0:
        raise row.error(f"{column} is {shown(value)}; write a number from 0")
    return number


def _in_folder(folder: Path) -> dict[str, bytes]:
    root = folder / "simulator" if (folder / "simulator").is_dir() else folder
    files: dict[str, bytes] = {}
    left = FILE_BYTES_MAX
    try:
        for path in sorted(root.rglob("*")):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            left -= path.stat().st_size
            if left < 0 or len(files) == FILES_MAX:
                raise TraceError(folder, None, "too large; give the simulator/ folder alone")
            files[path.relative_to(root).as_posix()] = path.read_bytes()
    except OSError as error:
        raise TraceError(folder, None, f"cannot be read ({error}); check the folder") from None
    return files


def _in_archive(path: FilePath) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = FILE_BYTES_MAX
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("./").removeprefix("simulator/")
                if not member.isfile() or not name.endswith(SUFFIXES):
                    continue
                left -= member.size
                if left < 0 or len(files) == FILES_MAX:
                    raise TraceError(path, None, "too large; give a tar of simulator/ alone")
                content = archive.extractfile(member)
                files[name] = content.read() if content else b""
    except FileNotFoundError:
        raise TraceError(path, None, "no such file; check the path") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise TraceError(path, None, f"not a readable tar archive ({error})") from None
    return files
