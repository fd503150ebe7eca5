"""Jobs of many pictures: broken ones are skipped, interrupted jobs resume to the same files."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from examples import save_picture, stored_picture

from urst_core.errors import OutputError
from urst_core.formats.find_pictures import find_pictures
from urst_core.networks.model import Backbone
from urst_core.runs.file_run import FileRun
from urst_core.runs.job import Job
from urst_core.runs.painters import AtOnce, InTurn
from urst_core.runs.paintings import StyleChoice, pair_up
from urst_core.runs.result_list import LIST_NAME, ResultList
from urst_core.runs.work_folder import WorkFolder
from urst_core.tiling.settings import IfInterrupted, Settings

SETTINGS = Settings(device="cpu", thumbnail_size=24, tile_size=24, strokes="fine")


class StopError(Exception):
    """Ends a job, as Ctrl-C does."""


class Follower:
    """Lists what it is told, and ends the job at the given event."""

    def __init__(self, stop_at=None):
        self.events, self._stop_at = [], stop_at

    def _add(self, event):
        self.events.append(event)
        if len(self.events) == self._stop_at:
            raise StopError

    def begin(self, painting):
        self._add(painting.output.name)

    def update(self, _painting, progress):
        if progress.stage == "tiles" and progress.tiles_done:
            self._add("tile")

    def finish(self, _painting):
        self._add("finished")

    def fail(self, painting, error):
        self._add(f"{painting.output.name} failed: {error.message}")

    @property
    def begun(self):
        return [event for event in self.events if event.endswith(".png")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, seed in (("a", 1), ("b", 2)):
        save_picture(folder / f"{name}.png", stored_picture((28, 40), seed=seed))
    for name, seed in (("monet", 3), ("klee", 4)):
        save_picture(folder / f"{name}.jpg", stored_picture((24, 24), seed=seed))
    return folder


@pytest.fixture
def folder(tmp_path, pictures):
    return Path(shutil.copytree(pictures, tmp_path / "pictures"))


@pytest.fixture
def job_of(folder, microast):
    """Makes a job of all PNGs in both styles."""

    def make(
        if_interrupted=IfInterrupted.REFUSE,
        *,
        settings=SETTINGS,
        overwrite=False,
        name=None,
        painter=InTurn(),  # noqa: B008 - it has no state
    ):
        def run_of(painting):
            return FileRun(
                painting.content, painting.style.styles, painting.output, microast, settings
            )

        styles = [StyleChoice((str(folder / f"{n}.jpg"),), n) for n in ("monet", "klee")]
        contents = find_pictures(folder / "*.png")
        output = folder / "painted" / "now"
        options = {} if name is None else {"name": name}
        paintings = pair_up(contents, styles, output, **options)
        return Job(paintings, output, run_of, if_interrupted, overwrite, painter)

    return make


def results(job):
    return {p.output.name: p.output.read_bytes() for p in job.paintings if p.output.exists()}


def single_runs(job, tmp_path):
    """The bytes of each result by a run of its own."""
    found = {}
    for painting in job.paintings:
        run = replace(job.run_of(painting), output=tmp_path / painting.output.name)
        run.run()
        found[painting.output.name] = run.output.read_bytes()
    return found


@pytest.mark.slow
def test_results_are_those_of_single_runs(job_of, tmp_path, monkeypatch):
    job, follower = job_of(settings=replace(SETTINGS, strokes="preview")), Follower()
    encoded = []
    encode = Backbone.encode_style
    monkeypatch.setattr(
        Backbone, "encode_style", lambda *args, **more: encoded.append(1) or encode(*args, **more)
    )
    outcome = job.run(follower)
    assert len(encoded) == 2  # not for each picture
    assert [p.output.name for p in outcome.painted] == follower.begun
    assert follower.begun == ["a_monet.png", "a_klee.png", "b_monet.png", "b_klee.png"]
    assert not outcome.failed
    assert not outcome.finished_before
    assert results(job) == single_runs(job, tmp_path)
    assert sorted(path.name for path in job.folder.iterdir()) == sorted(
        [LIST_NAME, *follower.begun]
    )


@pytest.mark.slow
def test_results_of_several_pictures_at_once_are_those_of_single_runs(job_of, folder, tmp_path):
    expected = single_runs(job_of(), tmp_path)
    (folder / "c.png").write_bytes(b"no picture")
    painter = AtOnce(3)
    with pytest.raises(StopError):
        job_of(painter=painter).run(Follower(4))
    kept = len(results(job_of()))
    assert kept < 4
    follower = Follower()
    outcome = job_of(IfInterrupted.RESUME, painter=painter).run(follower)
    assert len(outcome.painted) == 4 - kept
    assert len(outcome.finished_before) == kept
    assert [p.output.name for p in outcome.failed] == ["c_monet.png", "c_klee.png"]
    assert results(job_of()) == expected


@pytest.mark.slow
def test_styles_that_match_each_content_are_not_shared(job_of, tmp_path):
    job = job_of(settings=replace(SETTINGS, colors="matched"))
    job.run(Follower())
    assert results(job) == single_runs(job, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", [2, 9])
def test_an_interrupted_job_resumes_to_the_same_files(job_of, tmp_path, stop_at):
    with pytest.raises(StopError):
        job_of().run(Follower(stop_at))
    kept = len(results(job_of()))
    with pytest.raises(OutputError, match=r"was interrupted with|results exist in"):
        job_of().run(Follower())
    outcome = job_of(IfInterrupted.RESUME).run(Follower())
    assert len(outcome.finished_before) == kept
    assert len(outcome.painted) == 4 - kept
    assert results(job_of()) == single_runs(job_of(), tmp_path)


@pytest.mark.parametrize("removed", [0, 1, 2, 3, 4])
def test_leftovers_of_a_kill_at_the_end_of_a_picture_are_removed(job_of, monkeypatch, removed):
    job = job_of(name="{content}_{style}")
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "remove", lambda _folder: None)
        job.run(Follower())
    kept = results(job)
    folders = [WorkFolder(painting.output).path for painting in job.paintings]
    # As far as the run got before it was killed.
    order = {"run.json": 0, "lock": 2, "urst-work-folder": 3}
    for path in [path for folder in folders for path in folder.iterdir()]:
        if order.get(path.name, 1) < removed:
            path.unlink()
    outcome = job_of(IfInterrupted.RESUME).run(Follower())
    assert len(outcome.finished_before) == 4
    assert results(job) == kept
    assert [folder for folder in folders if folder.exists()] == []


def test_the_work_of_another_run_is_kept(job_of):
    job = job_of()
    job.run(Follower())
    other = replace(SETTINGS, strength=0.5)
    with pytest.raises(StopError):
        job_of(IfInterrupted.DISCARD, settings=other, overwrite=True).run(Follower(3))
    left = [f for p in job.paintings if (f := WorkFolder(p.output).path).exists()]
    assert len(left) == 1
    job_of(IfInterrupted.RESUME).run(Follower())
    assert left[0].exists()


def test_broken_pictures_are_skipped_and_retried(job_of, folder):
    good = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(b"no picture")
    follower = Follower()
    outcome = job_of().run(follower)
    assert [p.output.name for p in outcome.failed] == ["b_monet.png", "b_klee.png"]
    assert len(outcome.painted) == 2
    failures = [event for event in follower.events if " failed: " in event]
    assert all(f"picture {folder / 'b.png'} cannot be read" in event for event in failures)
    (folder / "b.png").write_bytes(good)
    outcome = job_of(IfInterrupted.RESUME).run(Follower())
    assert [p.output.name for p in outcome.painted] == ["b_monet.png", "b_klee.png"]


def test_a_broken_style_leaves_the_others(job_of, folder):
    (folder / "monet.jpg").write_bytes(b"no picture")
    outcome = job_of().run(Follower())
    assert [p.output.name for p in outcome.failed] == ["a_monet.png", "b_monet.png"]
    assert [p.output.name for p in outcome.painted] == ["a_klee.png", "b_klee.png"]


@pytest.mark.slow
def test_other_settings_do_not_resume(job_of):
    job_of().run(Follower())
    other = replace(SETTINGS, strength=0.5)
    with pytest.raises(OutputError) as caught:
        job_of(IfInterrupted.RESUME, settings=other).run(Follower())
    assert str(caught.value).endswith(
        "a_monet.png cannot be kept, it had: strength 1.0, not 0.5; use the same inputs and "
        "settings, or pass overwrite=True"
    )
    follower = Follower()
    job_of(IfInterrupted.RESUME, settings=other, overwrite=True).run(follower)
    assert len(follower.begun) == 4
    assert not Follower(1).begun


def test_existing_files(job_of):
    job = job_of()
    job.folder.mkdir(parents=True)
    foreign = job.folder / "a_klee.png"
    foreign.write_bytes(b"precious")
    for if_interrupted in IfInterrupted:
        with pytest.raises(OutputError) as caught:
            job_of(if_interrupted).run(Follower())
        assert caught.value.message == f"1 of 4 results exist in {job.folder} (a_klee.png)"
        assert foreign.read_bytes() == b"precious"
    job_of(overwrite=True).run(Follower())
    assert foreign.read_bytes() != b"precious"


@pytest.mark.slow
def test_restart_paints_the_results_of_the_job_again(job_of):
    job_of().run(Follower())
    with pytest.raises(OutputError) as caught:
        job_of().run(Follower())
    assert [getattr(remedy, "value", None) for remedy in caught.value.remedies] == [
        "resume",
        "restart",
        True,
    ]
    follower = Follower()
    job_of(IfInterrupted.DISCARD).run(follower)
    assert len(follower.begun) == 4


def test_no_result_replaces_an_input(job_of, folder):
    job = replace(
        job_of(overwrite=True),
        paintings=[replace(p, output=folder / "b.png") for p in job_of().paintings[:1]],
        folder=folder,
    )
    with pytest.raises(OutputError, match=r"b\.png is the (content|style) itself"):
        replace(
            job, paintings=[*job.paintings, replace(job.paintings[0], content=folder / "b.png")]
        ).run(Follower())


def test_a_damaged_list_paints_again(tmp_path):
    results = ResultList(tmp_path)
    results.add(tmp_path / "a.png", {"seed": "0"})
    results.add(tmp_path / "b.png", {"seed": "0"})
    path = tmp_path / LIST_NAME
    path.write_bytes(path.read_bytes().replace(b"a.png", b"c.png")[:-3])
    again = ResultList(tmp_path)
    assert [tmp_path / name in again for name in ("a.png", "b.png", "c.png")] == [False] * 3
    again.add(tmp_path / "b.png", {"seed": "1"})
    assert ResultList(tmp_path).identity(tmp_path / "b.png") == {"seed": "1"}


def test_a_list_that_cannot_be_used(tmp_path):
    (tmp_path / LIST_NAME).mkdir()
    with pytest.raises(OutputError, match=r"of results cannot be read .*; remove it"):
        ResultList(tmp_path)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are followed on this system")
def test_a_link_in_place_of_the_list_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.touch()
    results = ResultList(tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LIST_NAME).symlink_to(target)
    with pytest.raises(OutputError, match="of results cannot be written to"):
        results.add(tmp_path / "other" / "a.png", {})
    assert target.read_bytes() == b""
