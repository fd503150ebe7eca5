"""The pyramid: sizes of levels, exact tiles, results."""

from __future__ import annotations

import math
import weakref
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from examples import picture
from torch import nn
from torch.nn import functional as F

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.errors import SettingsError
from urst_core.geometry import Rectangle
from urst_core.method.level_pictures import level_contents
from urst_core.method.level_run import level_run
from urst_core.method.level_step import Step
from urst_core.method.pipeline import stylize, stylize_levels
from urst_core.method.run import Run
from urst_core.method.strokes import Below, JoinedSource, Level, level_margins, level_sizes
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.source import TensorCanvas, TensorSource, to_unit
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.progress import ignore
from urst_core.tiling import blocks
from urst_core.tiling.device import cpu_threads
from urst_core.tiling.loop import TileLoop
from urst_core.tiling.settings import Settings
from urst_core.tiling.stylize_tile import TileStylizer

STYLE = TensorSource(picture((96, 120), seed=3))
CONTENT = TensorSource(picture((67, 187)))


def run(backbone, content=CONTENT, *, listener=None, mask=None, style=STYLE, **settings):
    canvas = TensorCanvas(content.size, channels=content.channels, dtype=content.dtype)
    chosen = {"thumbnail_size": 64, "tile_size": 64, "strokes": "preview", **settings}
    extra = {} if listener is None else {"listener": listener}
    stylize(content, [style], canvas, backbone, Settings(**chosen), mask=mask, **extra)
    return canvas.pixels


@pytest.mark.parametrize(
    ("size", "settings", "sizes"),
    [
        ((3456, 5208), {}, [(680, 1024), (864, 1302), (1728, 2604), (3456, 5208)]),
        ((4000, 4096), {}, [(1000, 1024), (2000, 2048), (4000, 4096)]),
        ((4001, 4097), {}, [(1000, 1024), (2001, 2049), (4001, 4097)]),
        ((832, 1248), {}, [(683, 1024), (832, 1248)]),
        ((683, 1024), {}, [(683, 1024)]),
        ((10, 12), {}, [(10, 12)]),
        ((3456, 5208), {"thumbnail_size": 0}, [(3456, 5208)]),
        ((3456, 5208), {"strokes": "fine"}, [(3456, 5208)]),
        ((3456, 5208), {"strokes": 1.0}, [(3456, 5208)]),
        ((3456, 5208), {"strokes": 2.5}, [(1382, 2083), (1728, 2604), (3456, 5208)]),
        ((100, 200), {"strokes": 2}, [(50, 100), (100, 200)]),
        ((1, 3000), {"strokes": 4}, [(1, 750), (1, 1500), (1, 3000)]),
        ((100, 200), {"strokes": 1000.0}, [(1, 1), (1, 2), (2, 4), (4, 7), (7, 13), (13, 25)]),
    ],
)
def test_sizes_of_levels(size, settings, sizes):
    found = level_sizes(size, Settings(**{"strokes": "preview", **settings}))
    assert list(found)[: len(sizes)] == sizes
    assert found[-1] == size
    for coarse, fine in pairwise(found):
        assert max(fine[0] / coarse[0], fine[1] / coarse[1]) <= 2.5
        assert coarse != fine


class Network(nn.Module):
    """Replaces a tile network, with the same reach, in the precision of its input."""

    compute_dtype = torch.float32

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.kernel = torch.randn(3, 3, 9, 9, generator=generator, dtype=torch.float64) / 12

    def at(self, window, picture):
        del window, picture
        return self

    def forward(self, window, *, at_border=True, needed=None):
        del at_border, needed
        bent = torch.tanh(F.conv2d(window - 0.5, self.kernel.to(window), padding=4))
        return F.conv2d(bent, self.kernel.to(window), padding=4) + 0.5


