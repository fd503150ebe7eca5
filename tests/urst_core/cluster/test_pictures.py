"""Whole pictures on the machines of a cluster: the results equal this machine's."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import pytest
import torch
from examples import save_picture, stored_picture
from ray_in_process import RayInProcess

from urst_core.cluster import ray as ray_cluster
from urst_core.cluster.pictures import OnMachines, PictureWorker
from urst_core.cluster.ray import share_threads
from urst_core.progress import ignore
from urst_core.runs.file_run import FileRun
from urst_core.runs.mask_file import MaskFile
from urst_core.runs.painters import InTurn, Task
from urst_core.runs.paintings import Painting, StyleChoice
from urst_core.tiling.settings import IfInterrupted, Settings

SETTINGS = Settings(device="cpu", thumbnail_size=24, tile_size=24, strokes="fine")


@pytest.fixture
def cluster(monkeypatch):
    """Two workers in this process, which is in another folder while they work."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(ray_cluster, "ray_module", RayInProcess)
    paint = PictureWorker.paint

    def paint_elsewhere(self, number):
        here = os.getcwd()
        os.chdir("/")
        try:
            return pickle.loads(pickle.dumps(paint(self, number)))
        finally:
            os.chdir(here)

    monkeypatch.setattr(PictureWorker, "paint", paint_elsewhere)
    yield OnMachines("local", device="cpu")
    torch.set_num_threads(threads)


@pytest.fixture
def run(tmp_path, monkeypatch, microast):
    """A run with relative names."""
    monkeypatch.chdir(tmp_path)
    for name, size in (("a", (28, 40)), ("b", (40, 28)), ("mask", (28, 40)), ("style", (24, 24))):
        save_picture(tmp_path / f"{name}.png", stored_picture(size, seed=len(name) + size[0]))
    a, mask = tmp_path / "a.png", tmp_path / "mask.png"
    return FileRun(
        a.relative_to(tmp_path),
        ["style.png"],
        tmp_path / "unused.png",
        microast,
        SETTINGS,
        mask=MaskFile(mask.relative_to(tmp_path)),
    )


def tasks_of(run, folder, if_interrupted=IfInterrupted.REFUSE):
    """Two pictures, of which the second is not the mask's size, and one that does not exist."""
    contents = [run.content, run.content.with_name("b.png"), run.content.with_name("c.png")]
    folder.mkdir()
    for content in contents:
        output = folder / content.name
        painting = Painting(content, StyleChoice(("style.png",), "style"), output)
        each = replace(run, content=content, output=output)
        yield Task(painting, each, {}, if_interrupted, ignore)


def test_results_and_errors_are_those_of_this_machine(cluster, run, tmp_path):
    here = {t.painting.content: e for t, e in InTurn().paint(tasks_of(run, tmp_path / "here"))}
    there = {t.painting.content: e for t, e in cluster.paint(tasks_of(run, tmp_path / "there"))}
    assert [error is None for error in here.values()] == [True, False, False]
    for content, error in here.items():
        # Names are absolute there.
        assert str(there[content]).replace(f"{tmp_path}/", "") == str(error)
    painted = [(tmp_path / place / "a.png").read_bytes() for place in ("here", "there")]
    assert painted[0] == painted[1]


def test_an_interrupted_picture_is_resumed_or_discarded(cluster, run, tmp_path):
    def stop(progress):
        if progress.tiles_done:
            raise KeyboardInterrupt

    for if_interrupted in (IfInterrupted.RESUME, IfInterrupted.DISCARD):
        folder = tmp_path / if_interrupted.name
        [first, *_] = tasks_of(run, folder, if_interrupted)
        with pytest.raises(KeyboardInterrupt):
            first.run.run(stop)
        assert any(folder.iterdir())
        [(_, error)] = cluster.paint([first])
        assert error is None
        assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_nothing_to_paint_needs_no_cluster():
    assert list(OnMachines("nowhere").paint([])) == []


@pytest.mark.parametrize(
    ("cpus", "workers", "most", "expected"),
    [
        ([8, 8], None, 8, (2, 8)),
        ([8, 8], None, 2, (8, 2)),
        ([4, 16], None, 8, (5, 4)),
        ([16], 3, 16, (3, 5)),
    ],
)
def test_pictures_take_as_many_threads_as_here(cpus, workers, most, expected):
    assert share_threads(cpus, workers, most) == expected
