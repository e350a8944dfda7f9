"""Whatever a file holds, reading it ends in a value or in a `TraceError`, and in nothing else."""

import gzip
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings, strategies as st

from gpuyard.traces.fleet import FleetError, parse_fleet
from gpuyard.traces.openb import load_nodes, load_pods, load_sequences
from gpuyard.traces.read import read_trace
from gpuyard.traces.table import NODE_COLUMNS, WORKLOAD_COLUMNS, read_nodes, read_workloads
from gpuyard.traces.trace import TraceError

READERS = (load_nodes, load_pods, load_sequences, read_nodes, read_workloads)
REAL_LOOKING = (
    b"sn,cpu_milli,memory_mib,gpu,model\nn-0,96000,393216,8,G2\nn-1,32000,262144,0,\n",
    (
        b"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
        b"deletion_time,scheduled_time\np-0,12000,16384,1,1000,G2|T4,LS,Running,0,12537496,0\n"
        b"p-1,6000,12288,1,460,,BE,Pending,427061,12902960,\n"
    ),
    ",".join(NODE_COLUMNS).encode() + b"\nh100,4,224000,2097152,8,H100,pool,a=b|c=d\n",
    ",".join(WORKLOAD_COLUMNS).encode()
    + b'\njob,worker,4,1000,2,8,1000,H100|A100,0.5,60,training,0,"ann, jr",team\n',
    b'{"42": {"pods": [1, 0, 1], "node_rank": [1, 0]}}',
)
PIECES = (b"", b",", b"\n", b"\r", b'"', b"\0", b"-", b"1.5", b"9" * 30, b"\xff", b"|", b"=", b"e")

few = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def damaged(draw):
    """Return a real-looking file with a few bytes replaced by others."""
    content = draw(st.sampled_from(REAL_LOOKING))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 5)))
        content = content[:start] + draw(st.sampled_from(PIECES)) + content[end:]
    return draw(st.sampled_from([content, gzip.compress(content), gzip.compress(content)[:-4]]))


def read_with_all(content):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        for read in READERS:
            expect_only_trace_errors(read, path)
        expect_only_trace_errors(read_trace, path, path)


def expect_only_trace_errors(read, *paths):
    error = complaint(TraceError, read, *paths)
    if error is not None:
        assert "\n" not in error.sentence
        assert len(error.sentence) < 2000
        assert str(error).startswith(str(paths[0]))


def complaint(kind, function, *arguments):
    """Return the error of this kind that a call raises, `None` if it succeeds."""
    try:
        function(*arguments)
    except kind as error:
        return error
    return None


@few
@given(st.binary(max_size=200))
def test_random_bytes(content):
    read_with_all(content)


@few
@given(damaged())
def test_damaged_files(content):
    read_with_all(content)


@few
@given(st.text(alphabet="0123456789x+HAL ", max_size=20))
def test_fleets(line):
    error = complaint(FleetError, parse_fleet, line)
    if error is not None:
        assert "\n" not in str(error)
        return
    nodes = parse_fleet(line)
    assert len({node.name for node in nodes}) == len(nodes) > 0
