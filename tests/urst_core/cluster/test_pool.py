"""The pool of workers with a fake Ray, and requirements for clusters."""

from __future__ import annotations

import signal
import socket
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from ray_in_process import EXCEPTIONS, ActorError, TaskError

from urst_core.cluster import ray as ray_cluster
from urst_core.cluster.pool import CALLS_AT_ONCE, WorkerPool
from urst_core.cluster.ray import WorkerShare, joined_cluster, share_cluster, share_threads
from urst_core.errors import ClusterError, DeviceError, OutputError, SettingsError


class MadeUpRay:
    """Runs calls when their results are awaited, in order; counts open ones.

    Args:
        die: says of (actor number, item or None at its start) whether the worker dies of it.
        admit: says of an actor number whether the cluster has room for it.
    """

    exceptions = EXCEPTIONS

    def __init__(self, *, die=lambda *_: False, admit=lambda _: True, work=str):
        self.die, self.admit, self.work = die, admit, work
        self.calls, self.dead, self.killed, self.sent, self.begun = {}, set(), [], [], []
        self.started = 0
        self.most_open = 0

    def put(self, value):
        self.sent.append(value)
        return f"reference to {value}"

    def remote(self, actor_class):
        del actor_class
        return self

    def options(self, **asked):
        self.asked = asked

        def start():
            number = self.started
            self.started += 1
            return MadeUpActor(number, SimpleNamespace(remote=lambda job: self.begin(number, job)))

        return SimpleNamespace(remote=start)

    def begin(self, actor, job):
        self.begun.append((actor, job))
        return self.call(actor, None)

    def call(self, actor, item):
        reference = object()
        self.calls[reference] = actor, item
        loads = Counter(a for a, i in self.calls.values() if i is not None)
        self.most_open = max(self.most_open, *loads.values(), 0)
        return reference

    def wait(self, references, timeout, num_returns=1):
        del timeout, num_returns
        able = [
            r for r in references if self.calls[r][1] is not None or self.admit(self.calls[r][0])
        ]
        return able[:1], able[1:]

    def get(self, reference):
        actor, item = self.calls.pop(reference)
        if actor in self.dead or self.die(actor, item):
            self.dead.add(actor)
            raise ActorError("where it was\nThe worker was killed.")
        try:
            return None if item is None else self.work(item)
        except Exception as error:
            raise TaskError(error) from error

    def kill(self, actor):
        self.killed.append(actor.number)


class MadeUpActor:
    def __init__(self, number, start):
        self.number, self.start = number, start


def run(ray, items, *, workers=2, **options):
    share = WorkerShare(workers, threads=3, gpus=0)
    with WorkerPool(ray, share, **options) as pool:
        pool.begin("job")
        return dict(pool.each(lambda actor, item: ray.call(actor.number, item), items))


def test_every_item_is_done_and_few_wait_at_a_time():
    ray = MadeUpRay()
    assert run(ray, range(1000)) == {number: str(number) for number in range(1000)}
    assert ray.most_open == CALLS_AT_ONCE == 2
    assert ray.sent == ["job"]
    assert ray.begun == [(0, "reference to job"), (1, "reference to job")]
    assert ray.asked == {"num_cpus": 3, "num_gpus": 0, "max_restarts": 0}
    assert sorted(ray.killed) == [0, 1]


def test_items_of_a_dead_worker_go_to_others_and_it_is_replaced():
    ray = MadeUpRay(die=lambda actor, item: actor == 0 and item is not None and item > 5)
    assert run(ray, range(50)) == {number: str(number) for number in range(50)}
    assert ray.started == 3
    assert sorted(ray.killed) == [1, 2]


def test_workers_that_find_no_room_are_not_waited_for():
    ray = MadeUpRay(admit=lambda actor: actor == 0)
    assert len(run(ray, range(20), workers=3)) == 20
    assert sorted(ray.killed) == [0, 1, 2]


def test_no_worker_starts():
    with pytest.raises(ClusterError) as caught:
        run(MadeUpRay(admit=lambda _: False), range(3), start_seconds=0.01)
    assert str(caught.value) == (
        "no Ray worker started within 0.01 s (each takes 3 CPUs and 0 GPUs); wait until the "
        "cluster is less busy, or lower workers"
    )


def test_a_tile_that_kills_every_worker():
    ray = MadeUpRay(die=lambda _, item: item == 7)
    with pytest.raises(ClusterError) as caught:
        run(ray, range(20), workers=1)
    message = str(caught.value)
    assert message.startswith("4 Ray workers died at tile 7 (the last one: The worker was killed.)")
    assert message.endswith("; see Ray's logs, and whether the machines have memory left")
    assert ray.started == 5


def test_workers_that_die_while_they_start():
    with pytest.raises(ClusterError, match=r"^4 Ray workers died at their start \(the last one"):
        run(MadeUpRay(die=lambda _, item: item is None), range(3))


def test_an_exception_of_a_worker_is_raised_and_ends_the_run():
    def work(item):
        if item == 3:
            raise OutputError("the disk is full; free some")
        return item

    ray = MadeUpRay(work=work)
    with pytest.raises(OutputError, match=r"^the disk is full; free some$"):
        run(ray, range(20))
    assert sorted(ray.killed) == [0, 1]