@pytest.mark.parametrize("brushwork", [0.0, 1.0])
@pytest.mark.parametrize(
    "size",
    [
        pytest.param((99, 131), marks=pytest.mark.slow),
        pytest.param((96, 64), marks=pytest.mark.slow),
        (67, 100),
    ],
)
@pytest.mark.parametrize("coarse", [2, pytest.param(1.37, marks=pytest.mark.slow)])
def test_tiles_of_any_size_equal_the_whole_in_float64(microast, size, coarse, brushwork):
    """Join and merge, in one level; at the declared margin, and not at a few strides less."""
    small = (math.ceil(size[0] / coarse), math.ceil(size[1] / coarse))
    coarsest = (math.ceil(small[0] / 1.7), math.ceil(small[1] / 1.7))
    content = TensorSource(picture(size).double())
    below = Below(
        TensorSource(picture(small, seed=4).double()), TensorSource(picture(small, seed=5).double())
    )
    level = Level(
        1, size, below, brushwork=brushwork, detail=0.7, coarsest=coarsest, dtype=torch.float64
    )
    traits = replace(microast.traits, layers=())
    halo = 8
    frame = traits.frame_of(size)

    def pixels(edge, margin):
        canvas = TensorCanvas(size, dtype=torch.float64)
        work = TileStylizer(
            Network(), content, canvas, frame, torch.device("cpu"), halo=halo, refinement=level
        )
        TileLoop(frame, edge, traits, torch.device("cpu"), halo + margin).run("tiles", work)
        return canvas.pixels

    margin = level.margin(traits.stride)
    whole = pixels(1024, margin)
    for edge in (24, 44, 64):
        assert float((pixels(edge, margin) - whole).abs().max()) <= 1e-12
    if coarse == 2:
        # The outermost weights of nine kernels, multiplied, are too small to be seen.
        narrow = pixels(44, margin - (5 if brushwork else 4) * traits.stride)
        assert float((narrow - whole).abs().max()) > 1e-11


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "edges"),
    [
        ("embedded", (101, 150), (64,)),
        pytest.param("adain", (40, 131), (64,), marks=pytest.mark.slow),
        pytest.param("cd16x", (40, 131), (96,), marks=pytest.mark.slow),
    ],
)
def test_all_levels_are_exact_under_tiles_in_float64(microast, random_backbones, name, size, edges):
    """Statistics are fixed, as in every run: the thumbnails that they are of are float32."""
    backbone = microast if name == "embedded" else random_backbones[name]
    settings = Settings(
        thumbnail_size=48, style_size=48, precision="fp32", device="cpu", strokes="preview"
    )
    content = TensorSource(picture(size).double())
    run = replace(Run.of(content, backbone, settings), level_dtype=torch.float64)
    sizes, code = run.level_sizes, run.code_for_levels([STYLE])
    assert len(sizes) >= 3
    stats: dict[int, FrozenStats] = {}

    def painted(edge: int) -> list[torch.Tensor]:
        tiled = replace(run, settings=replace(settings, tile_size=edge))
        contents = level_contents(content, sizes, run.level_canvas)
        below, pictures = None, []
        for number, smaller in enumerate(contents):
            level = level_run(tiled, number, smaller, below, ignore)
            if number not in stats:
                stats[number] = level.measure(code)
            canvas = TensorCanvas(smaller.size, dtype=torch.float64)
            network = backbone.bake(stats[number]).prepared(torch.device("cpu"), torch.float64)
            level.stylize(network, canvas)
            below = Below(smaller, canvas)
            pictures.append(canvas.pixels)
        return pictures

    whole = painted(1024)
    assert float(whole[-1].std()) > 0.01
    for edge in edges:
        for first, second in zip(painted(edge), whole):
            assert float((first - second).abs().max()) <= 1e-9


