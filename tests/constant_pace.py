"""A fleet and jobs whose pace is plain arithmetic, for the tests of the rounds protocol."""

from gpuyard.model.nodes import Device, Node
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request, Workload
from gpuyard.twin.progress import Done, End
from gpuyard.twin.rounds import Arrival

SECOND_NS = 10**9
ONE_DEVICE = PodTemplate(request=Request(devices=DeviceRequest(count=1)))


class ConstantPace:
    """Work of so many seconds; each node but one adds `slowdown` of it."""

    def __init__(self, work_s, slowdown=0):
        self.work_s = work_s
        self.slowdown = slowdown

    def _cost(self, spread):
        return 1 + self.slowdown * (len(spread) - 1)

    def end(self, done, spread):
        left_ns = round((self.work_s - done.progress) * self._cost(spread) * SECOND_NS)
        return End(left_ns, left_ns)

    def after(self, done, spread, worked_ns):
        return Done(0, done.progress + worked_ns / SECOND_NS / self._cost(spread))


def fleet(nodes=2, devices=4):
    return [
        Node(name=f"n{rank}", devices=(Device(model="T4"),) * devices, rank=rank)
        for rank in range(nodes)
    ]


def job(key, pods, created_s, work_s, slowdown=0):
    pod_set = PodSet(name="worker", count=pods, template=ONE_DEVICE)
    workload = Workload(key=key, pod_sets=(pod_set,), created_ns=created_s * SECOND_NS)
    return Arrival(workload, ConstantPace(work_s, slowdown))
