"""The forecast: its values, and early refusals."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import time
from dataclasses import replace

import psutil
import pytest
import torch
from examples import save_picture, stored_picture

from urst_core.cli import main as cli
from urst_core.errors import DeviceError, OutputError
from urst_core.formats.output_options import OutputOptions
from urst_core.geometry import Rectangle, cut, tile_around
from urst_core.method.level_run import level_run
from urst_core.method.run import Run
from urst_core.method.strokes import Below
from urst_core.pictures.source import TensorSource
from urst_core.progress import ignore
from urst_core.runs import timing
from urst_core.runs.file_run import FileRun
from urst_core.runs.plan import plan_run
from urst_core.runs.planned_tiles import planned_tiles
from urst_core.runs.timing import calibrated
from urst_core.tiling.settings import Settings

SIZE = (100, 136)
GB = 10**9


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "content.png", stored_picture(SIZE))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    return tmp_path


@pytest.fixture
def plan_of(microast, tmp_path):
    def plan(size=SIZE, channels=3, dtype=torch.uint8, styles=(), **settings):
        content = TensorSource(torch.zeros((channels, 1, 1), dtype=dtype).expand(-1, *size))
        options = Settings(**{"device": "cpu", "tile_size": 32, "strokes": "fine", **settings})
        output = tmp_path / "out.tif"
        return plan_run(Run.of(content, microast, options), styles, output, OutputOptions())

    return plan


def test_tiles_and_what_their_halo_costs(plan_of, microast):
    plan = plan_of((101, 135))
    assert plan.frame == (104, 136)
    cores = list(cut(Rectangle.of_size(plan.frame), 32))
    windows = [tile_around(core, microast.traits.halo, plan.frame).window for core in cores]
    assert plan.tiles == len(cores)
    assert plan.halo_share == sum(w.area for w in windows) / (104 * 136) - 1
    assert plan.passes == 1
    assert plan_of(stats="exact").passes == 3


def test_tiles_of_each_level_are_those_of_the_run(microast):
    def blank(size):
        return TensorSource(torch.zeros(3, 1, 1, dtype=torch.uint8).expand(-1, *size))

    run = Run.of(blank((4150, 6024)), microast, Settings(device="cpu", strokes="preview"))
    planned = planned_tiles(run, torch.float32, free_bytes=2**42)
    contents = [blank(size) for size in run.level_sizes]
    belows = [None, *(Below(each, each) for each in contents)]
    levels = [
        level_run(run, number, content, below, ignore)
        for number, (content, below) in enumerate(zip(contents, belows))
    ]
    loops = [level.tiles(torch.float32) for level in levels]
    for tiles, loop in zip(planned, loops, strict=True):
        assert (tiles.edge, tiles.halo, tiles.frame) == (loop.edge, loop.halo, loop.frame)
    # Here the last level has the widest margin, and the first a smaller frame than a tile.
    assert loops[-1].halo == max(loop.halo for loop in loops) > loops[0].halo
    assert loops[-1].edge > loops[0].edge


def test_stages_follow_one_another(plan_of):
    """So the run takes the largest of them; a GPU's memory is separate from the host's."""
    parts = {"host_bytes": 1, "tile_bytes": 7, "band_bytes": 8, "small_bytes": 9}
    parts["retained_bytes"] = 3
    assert replace(plan_of(), **parts).needed_bytes == 11
    assert replace(plan_of(), **{**parts, "band_bytes": 12}).needed_bytes == 12
    assert replace(plan_of(), **{**parts, "small_bytes": 13}).needed_bytes == 13
    assert replace(plan_of(), **parts, device="cuda:0").needed_bytes == 8
    assert plan_of().program_bytes > 50_000_000


def test_bytes_follow_tile_and_thumbnail_not_the_picture(plan_of, microast):
    small, large = plan_of((4096, 4096)), plan_of((16384, 16384))
    traits = microast.traits
    window_bytes = (32 + 2 * traits.halo) ** 2 * traits.tile_bytes_per_pixel
    assert small.tile_bytes == large.tile_bytes == window_bytes
    assert small.small_bytes == large.small_bytes == 1024**2 * microast.traits.bytes_per_pixel
    assert small.host_bytes == large.host_bytes
    assert plan_of((4096, 4096), tile_size=64).tile_bytes > small.tile_bytes
    # Exact statistics are measured by the network itself, which takes more than its bands.
    exact = plan_of((4096, 4096), stats="exact").tile_bytes
    assert exact == (32 + 2 * traits.halo) ** 2 * traits.bytes_per_pixel
    assert large.work_bytes - small.work_bytes == 3 * (16384**2 - 4096**2)
    assert plan_of((4096, 4096), precision="bf16").tile_bytes == small.tile_bytes // 2
    wide = plan_of((4096, 4096), channels=4, dtype=torch.uint16)
    assert wide.work_bytes - plan_of((4096, 4096)).work_bytes == 5 * 4096**2


def test_enough_of_everything_is_not_refused(plan_of):
    plan_of().check()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"work_bytes": 2 * GB, "result_bytes": GB, "disk_free_bytes": 2 * GB},
            OutputError,
            "the result may take 3.0 GB with its work file, 2.0 GB are free in {folder}; "
            "free some or choose another folder",
        ),
        (
            {"small_bytes": 9 * GB, "device_free_bytes": 8 * GB},
            DeviceError,
            "the thumbnail and the styles need about 9.0 GB on cpu, 8.0 GB are free; lower "
            "thumbnail_size, or lower style_size, or use another device",
        ),
        (
            {"tile_bytes": 9 * GB, "device_free_bytes": 8 * GB, "fitting_tile_size": 16},
            DeviceError,
            "tiles of 32 px need about 9.0 GB on cpu, 8.0 GB are free; "
            "free some, or pass tile_size=16",
        ),
        (
            {"tile_bytes": 9 * GB, "device_free_bytes": 8 * GB, "fitting_tile_size": 32},
            DeviceError,
            "tiles of 32 px need about 9.0 GB on cpu, 8.0 GB are free; "
            "free some, or use another device",
        ),
        (
            {
                "tile_bytes": 5 * GB,
                "device_free_bytes": 8 * GB,
                "host_bytes": 4 * GB,
                "host_free_bytes": 8 * GB,
                "fitting_tile_size": 16,
            },
            DeviceError,
            "the run needs about 9.0 GB of memory, 8.0 GB are free; "
            "close other programs, or pass tile_size=16",
        ),
    ],
)
def test_refused_in_time(plan_of, tmp_path, changes, error, message):
    plan = replace(plan_of(), small_bytes=0, retained_bytes=0)
    with pytest.raises(error) as caught:
        replace(plan, **changes).check()
    assert str(caught.value) == message.format(folder=tmp_path)


def test_present_bytes_are_not_needed_again(plan_of):
    plan = replace(plan_of(), work_bytes=2 * GB, result_bytes=GB, disk_free_bytes=2 * GB)
    plan.check(present_bytes=GB)


@pytest.mark.parametrize(
    "kind",
    [
        {"strokes": "fine", "stats": "exact"},
        pytest.param({"strokes": "preview", "stats": "exact"}, marks=pytest.mark.slow),
        pytest.param({"strokes": "preview"}, marks=pytest.mark.slow),
        {"strokes": "fine", "brushwork": 0.5},
    ],
)
def test_calibration_estimates_the_time_without_writing(folder, microast, kind):
    settings = Settings(device="cpu", tile_size=32, thumbnail_size=64, **kind)
    run = FileRun(
        folder / "content.png", [str(folder / "style.png")], folder / "out.png", microast, settings
    )
    before = sorted(folder.iterdir())
    plan = calibrated(run, run.plan())
    assert plan.precision == "fp32"
    assert min(plan.seconds.statistics, plan.seconds.tiles, plan.seconds.encoding) > 0
    assert plan.seconds.total < 60
    assert 0 < plan.likely_result_bytes <= plan.result_bytes
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("pace", "edges"), [(30, [512]), (50, [512, 1024])])
def test_long_runs_are_timed_on_larger_tiles(microast, monkeypatch, pace, edges):
    """A clock that ticks that many seconds each time that it is read."""
    content = TensorSource(torch.zeros(3, 1, 1).expand(-1, 2048, 2048))
    tiles = Run.of(content, microast, Settings(device="cpu", tile_size=2048)).tiles(torch.float32)
    tried, ticks = [], itertools.count(0, pace)
    whole = timing.windows_area(tiles.frame, tiles.edge, tiles.halo)
    sampled = sum(
        tile_around(core, tiles.halo, tiles.frame).window.area
        for core in cut(Rectangle.of_size(tiles.frame), 512)
    )
    monkeypatch.setattr(timing, "_run_only", lambda tiles, *_: tried.append(tiles.edge))
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(ticks) * sampled / whole)
    timing._seconds_of_all(tiles, None, 16)
    assert list(dict.fromkeys(tried)) == edges


# urst plan


def planned(folder, *options):
    arguments = ["plan", str(folder / "content.png"), str(folder / "style.png")]
    return cli.main([*arguments, "--device", "cpu", "--tile-size", "64", *options])


@pytest.mark.slow
def test_plan_prints_all_values(folder, capsys, microast):
    assert planned(folder, "-o", str(folder / "out.jpg"), "--stats", "exact") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "picture   136 x 100 px, 0.0 MP, 3 channels of 8 bits"
    assert lines[1] == "frame     136 x 100 px"
    halo = microast.traits.halo
    assert lines[2].startswith(f"tiles     6 of 64 px, 3 passes; their halo of {halo} px costs ")
    assert lines[3].startswith("device    cpu, fp32: ")
    assert [line.split()[0] for line in lines[4:]] == ["memory", "disk", "time"]
    disk = r"disk +\S+ MB for the work file, about \S+ MB \(at most \S+ MB\) for the result, of .* "
    assert re.fullmatch(f"{disk}free in {re.escape(str(folder))}", lines[5])
    assert re.search(r" s: start .* s, statistics .* s, tiles .* s, encoding .* s$", lines[6])
    assert not (folder / "out.jpg").exists()


def test_plan_as_json_without_style_and_output(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert cli.main(["plan", "content.png", "--device", "cpu", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tiles"] == 1
    assert plan["folder"] == str(folder)
    assert plan["seconds"]["tiles"] > 0
    age = time.time() - psutil.Process().create_time()
    assert 0 < plan["seconds"]["start"] < age, "the program's own, which a run repeats"
    assert sorted(path.name for path in folder.iterdir()) == ["content.png", "style.png"]


def test_plan_and_stylize_both_refuse_a_full_disk(folder, capsys, monkeypatch):
    usage = shutil.disk_usage(folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    output = ["-o", str(folder / "out.png")]
    assert planned(folder, *output) == 1
    plan = capsys.readouterr()
    assert "\ntiles     6 of 64 px; " in plan.out
    assert "\ntime " not in plan.out
    assert plan.err == (
        "urst: the result may take 2.2 MB with its work file, 1.0 MB are free in "
        f"{folder}; free some or choose another folder\n"
    )
    pictures = [str(folder / name) for name in ("content.png", "style.png")]
    assert cli.main(["stylize", *pictures, *output]) == 1
    assert capsys.readouterr().err == plan.err
    assert sorted(path.name for path in folder.iterdir()) == ["content.png", "style.png"]


def test_tiles_that_are_computed_together_take_memory_together(plan_of, monkeypatch):
    alone = plan_of()
    monkeypatch.setattr("urst_core.runs.plan.largest_batch", lambda *_, **__: 4)
    together = plan_of()
    assert together.tile_bytes == 4 * alone.tile_bytes
    assert together.host_bytes > alone.host_bytes