def test_the_join_is_the_content_where_painting_and_content_agree():
    """No level adds anything of its own: a painting that is the content stays it."""
    content = TensorSource(picture((100, 140)).double())
    step = Step((50, 70), (100, 140), (50, 70))
    whole = Rectangle.of_size((100, 140))
    small = TensorSource(
        step.shrinking.apply(content.pixels, whole, Rectangle.of_size((50, 70))).clamp(0, 1)
    )
    level = Level(1, (100, 140), Below(small, small), dtype=torch.float64)
    joined = JoinedSource(content, level).read(whole)
    assert float((joined - content.pixels).abs().max()) <= 1e-12
    flat = replace(level, detail=0.0)
    enlarged = step.sharpen_and_enlarge(small.pixels, whole).clamp(0, 1)
    assert float((JoinedSource(content, flat).read(whole) - enlarged).abs().max()) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("strokes", ["preview", "fine", 1])
def test_one_level_without_brushwork_is_the_plain_pass(microast, strokes):
    """Where strokes are fine, or the picture is no larger than its thumbnail: bit for bit."""
    plain = TensorCanvas(CONTENT.size, dtype=torch.float32)
    settings = Settings(thumbnail_size=256, tile_size=64, strokes=strokes, brushwork=0.0)
    run_ = Run.of(CONTENT, microast, settings)
    run_.stylize(run_.network(run_.measure([STYLE])), plain)
    stylized = run(microast, strokes=strokes, thumbnail_size=256, brushwork=0.0)
    assert torch.equal(stylized, plain.pixels)
    if isinstance(strokes, str):
        assert torch.equal(run(microast, strokes=strokes, thumbnail_size=256), plain.pixels)


def test_the_coarsest_level_is_the_stylized_thumbnail(microast):
    """Bit for bit, whatever is chosen for the finer ones."""
    settings = Settings(thumbnail_size=64, strokes="preview")
    thumbnail = TensorSource(make_thumbnail(CONTENT, 64)[0])
    stylized = run(microast, thumbnail, strokes="fine")
    run_ = Run.of(CONTENT, microast, settings)
    seen = {}

    def listener(progress):
        if progress.frame is not None and progress.core is not None:
            seen.setdefault(progress.frame, {})[progress.core] = progress.pixels

    stylize_levels(
        replace(run_, listener=listener), [STYLE], TensorCanvas(CONTENT.size, dtype=torch.float32)
    )
    first = min(seen)
    assert first == (23, 64)
    (pixels,) = seen[first].values()
    assert torch.equal(pixels, stylized)


@pytest.fixture(scope="module")
def demo():
    landscape = DemoLandscape((256, 384))
    pixels = landscape.read(Rectangle.of_size(landscape.size))
    return TensorSource(to_unit(pixels)), TensorSource(demo_painting((192, 192)))


def decibels(image, reference):
    return -10 * math.log10(float((image - reference).square().mean()))


@pytest.mark.slow
def test_a_large_picture_looks_as_its_preview(microast, demo):
    content, style = demo
    thumbnail = TensorSource(make_thumbnail(content, 96)[0])
    chosen = {"style": style, "thumbnail_size": 96, "tile_size": 128}
    preview = run(microast, thumbnail, strokes="fine", **chosen)
    shrunk = {
        strokes: make_thumbnail(TensorSource(run(microast, content, strokes=strokes, **chosen)), 96)
        for strokes in ("preview", "fine")
    }
    assert decibels(shrunk["preview"][0], preview) >= 33.0
    assert decibels(shrunk["fine"][0], preview) < 22.0


@pytest.mark.slow
def test_strokes_larger_than_the_previews_are_not_overdone(microast, demo):
    """The second level is as large as a thumbnail, but soft: it is measured on a smaller one."""
    content, style = demo
    small = TensorSource(make_thumbnail(content, 48)[0])
    chosen = {"style": style, "thumbnail_size": 96, "tile_size": 128}
    coarsest = run(microast, small, strokes="fine", **chosen)
    large = run(microast, content, strokes=max(content.size) / 48, **chosen)
    shrunk = make_thumbnail(TensorSource(large), 48)[0]
    assert decibels(shrunk, coarsest) >= 33.0
    # Their finest strokes are hardly stronger than those of the preview's size.
    assert gradient(large) < 1.1 * gradient(run(microast, content, **chosen))