def test_a_worker_that_lacks_a_package():
    def work(_):
        raise ModuleNotFoundError("No module named 'pyvips'")

    with pytest.raises(ClusterError) as caught:
        run(MadeUpRay(work=work), range(3))
    assert str(caught.value) == (
        "a Ray worker lacks a package (No module named 'pyvips'); "
        'on every machine: pip install "urst[app,distributed]"'
    )


def test_a_run_that_is_left_ends_its_workers():
    ray = MadeUpRay()
    with WorkerPool(ray, WorkerShare(2, threads=1, gpus=0)) as pool:
        pool.begin("job")
        next(pool.each(lambda actor, item: ray.call(actor.number, item), range(10)))
        assert ray.killed == []
    assert sorted(ray.killed) == [0, 1]


def test_jobs_one_after_another_have_the_same_workers():
    """One that did not start in time for the first job begins the second."""
    rooms = {0}
    ray = MadeUpRay(admit=lambda actor: actor in rooms)
    with WorkerPool(ray, WorkerShare(2, threads=1, gpus=0)) as pool:
        for job in ("one", "two"):
            pool.begin(job)
            done = list(pool.each(lambda actor, item: ray.call(actor.number, item), range(20)))
            assert len(done) == 20
            rooms.add(1)
    assert ray.sent == ["one", "two"]
    assert ray.begun == [(n, f"reference to {job}") for job in ("one", "two") for n in (0, 1)]
    assert sorted(ray.killed) == [0, 1]


def test_a_job_without_work_starts_no_worker():
    ray = MadeUpRay()
    with WorkerPool(ray, WorkerShare(2, threads=1, gpus=0)) as pool:
        pool.begin("job")
    assert ray.started == 0


# The cluster


@pytest.mark.parametrize(
    ("cpus", "workers", "share"),
    [
        ([16], None, (4, 4)),
        ([2], None, (1, 2)),
        ([0, 8, 8], None, (4, 4)),
        ([8, 2], 2, (2, 4)),
        ([8, 2], 3, (3, 2)),
        ([2, 2], 4, (4, 1)),
        ([6], 2, (2, 3)),
    ],
)
def test_no_worker_spans_two_machines(cpus, workers, share):
    assert share_threads(cpus, workers) == share


def cluster_of(*nodes):
    return SimpleNamespace(
        nodes=lambda: (
            [{"Alive": True, "Resources": node} for node in nodes]
            + [{"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]
        )
    )


def test_one_worker_a_gpu():
    ray = cluster_of({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0})
    assert share_cluster(ray, device="auto", workers=None) == WorkerShare(3, 1, 1)
    assert share_cluster(ray, device="cuda", workers=2) == WorkerShare(2, 1, 1)
    assert share_cluster(ray, device="cpu", workers=None) == WorkerShare(4, 4, 0)
    with pytest.raises(SettingsError, match=r"^4 Ray workers do not fit 3 GPUs; use 3 or fewer$"):
        share_cluster(ray, device="auto", workers=4)


@pytest.mark.parametrize(
    ("error", "device", "workers", "message"),
    [
        (SettingsError, "auto", 0, "0 Ray workers cannot work; use 1 or more"),
        (
            SettingsError,
            "auto",
            5,
            "5 Ray workers do not fit a cluster of 4 CPUs; use 4 or fewer",
        ),
        (
            DeviceError,
            "cuda",
            1,
            "device 'cuda' is not there: the Ray cluster has no GPU; use auto or cpu",
        ),
        (DeviceError, "cuda:1", 1, "device 'cuda:1' cannot be asked of Ray; use auto, cpu or cuda"),
        (DeviceError, "mps", 1, "device 'mps' cannot be asked of Ray; use auto, cpu or cuda"),
    ],
)
def test_resources_that_a_cluster_lacks(error, device, workers, message):
    with pytest.raises(error) as caught:
        share_cluster(cluster_of({"CPU": 4.0}), device=device, workers=workers)
    assert str(caught.value) == message


def refusal(address) -> str:
    with pytest.raises(ClusterError) as caught, joined_cluster(address):
        pass
    return str(caught.value)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = refusal("local")
    assert message.startswith("many machines need Ray, which did not load (")
    assert message.endswith('; pip install "urst[distributed]"')


@pytest.fixture
def idle_ray(monkeypatch):
    """A Ray that refuses to be joined."""

    def init(**options):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RuntimeError(f"version mismatch at {options['address']}")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init, __version__="2.60.0")
    monkeypatch.setattr(ray_cluster, "ray_module", lambda: ray)
    return ray


@pytest.mark.usefixtures("idle_ray")
@pytest.mark.parametrize("address", ["here", ":6379", "host:port", "host:0", "host:70000"])
def test_address_that_is_none(address):
    assert refusal(address) == (
        f"address {address!r} is not a Ray cluster; use local, auto or HOST:PORT"
    )


@pytest.mark.usefixtures("idle_ray")
def test_cluster_that_does_not_answer():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    message = refusal(address)
    assert message.startswith(f"Ray cluster {address!r} does not answer (")
    assert message.endswith("); check the address, and that its head runs there")


@pytest.mark.usefixtures("idle_ray")
def test_cluster_that_cannot_be_joined():
    handler = signal.getsignal(signal.SIGTERM)
    assert refusal("auto") == (
        "Ray cluster 'auto' cannot be joined (version mismatch at auto); check the address, and "
        "that Ray 2.60.0 runs there"
    )
    assert signal.getsignal(signal.SIGTERM) is handler
