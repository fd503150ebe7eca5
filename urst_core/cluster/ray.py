"""Ray: joining a cluster or starting one on this machine, and what its workers may use."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ClusterError, DeviceError, Install, SettingsError, first_line

LOCAL = "local"

OBJECT_STORE_BYTES = 512 * 1024 * 1024
"""Of a cluster that we start: it holds the tile network, tens of megabytes at most."""

CONNECT_SECONDS = 5.0

THREADS = 4
"""Most threads of a worker that computes on a CPU; tiles are too small to feed many more."""


def ray_module() -> Any:
    """The ray package.

    Raises:
        ClusterError: it is not installed.
    """
    try:
        import ray  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise ClusterError(
            f"many machines need Ray, which did not load ({error})", Install('"urst[distributed]"')
        ) from error
    return ray


@contextmanager
def joined_cluster(address: str) -> Generator[Any, None, None]:
    """Join a cluster, or start one on this machine that ends with the block.

    A Ray that is connected already is used as it is, and stays. Workers get this package's own
    code from here (``py_modules``), so they need not have it installed, nor in the same version.

    Args:
        address: ``local``, ``auto`` for the cluster that runs on this machine, or ``HOST:PORT``.

    Yields:
        The ray package, connected.

    Raises:
        ClusterError: the cluster cannot be joined.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {}
    if address == LOCAL:
        options = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        _check_address(address)
    try:
        with _own_signal_handlers():
            ray.init(
                address=address,
                logging_level="ERROR",
                log_to_driver=False,
                runtime_env=runtime_environment(),
                **options,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"Ray cluster {address!r} cannot be joined ({first_line(error)})",
            f"check the address, and that Ray {ray.__version__} runs there",
        ) from error
    try:
        yield ray
    finally:
        # Ends what was started here; of a cluster that was there before, only our part in it.
        ray.shutdown()


def runtime_environment() -> dict[str, Any]:
    """The runtime environment of Ray's workers: this package, as it is here."""
    return {"py_modules": [str(Path(__file__).parents[1])], "excludes": ["__pycache__"]}


@dataclass(frozen=True)
class WorkerShare:
    """How many workers there are, and what one of them takes.

    Attributes:
        workers: how many.
        threads: CPU threads of each.
        gpus: GPUs of each, 0 or 1.
    """

    workers: int
    threads: int
    gpus: int


def share_cluster(
    ray: Any, *, device: str, workers: int | None, threads: int = THREADS
) -> WorkerShare:
    """Divide the cluster: one worker a GPU, or several threads a worker where there is none.

    Args:
        ray: connected.
        device: ``auto``, ``cuda`` or ``cpu``.
        workers: how many; as many as fit when not given.
        threads: most of a worker that computes on a CPU.

    Raises:
        SettingsError: fewer than 1 worker, or more than fit.
        DeviceError: the device cannot be had through Ray.
    """
    if workers is not None and workers < 1:
        raise SettingsError(f"{workers} Ray workers cannot work; use 1 or more")
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"device {device!r} cannot be asked of Ray; use auto, cpu or cuda")
    if device == "cuda" and gpus == 0:
        raise DeviceError("device 'cuda' is not there: the Ray cluster has no GPU; use auto or cpu")
    if gpus == 0 or device == "cpu":
        return WorkerShare(*share_threads(cpus, workers, threads), gpus=0)
    if workers is not None and workers > gpus:
        raise SettingsError(f"{workers} Ray workers do not fit {gpus} GPUs; use {gpus} or fewer")
    return WorkerShare(workers or gpus, threads=1, gpus=1)


def share_threads(cpus: Sequence[int], workers: int | None, most: int = THREADS) -> tuple[int, int]:
    """Workers and threads of each, on machines with so many CPUs; no worker spans two machines.

    Args:
        cpus: of each machine.
        workers: how many; as many as fit if None.
        most: most threads of a worker.

    Raises:
        SettingsError: more workers than CPUs.
    """
    total = sum(cpus)
    if workers is not None and workers > total:
        raise SettingsError(
            f"{workers} Ray workers do not fit a cluster of {total} CPUs; use {total} or fewer"
        )
    if workers is None:
        threads = min([most, *(count for count in cpus if count > 0)])
        return max(1, sum(count // threads for count in cpus)), threads
    fitting = (t for t in range(most, 0, -1) if sum(c // t for c in cpus) >= workers)
    return workers, next(fitting)


@contextmanager
def _own_signal_handlers() -> Generator[None, None, None]:
    """Ray replaces the handler of SIGTERM, which the command line needs to clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _check_address(address: str) -> None:
    """Knock first: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClusterError(
            f"address {address!r} is not a Ray cluster; use local, auto or HOST:PORT"
        )
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"Ray cluster {address!r} does not answer ({first_line(error)})",
            "check the address, and that its head runs there",
        ) from error
