"""Colors of results: exact under tiles, with strokes, masks, batches and files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.errors import SettingsError
from urst_core.method.level_pictures import level_contents
from urst_core.method.level_run import level_run
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.method.strokes import Below
from urst_core.method.video import Frames, stylize_frames
from urst_core.model import Model
from urst_core.pictures.colors import ColorStatistics, keep_chroma
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit
from urst_core.progress import ignore
from urst_core.tiling.settings import Settings

SIZE = (72, 104)
CONTENT = TensorSource(picture(SIZE))
STYLE = TensorSource(picture((64, 80), seed=3))


def run(backbone, content=CONTENT, styles=(STYLE,), mask=None, **settings):
    canvas = TensorCanvas(content.size, channels=content.channels, dtype=content.dtype)
    fixed = {"thumbnail_size": 48, "tile_size": 64, "device": "cpu", "precision": "fp32"}
    styles = styles if not isinstance(styles, tuple) else list(styles)
    stylize(content, styles, canvas, backbone, Settings(**{**fixed, **settings}), mask=mask)
    return canvas.pixels


@pytest.mark.parametrize("strokes", ["fine", pytest.param("preview", marks=pytest.mark.slow)])
def test_the_result_is_the_painting_with_the_contents_chroma(microast, strokes):
    """In every tile, and with several levels at the last one only."""
    painting = run(microast, strokes=strokes)
    kept = run(microast, strokes=strokes, colors="content")
    assert float((kept - keep_chroma(CONTENT.pixels, painting)).abs().max()) <= 1e-6
    assert float((kept - painting).abs().max()) > 0.1


@pytest.mark.slow
def test_tiles_equal_the_whole_in_float64(microast):
    settings = Settings(
        thumbnail_size=48, style_size=48, precision="fp32", device="cpu", colors="content"
    )
    content = TensorSource(picture(SIZE).double())
    run = replace(Run.of(content, microast, settings), level_dtype=torch.float64)
    sizes, code = run.level_sizes, run.code_for_levels([STYLE])
    assert len(sizes) == 3
    small = level_contents(content, sizes, run.level_canvas)
    stats = {}

    def painted(edge):
        tiled = replace(run, settings=replace(settings, tile_size=edge))
        below = None
        for number, smaller in enumerate([*small[:-1], content]):
            level = level_run(tiled, number, smaller, below, ignore)
            if number not in stats:
                stats[number] = level.measure(code)
            canvas = TensorCanvas(smaller.size, dtype=torch.float64)
            network = microast.bake(stats[number]).prepared(torch.device("cpu"), torch.float64)
            level.stylize(network, canvas)
            below = Below(smaller, canvas)
        return canvas.pixels

    assert float((painted(40) - painted(1024)).abs().max()) <= 1e-9


def test_sixteen_bits_with_alpha_and_a_mask(microast):
    """Alpha and everything outside the mask stay bit for bit."""
    stored = from_unit(torch.cat([CONTENT.pixels, picture(SIZE, seed=8)[:1]]), torch.uint16)
    values = torch.zeros(SIZE)
    values[:, :50] = 1.0
    kept = run(microast, TensorSource(stored), mask=Mask(TensorMask(values)), colors="content")
    assert kept.dtype == torch.uint16
    assert torch.equal(kept[3].int(), stored[3].int())
    assert torch.equal(kept[:, :, 50:].int(), stored[:, :, 50:].int())
    everywhere = run(microast, TensorSource(stored), colors="content")
    assert torch.equal(kept[:, :, :50].int(), everywhere[:, :, :50].int())
    assert len(kept[:3].int().unique()) > 10_000  # 16 bits, not 8


@pytest.mark.parametrize("strength", [pytest.param(1.0, marks=pytest.mark.slow), 0.6])
def test_matched_equals_a_style_that_was_recolored_before(microast, strength):
    recolored = ColorStatistics.of([picture(SIZE)[None]]).match(STYLE.pixels[None])[0]
    settings = {"thumbnail_size": 0, "strokes": "fine", "strength": strength}
    matched = run(microast, colors="matched", **settings)
    by_hand = run(microast, styles=(TensorSource(recolored),), **settings)
    assert float((matched - by_hand).abs().max()) <= 1e-5
    assert float((matched - run(microast, **settings)).abs().max()) > 0.02


@pytest.mark.slow
def test_each_picture_of_a_batch_is_matched_to_itself_or_to_all(microast):
    dark = TensorSource(CONTENT.pixels * 0.3)
    settings = Settings(strokes="fine", thumbnail_size=0, device="cpu", colors="matched")

    def frames(contents, kind):
        canvases = [TensorCanvas(SIZE, dtype=torch.float32) for _ in contents]
        stylize_frames(
            Frames(contents, [STYLE]), canvases, microast, settings, batch_statistics=kind
        )
        return [canvas.pixels for canvas in canvases]

    alone = [frames([content], "per picture")[0] for content in (CONTENT, dark)]
    batch = frames([CONTENT, dark], "per picture")
    assert all(torch.equal(one, other) for one, other in zip(alone, batch))
    model = Model(microast, settings)
    both = model(torch.stack([CONTENT.pixels, dark.pixels]), STYLE.pixels)
    assert float((both - torch.stack(alone)).abs().max()) <= 1e-5
    shared = frames([CONTENT, dark], "shared")
    assert float((shared[1] - alone[1]).abs().max()) > 0.02
    both = model(
        torch.stack([CONTENT.pixels, dark.pixels]), STYLE.pixels, batch_statistics="shared"
    )
    assert float((both - torch.stack(shared)).abs().max()) <= 1e-5


def test_styles_without_pictures_cannot_be_matched(microast, random_backbones):
    message = "styles that are encoded or built in cannot be matched to the content's colors"
    code = Model(microast).encode(STYLE.pixels)
    johnson = random_backbones["johnson"]
    for refused in (
        lambda: run(microast, styles=code, colors="matched"),
        lambda: run(johnson, styles=[], colors="matched"),
        lambda: Model(microast)(CONTENT.pixels, code, colors="matched"),
        lambda: Model(johnson)(CONTENT.pixels, colors="matched"),
    ):
        with pytest.raises(SettingsError) as caught:
            refused()
        assert str(caught.value).startswith(message)
    with pytest.raises(SettingsError) as caught:
        Model(microast).encode(STYLE.pixels, colors="matched")
    assert str(caught.value) == (
        "colors 'matched' depend on the content; pass the styles with it, not encoded"
    )
