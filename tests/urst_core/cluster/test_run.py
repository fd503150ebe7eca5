"""A picture on a local Ray cluster of two workers has the pixels of an ordinary run.

What the driver of a run decides is tested with workers in this process.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from examples import load_picture, save_picture, stored_picture
from ray_in_process import RayInProcess

from urst_core.cluster import ray as ray_cluster
from urst_core.cluster.levels import ContentStore, LevelStores, kept_levels
from urst_core.cluster.output import OvertakenError
from urst_core.cluster.ray import joined_cluster
from urst_core.cluster.resume import FinishedTiles
from urst_core.cluster.run import add_distributed_arguments, stylize_distributed
from urst_core.cluster.worker import Job, PictureFacts, TilePlan, TileWorker
from urst_core.errors import ClusterError, DeviceError, ImageError, OutputError
from urst_core.formats.input_options import InputOptions
from urst_core.formats.open import ImageFile
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.zarr.canvas import ZarrCanvas
from urst_core.formats.zarr.source import ZarrPicture
from urst_core.geometry import Rectangle, cut
from urst_core.method.level_pictures import LevelPicture
from urst_core.method.pipeline import stylize
from urst_core.method.strokes import level_sizes
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import IfInterrupted, Settings

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr >= 3 is not installed")

SIZE = (150, 211)
SETTINGS = Settings(strokes="fine", thumbnail_size=64, style_size=64, tile_size=64, device="cpu")
STYLE = TensorSource(stored_picture((64, 72), seed=3))


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> Path:
    return save_picture(
        tmp_path_factory.mktemp("content") / "content.tif", stored_picture(SIZE, channels=4)
    )


@pytest.fixture(scope="module")
def expected(content, microast) -> torch.Tensor:
    """What one machine makes of it."""
    canvas = TensorCanvas(SIZE, channels=4)
    stylize(ImageFile(content), [STYLE], canvas, microast, SETTINGS)
    return canvas.pixels


@pytest.fixture(scope="module")
def cluster():
    """Ray with two workers' room, started as ``--ray local`` starts it."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    pytest.importorskip("ray", reason="Ray is not installed")
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two workers need two CPUs")
    with pytest.MonkeyPatch.context() as patch:
        # A bucket needs no folders to be made: here, and in the workers, which get our environment.
        patch.setitem(fsspec.config.conf, "local", {"auto_mkdir": True})
        patch.setenv("FSSPEC_LOCAL_AUTO_MKDIR", "true")
        patch.setattr(ray_cluster, "OBJECT_STORE_BYTES", 80_000_000)
        handler = signal.getsignal(signal.SIGTERM)
        with joined_cluster("local") as ray:
            assert signal.getsignal(signal.SIGTERM) is handler
            yield ray
        assert not ray.is_initialized()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As each worker has: the last bits of statistics depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def workers_here(monkeypatch) -> RayInProcess:
    """Workers that take their turns in this process."""
    ray = RayInProcess()
    monkeypatch.setattr(ray_cluster, "ray_module", lambda: ray)
    return ray


def whole(location) -> torch.Tensor:
    picture = ZarrPicture(location)
    return picture.read(Rectangle.of_size(picture.size))


def run(content, output, backbone, **options):
    options = {"address": "local", "workers": 2, **options}
    settings = options.pop("settings", SETTINGS)
    return stylize_distributed(content, [STYLE], output, backbone, settings, **options)


def tiles_done_by_resuming(content, output, backbone) -> list[int]:
    """How many tiles were done, each time that the resumed run reported."""
    done = []
    run(
        content,
        output,
        backbone,
        if_interrupted=IfInterrupted.RESUME,
        listener=lambda progress: done.append(progress.tiles_done),
    )
    return done


def workers_of_this_cluster() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    """False, too, for a process that ends while it is asked, or that its parent has yet to reap."""
    try:
        return "TileWorker" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


