"""Many pictures on many machines: each picture is painted on one machine, as it would be here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..errors import URSTError
from ..runs.file_run import FileRun
from ..runs.painters import Task
from ..tiling.settings import IfInterrupted
from .pool import WorkerPool
from .ray import joined_cluster, share_cluster


@dataclass(frozen=True)
class OnMachines:
    """Paints the pictures of a job on the machines of a Ray cluster.

    They read and write the files themselves, so all must reach them by the same names.

    Each worker computes with as many threads as this machine does, so that sums are made in the
    same order, and results are the same.

    Attributes:
        address: see :func:`~urst_core.cluster.ray.joined_cluster`.
        workers: how many; as many as fit if None.
        device: ``auto``, ``cuda`` or ``cpu``.
    """

    address: str
    workers: int | None = None
    device: str = "auto"

    def paint(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, URSTError | None]]:
        """Paint pictures, and yield each when it is done, with the error if it cannot be painted.

        Raises:
            URSTError: the cluster cannot be used.
        """
        todo = [replace(task, run=_anywhere(task.run)) for task in tasks]
        if not todo:
            return
        for task in todo:
            if task.if_interrupted is IfInterrupted.DISCARD:
                task.run.discard_interrupted()
        with joined_cluster(self.address) as ray:
            threads = torch.get_num_threads()
            share = share_cluster(ray, device=self.device, workers=self.workers, threads=threads)
            # They share the network and the codes of styles, which are sent once.
            job = PictureJob([task.run for task in todo], threads)
            with WorkerPool(ray, share, worker=PictureWorker, item="picture") as pool:
                pool.begin(job)
                for number, error in pool.each(
                    lambda worker, number: worker.paint.remote(number), range(len(todo))
                ):
                    yield todo[number], error


@dataclass(frozen=True)
class PictureJob:
    """What every worker gets, once.

    Attributes:
        runs: one for each picture.
        threads: on the CPU.
    """

    runs: list[FileRun]
    threads: int


class PictureWorker:
    """Paints whole pictures, on one machine of a cluster."""

    def start(self, job: PictureJob) -> None:
        """Begin a job."""
        self._job = job
        torch.set_num_threads(job.threads)

    def paint(self, number: int) -> URSTError | None:
        """Paint a picture; returns the error if it cannot be painted.

        If a worker before died of it, its finished tiles are used.
        """
        try:
            self._job.runs[number].run(if_interrupted=IfInterrupted.RESUME)
        except URSTError as error:
            return error
        return None


def _anywhere(run: FileRun) -> FileRun:
    """The run with absolute paths, for processes that have another current folder."""
    mask = run.mask
    return replace(
        run,
        content=run.content.absolute(),
        styles=[os.path.abspath(s) if Path(s).exists() else s for s in run.styles],
        output=run.output.absolute(),
        mask=mask and replace(mask, path=mask.path.absolute()),
        style_code=run.style_code and run.style_code.to(torch.device("cpu")),
    )