def gradient(pixels):
    return float((pixels[:, :, 1:].float() - pixels[:, :, :-1].float()).abs().quantile(0.99))


@pytest.mark.slow
def test_tile_size_does_not_change_pixels(microast):
    """In float32 a network's sums may differ in the last digit between tiles of two sizes."""
    pixels = [run(microast, tile_size=size) for size in (48, 4096)]
    assert float((pixels[0] - pixels[1]).abs().max()) <= 1e-3


@pytest.mark.slow
def test_strength_zero_is_the_content(microast):
    assert torch.equal(run(microast, strength=0.0), CONTENT.pixels)
    half = run(microast, strength=0.5)
    full = run(microast)
    assert float((half - CONTENT.pixels).square().mean()) > 0
    assert float((half - CONTENT.pixels).square().mean()) < float(
        (full - CONTENT.pixels).square().mean()
    )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_outside_a_mask_the_content_keeps_its_bits(microast, dtype):
    full_scale = torch.iinfo(dtype).max
    stored = (picture(CONTENT.size, channels=4) * full_scale).round().to(torch.int32).to(dtype)
    values = torch.zeros(CONTENT.size)
    values[:, 60:120], values[:, 120:] = 0.5, 1.0
    content = TensorSource(stored)
    masked = run(microast, content, mask=Mask(TensorMask(values)))
    full = run(microast, content)
    assert torch.equal(masked[:, :, :60], stored[:, :, :60])
    assert torch.equal(masked[:, :, 120:], full[:, :, 120:])
    assert not torch.equal(masked[:3, :, 60:120], stored[:3, :, 60:120])
    assert torch.equal(full[3], stored[3])
    assert full.dtype == dtype


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_flat_pictures_stay_finite(random_backbones, value):
    content = TensorSource(torch.full((3, 32, 100), value))
    stylized = run(random_backbones["adain"], content)
    assert bool(stylized.isfinite().all())
    assert float(stylized.min()) >= 0.0
    assert float(stylized.max()) <= 1.0


@pytest.mark.slow
def test_exact_statistics_are_measured_on_each_level(microast):
    steps = []
    exact = run(microast, stats="exact", listener=steps.append)
    assert {step.stage for step in steps} == {"tiles"}
    # Two sites to measure and one pass to stylize, for each of three levels.
    assert steps[-1].pixels_done == steps[-1].pixels_total == 3 * (24 * 64 + 36 * 96 + 68 * 188)
    assert steps[-1].tiles_done == steps[-1].tiles_total == 3 * (1 + 2 + 6)
    assert float((exact - run(microast)).abs().max()) > 1e-3


@pytest.mark.slow
def test_settings_that_change_the_picture(microast):
    content = TensorSource(picture((72, 104)))
    base = run(microast, content)
    assert torch.equal(run(microast, content), base)
    for changed in ({"seed": 1}, {"detail": 0.0}, {"brushwork": 0.0}, {"strokes": 2.0}):
        assert not torch.equal(run(microast, content, **changed), base)


@pytest.mark.slow
def test_all_levels_are_one_stage(microast):
    steps = []
    run(microast, listener=steps.append)
    assert {step.stage for step in steps} == {"tiles"}
    assert [step.pixels_done for step in steps] == sorted(step.pixels_done for step in steps)
    areas = [24 * 64, 36 * 96, 68 * 188]
    assert {step.pixels_total for step in steps} == {sum(areas)}
    assert steps[-1].pixels_done == sum(areas)
    assert steps[-1].tiles_done == steps[-1].tiles_total
    frames = [step.frame for step in steps if step.core is not None]
    assert list(dict.fromkeys(frames)) == [(23, 64), (34, 94), None]