KILLED_DRIVER = """
import os, signal, sys
from pathlib import Path
import torch
from urst_core.cluster import resume
from urst_core.cluster.run import stylize_distributed
from urst_core.formats.open import open_picture
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

def kill_me(progress):
    if progress.tiles_done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

resume.FLUSH_SECONDS = 0.0  # else the tiles of the last seconds are lost
content, style, output = map(Path, sys.argv[1:4])
settings = Settings(strokes="fine", thumbnail_size=64, style_size=64, tile_size=64, device="cpu")
styles = [open_picture(style, flatten=True)]
stylize_distributed(content, styles, output, load_backbone(), settings,
                    address=sys.argv[4], workers=2, listener=kill_me)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="nothing kills at once there")
@pytest.mark.usefixtures("workers_here")
def test_a_driver_is_killed_and_another_resumes(cluster, content, expected, microast, tmp_path):
    """In a process of its own; the lock dies with it."""
    style = save_picture(tmp_path / "style.png", stored_picture((64, 72), seed=3))
    folder = tmp_path / "results"
    folder.mkdir()
    output = folder / "a.zarr"
    address = cluster.get_runtime_context().gcs_address
    driver = [sys.executable, "-c", KILLED_DRIVER, str(content), str(style), str(output), address]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(driver, env=environment, check=False).returncode == -signal.SIGKILL
    assert not output.exists()
    with pytest.raises(OutputError, match="was interrupted; pass if_interrupted='resume'"):
        run(content, output, microast)
    done = tiles_done_by_resuming(content, output, microast)
    assert done[0] > 0
    assert torch.equal(whole(output), expected)
    assert os.listdir(folder) == ["a.zarr"]


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("name", ["a.zarr", "a.tif"])
def test_two_drivers_of_one_output(content, expected, microast, tmp_path, name):
    """The second is refused, however it asks, and the first ends with its picture."""
    output, refusals = tmp_path / name, []

    def another(progress):
        if progress.stage != "tiles" or progress.tiles_done != 7:
            return
        for if_interrupted in IfInterrupted:
            with pytest.raises(OutputError) as caught:
                run(content, output, microast, overwrite=True, if_interrupted=if_interrupted)
            refusals.append(str(caught.value))

    run(content, output, microast, listener=another)
    assert set(refusals) == {f"another run is making {output}; wait for it, or choose another name"}
    assert len(refusals) == len(IfInterrupted)
    made = load_picture(output) if name == "a.tif" else whole(output)
    assert torch.equal(made, expected)
    assert os.listdir(tmp_path) == [name]


def test_a_driver_that_was_overtaken_leaves_the_store_alone(content, tmp_path):
    """As behind a URL, where nothing can be locked."""
    facts = {"edge": 32, "dtype": torch.float32, "identity": {"seed": "1"}}
    slow, quick = FinishedTiles(35, **facts), FinishedTiles(35, **facts)
    earlier = ZarrCanvas(tmp_path / "a.zarr", ImageFile(content), edge=32)
    slow.begin(earlier)
    slow.flush(earlier)
    later = ZarrCanvas(
        tmp_path / "a.zarr", ImageFile(content), edge=32, if_interrupted=IfInterrupted.DISCARD
    )
    quick.begin(later)
    with pytest.raises(OvertakenError) as caught, earlier:
        slow.flush(earlier)
    assert str(caught.value) == (
        f"another run took {tmp_path / 'a.zarr'} over; wait for it, or choose another name"
    )
    assert later.working_location.is_dir()
    quick.flush(later)
    later.finish()
    with pytest.raises(OvertakenError):
        slow.check_driver(earlier)


def test_a_lock_that_is_not_ours(content, microast, tmp_path):
    """It would be opened for writing, and removed."""
    precious = tmp_path / "precious"
    precious.write_text("years of work")
    lock = tmp_path / ".a.zarr.lock"
    lock.symlink_to(precious)
    said = f"{lock} exists and is not a lock; move it, or choose another name"
    with pytest.raises(OutputError) as caught:
        run(content, tmp_path / "a.zarr", microast)
    assert str(caught.value) == said
    lock.unlink()
    lock.write_text("years of work")
    with pytest.raises(OutputError) as caught:
        run(content, tmp_path / "a.zarr", microast)
    assert str(caught.value) == said
    assert precious.read_text() == lock.read_text() == "years of work"


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_the_picture_is_correct_if_a_worker_dies(content, expected, microast, tmp_path):
    killed, heard = [], []

    def kill_one(progress):
        heard.append(progress)
        if progress.tiles_done == 5 and not killed:
            worker = workers_of_this_cluster()[0]
            os.kill(worker.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            killed.append(worker.pid)

    # A folder as fsspec sees it: the nearest thing to a bucket that several processes can write.
    output = f"local://{tmp_path.as_posix()}/a.ome.zarr"
    run(content, output, microast, listener=kill_one)
    assert len(killed) == 1
    psutil.wait_procs(workers_of_this_cluster(), timeout=60)
    assert not workers_of_this_cluster()
    assert torch.equal(whole(output), expected)
    assert torch.equal(whole(tmp_path / "a.ome.zarr"), expected)
    assert os.listdir(tmp_path) == ["a.ome.zarr"]
    tiles = [progress for progress in heard if progress.stage == "tiles"]
    assert [progress.tiles_done for progress in tiles] == list(range(13))
    assert tiles[-1].pixels_done == tiles[-1].pixels_total == 152 * 212
    assert {progress.stage for progress in heard} == {"tiles", "pyramid 1", "pyramid 2"}
    with pytest.raises(OutputError, match=r"exists; choose another name"):
        run(content, output, microast)


@pytest.mark.slow
def test_a_stopped_run_resumes(content, expected, microast, tmp_path, workers_here):
    output = tmp_path / "a.tif"

    def stop(progress):
        if progress.tiles_done == 7:
            raise DeviceError("the disk smells of smoke; leave the room")

    with pytest.raises(DeviceError) as caught:
        run(content, output, microast, listener=stop)
    assert len(workers_here.killed) == 2
    unfinished = tmp_path / "a.tif.tiles.zarr.unfinished"
    assert os.listdir(tmp_path) == [unfinished.name]
    assert str(caught.value) == (
        "the disk smells of smoke; leave the room; the finished tiles are kept in "
        f"{unfinished}; pass if_interrupted='resume', or pass "
        "if_interrupted='restart'"
    )
    with pytest.raises(OutputError) as caught:
        run(content, output, microast)
    assert str(caught.value) == (
        f"an earlier run for {unfinished.with_suffix('')} was interrupted; pass "
        "if_interrupted='resume', or pass if_interrupted='restart'"
    )
    with pytest.raises(OutputError) as caught:
        run(
            content,
            output,
            microast,
            if_interrupted=IfInterrupted.RESUME,
            settings=Settings(strokes="fine", tile_size=64, device="cpu"),
        )
    message = str(caught.value)
    assert message.startswith("the unfinished result cannot be resumed, it had: ")
    assert "statistics and styles SHA-256 " in message
    assert message.endswith("; use the same inputs and settings, or pass if_interrupted='restart'")
    done = tiles_done_by_resuming(content, output, microast)
    assert done[0] == 7
    assert torch.equal(load_picture(output), expected)
    assert os.listdir(tmp_path) == ["a.tif"]


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_worker_that_finds_no_content(content, microast, tmp_path):
    """As on a machine that does not share the folder: here the file goes while workers start."""
    moving = tmp_path / "content.tif"
    moving.write_bytes(content.read_bytes())
    measured = microast

    class Vanishing(type(microast)):
        def bake(self, stats):
            moving.unlink()
            return super().bake(stats)

    backbone = Vanishing(measured.network, measured.fingerprint)
    with pytest.raises(ClusterError) as caught:
        run(moving, tmp_path / "a.zarr", backbone, workers=1)
    message = str(caught.value)
    assert message.startswith("worker on ")
    assert f"cannot use the content: picture {moving} does not exist; check the path" in message
    assert message.endswith("(every machine reads it itself: use a path that all share, or a URL)")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("done", ["no base64!", "AAAA", None, 7])
def test_damaged_notes_of_an_earlier_run(done):
    finished = FinishedTiles(35, edge=32, dtype=torch.float32, identity={"seed": "1"})
    with pytest.raises(OutputError) as caught:
        finished.restore({"run": {"seed": "1"}, "done": done})
    message = str(caught.value)
    assert message.startswith("the unfinished result has damaged notes (")
    assert message.endswith("); pass if_interrupted='restart'")


# One worker, without Ray


def job(content, microast, *, size=SIZE) -> Job:
    stats = microast.collect(
        torch.rand(1, 3, 64, 64), microast.encode_style([torch.rand(1, 3, 64, 64)])
    )
    facts = PictureFacts(size, 4, torch.uint8)
    return Job(content, facts, microast.bake(stats), microast.traits, "cpu", 1, 1)


def test_a_worker_that_finds_another_picture(content, microast):
    with pytest.raises(ClusterError) as caught:
        TileWorker().start(job(content, microast, size=(150, 212)))
    assert str(caught.value).endswith(
        f" finds another picture at {content} (211 x 150 px instead of 212 x 150 px, or of other "
        "channels); use a path that all machines share"
    )


@pytest.mark.slow
def test_a_worker_is_as_careful_as_asked(content, microast, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "urst_core.cluster.worker.open_picture",
        lambda path, options: opened.append(options) or ImageFile(path, options=options),
    )
    asked = InputOptions(strict=True, any_size=True)
    TileWorker().start(replace(job(content, microast), input_options=asked))
    TileWorker().start(job(content, microast))
    assert opened == [asked, InputOptions()]


@pytest.mark.slow
def test_a_worker_out_of_memory_halves_its_tile(content, microast, tmp_path, monkeypatch):
    """The core is still written at once: its parts do not cover whole chunks."""
    forward, widths = TileNetwork.forward, []

    def short_of_memory(network, window, **options):
        widths.append(window.shape[-1])
        if window.shape[-1] > 64 + 2 * 56:
            raise torch.OutOfMemoryError("out of memory")
        return forward(network, window, **options)

    worker = TileWorker()
    worker.start(job(content, microast))
    with ZarrCanvas(tmp_path / "a.zarr", ImageFile(content), edge=128) as canvas:
        plan = TilePlan(canvas.working_location, 128, torch.float32)
        for core in cut(Rectangle(0, 0, 152, 212), 128):
            worker.stylize(core, plan)
    undisturbed = whole(tmp_path / "a.zarr")
    monkeypatch.setattr(TileNetwork, "forward", short_of_memory)
    with ZarrCanvas(tmp_path / "b.zarr", ImageFile(content), edge=128) as canvas:
        plan = TilePlan(canvas.working_location, 128, torch.float32)
        for core in cut(Rectangle(0, 0, 152, 212), 128):
            worker.stylize(core, plan)
    assert max(widths) > 64 + 2 * 56
    assert int((whole(tmp_path / "b.zarr").int() - undisturbed.int()).abs().max()) <= 1


def test_a_worker_proposes_tiles_for_its_share_of_memory(content, microast):
    worker = TileWorker()
    worker.start(job(content, microast))
    dtype, edge = worker.survey(None)
    assert dtype == torch.float32
    assert edge % microast.traits.stride == 0
    assert 32 <= edge <= 224


def test_only_padding_is_not_written(content, microast):
    worker = TileWorker()
    worker.start(job(content, microast))
    worker.stylize(Rectangle(152, 0, 160, 8), TilePlan("absent://", 32, torch.float32))


# What is refused before any work


def test_content_that_is_missing(microast, tmp_path):
    with pytest.raises(ImageError, match=r"absent.tif does not exist; check the path$"):
        run(tmp_path / "absent.tif", tmp_path / "a.zarr", microast)


def test_picture_file_behind_a_url(content, microast):
    with pytest.raises(OutputError) as caught:
        run(content, "memory://bucket/a.tif", microast)
    assert str(caught.value) == (
        "output memory://bucket/a.tif is a URL, behind which only Zarr can be written; end it with "
        ".zarr, or name a local file"
    )


def test_options_that_zarr_does_not_take(content, microast, tmp_path):
    with pytest.raises(OutputError) as caught:
        run(content, tmp_path / "a.zarr", microast, options=OutputOptions(quality=80))
    assert str(caught.value) == f"{tmp_path / 'a.zarr'}: Zarr takes no quality; leave it out"


def test_floating_content_into_a_picture_file(microast, tmp_path):
    zarr.create_array(str(tmp_path / "f.zarr"), data=torch.rand(3, 40, 40).numpy())
    with pytest.raises(OutputError) as caught:
        run(tmp_path / "f.zarr", tmp_path / "a.tif", microast)
    assert str(caught.value) == (
        f"{tmp_path / 'a.tif'}: picture files get 8 or 16 bits a channel, the content has floating "
        "values; end it with .zarr"
    )


def test_arguments():
    parser = argparse.ArgumentParser()
    add_distributed_arguments(parser)
    options = parser.parse_args(["--ray", "auto", "--ray-workers", "3"])
    assert (options.ray, options.ray_workers) == ("auto", 3)
    assert parser.parse_args([]).ray is None


# Larger strokes: level after level

LEVELS = replace(SETTINGS, tile_size=40, strokes="preview", strength=0.7, detail=0.5, seed=3)


@pytest.fixture(scope="module")
def expected_levels(content, microast) -> torch.Tensor:
    """What one machine makes of it in levels."""
    assert len(level_sizes(SIZE, LEVELS)) == 3
    canvas = TensorCanvas(SIZE, channels=4)
    stylize(ImageFile(content), [STYLE], canvas, microast, LEVELS)
    return canvas.pixels


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_levels_on_a_cluster_are_those_of_one_machine(content, expected_levels, microast, tmp_path):
    heard = []
    output = f"local://{tmp_path.as_posix()}/a.ome.zarr"
    run(content, output, microast, settings=LEVELS, listener=heard.append)
    assert torch.equal(whole(output), expected_levels)
    assert os.listdir(tmp_path) == ["a.ome.zarr"]
    tiles = [progress for progress in heard if progress.stage == "tiles"]
    done = [progress.pixels_done for progress in tiles]
    assert done == sorted(done)
    assert done[-1] == tiles[-1].pixels_total


@pytest.mark.slow
@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_level_that_was_stopped_is_resumed(content, expected_levels, microast, tmp_path, number):
    output, seen = tmp_path / "a.tif", []

    def stop(progress):
        if progress.stage == "tiles" and progress.core is not None:
            seen.append((progress.frame or SIZE, progress.core))
            frames = [frame for frame, _ in seen]
            if len(set(frames)) == number + 1 and frames.count(frames[-1]) == 2:
                raise DeviceError("the disk smells of smoke; leave the room")

    with pytest.raises(DeviceError) as caught:
        run(content, output, microast, settings=LEVELS, listener=stop)
    pictures = [f"a.tif.tiles.zarr.level-{n}.picture.zarr.unfinished" for n in (0, 1)]
    kept = [*pictures, "a.tif.tiles.zarr.unfinished"][: number + 1]
    assert set(os.listdir(tmp_path)) == set(kept)
    assert str(caught.value) == (
        "the disk smells of smoke; leave the room; the finished tiles "
        f"{'of smaller sizes ' if number < 2 else ''}are kept in {tmp_path / kept[-1]}; "
        "pass if_interrupted='resume', or pass if_interrupted='restart'"
    )
    with pytest.raises(OutputError, match=r"an earlier run for .* was interrupted"):
        run(content, output, microast, settings=LEVELS)
    other = replace(LEVELS, seed=4)
    if number:
        with pytest.raises(OutputError, match="seed 3, not 4"):
            run(content, output, microast, settings=other, if_interrupted=IfInterrupted.RESUME)
    heard = []
    run(
        content,
        output,
        microast,
        settings=LEVELS,
        if_interrupted=IfInterrupted.RESUME,
        listener=heard.append,
    )
    again = {(progress.frame or SIZE, progress.core) for progress in heard if progress.core}
    assert again
    assert not again & set(seen)
    assert torch.equal(load_picture(output), expected_levels)
    assert os.listdir(tmp_path) == ["a.tif"]


def test_what_earlier_levels_are(tmp_path):
    """Only pictures with finished tiles count, and a damaged note is taken for one."""
    stores = LevelStores(tmp_path / "a.zarr", 2)
    like = LevelPicture((40, 50))
    assert stores.begun() == []
    with kept_levels(stores, tmp_path / "a.zarr", IfInterrupted.REFUSE):
        ContentStore(stores.content(1), like).write(
            Rectangle.of_size(like.size), torch.full((3, 40, 50), 7, dtype=torch.uint16)
        )
    assert os.listdir(tmp_path) == []
    canvas = ZarrCanvas(stores.picture(0), like, edge=32, pyramid=False)
    tiles = FinishedTiles(4, edge=32, dtype=torch.float32, identity={})
    tiles.begin(canvas)
    assert stores.begun() == []
    tiles.add(1, canvas)
    tiles.flush(canvas)
    assert stores.begun() == [tmp_path / "a.zarr.level-0.picture.zarr.unfinished"]
    with (
        pytest.raises(OutputError) as caught,
        kept_levels(stores, tmp_path / "a.zarr", IfInterrupted.REFUSE),
    ):
        raise AssertionError
    assert str(caught.value) == (
        f"an earlier run for {tmp_path / 'a.zarr'} was interrupted; pass if_interrupted='resume', "
        "or pass if_interrupted='restart'"
    )
    canvas.note({"done": "!"})
    assert stores.begun()
    with kept_levels(stores, tmp_path / "a.zarr", IfInterrupted.DISCARD):
        assert stores.begun() == []