def test_pixels_that_were_told_are_not_kept(microast, monkeypatch):
    """They are as large as a tile, and the next one needs the memory."""
    told = []
    compute = TileStylizer.compute_batch

    def checked(self, tiles, windows):
        assert [each for each in told if each() is not None] == []
        return compute(self, tiles, windows)

    def listen(progress):
        if progress.pixels is not None:
            told.append(weakref.ref(progress.pixels))

    monkeypatch.setattr(TileStylizer, "compute_batch", checked)
    run(microast, listener=listen, tile_size=32)
    assert len(told) > 6


@pytest.mark.slow
def test_a_cancel_ends_any_level(microast):
    class Cancelled(BaseException):
        """As ComfyUI's may be: not an Exception."""

    for last in (1, 2, 5):

        def cancel(progress, last=last):
            if progress.tiles_done == last:
                raise Cancelled

        with pytest.raises(Cancelled):
            run(microast, listener=cancel)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(
            (
                {"strokes": value},
                f"strokes {value!r} are unknown; use preview, fine, or a number from 1, a "
                "multiple of the network's own size",
            )
            for value in ("coarse", 0.5, float("nan"), float("inf"), -2)
        ),
        ({"detail": 1.5}, "detail 1.5 is out of range; use 0 to 1"),
        ({"brushwork": -0.1}, "brushwork -0.1 is out of range; use 0 to 1"),
        ({"brushwork": float("nan")}, "brushwork nan is out of range; use 0 to 1"),
        ({"seed": -1}, "seed -1 is out of range; use 0 to 4294967295"),
        ({"seed": 2**32}, "seed 4294967296 is out of range; use 0 to 4294967295"),
    ],
)
def test_invalid_strokes_are_refused(microast, settings, message):
    with pytest.raises(SettingsError) as caught:
        run(microast, **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("brushwork", [0.0, 0.5])
@pytest.mark.parametrize("strokes", ["fine", "preview", 1.0, 3.7])
def test_margins_are_known_before_there_are_levels(microast, brushwork, strokes):
    content = TensorSource(torch.zeros(3, 300, 410, dtype=torch.uint8))
    settings = Settings(thumbnail_size=64, brushwork=brushwork, strokes=strokes, device="cpu")
    run, stride = Run.of(content, microast, settings), microast.traits.stride
    sources = [TensorSource(torch.zeros(3, *size, dtype=torch.uint8)) for size in run.level_sizes]
    belows = [None, *(Below(source, source) for source in sources[:-1])]
    margins = [
        level_run(run, number, source, below, ignore).level.margin(stride)
        for number, (source, below) in enumerate(zip(sources, belows))
    ]
    assert level_margins(content.size, settings, stride) == ([0] if run.is_plain else margins)


@pytest.mark.parametrize("area", [Rectangle(0, 0, 67, 187), Rectangle(5, 300, 290, 1100)])
def test_noise_made_while_joining_is_that_made_before(area):
    """Other devices than the CPU get it from the reading thread."""
    content = torch.rand(3, *area.size, generator=torch.Generator().manual_seed(5))
    level = Level(2, (4000, 4000), brushwork=0.7, seed=9)
    joined = level.join(content, None, area)
    assert torch.equal(joined, level.join(content, None, area, noise=level.read_noise(area)))
    assert not torch.equal(joined, replace(level, brushwork=0.0).join(content, None, area))


@pytest.mark.parametrize("size", [(134, 374), (101, 299)])
def test_blocks_and_threads_do_not_change_pixels(microast, monkeypatch, size):
    """Levels with and without a back projection, one of half the size below."""
    content = TensorSource(picture(size))
    before = run(microast, content, tile_size=1024)
    for block in ((16, 24), (57, 40)):
        monkeypatch.setattr(blocks, "BLOCK", block)
        for threads in (1, 3):
            with cpu_threads(threads):
                assert torch.equal(run(microast, content, tile_size=1024), before)
