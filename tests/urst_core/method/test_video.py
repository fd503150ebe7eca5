"""Frames of a video: shared and smoothed statistics, without flicker."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture, slow_where_large

from urst_core.errors import SettingsError, ShapeError
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.method.video import Frames, measure_frames, smoothed, stylize_frames
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.statistics import MeanStats
from urst_core.networks.style import StyleCode
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.progress import ignore
from urst_core.tiling.settings import Settings

SIZE = (64, 160)
STYLE = TensorSource(picture((64, 64), seed=3))
SETTINGS = Settings(strokes="fine", thumbnail_size=0, style_size=64, tile_size=64, device="cpu")
KINDS_OF_SITES = ("microast", "johnson", "linear_r31", "wct")
"""Backbones that measure channels, in two ways, mean products, and covariances."""
FAR_FROM_THE_LAMP = 160 - 24 - 64
"""The columns that MicroAST's influence radius of 51 px keeps apart from the lamp."""


def scene(count):
    """A still room in which a bright lamp moves up and down along the right wall."""
    room = picture(SIZE, seed=1)
    frames = []
    for index in range(count):
        frame = room.clone()
        top = (7 * index) % 40
        frame[:, top : top + 12 + 4 * (index % 3), 136:] = 1.0
        frames.append(TensorSource(frame))
    return frames


def stylized(backbone, contents, *, settings=SETTINGS, masks=None, listener=ignore, **options):
    canvases = [TensorCanvas(content.size, dtype=torch.float32) for content in contents]
    styles = [] if backbone.network.style_names else [STYLE]
    frames = Frames(contents, styles, listener_of=lambda _: listener)
    stylize_frames(frames, canvases, backbone, settings, masks=masks, **options)
    return torch.stack([canvas.pixels for canvas in canvases])


def flicker(video, columns):
    """Mean absolute difference between consecutive frames, left of a column."""
    return float((video[1:] - video[:-1])[..., :columns].abs().mean())


@pytest.mark.slow
def test_still_parts_do_not_flicker(microast):
    contents = scene(5)
    own = stylized(microast, contents)
    shared = stylized(microast, contents, batch_statistics="shared")
    smooth = stylized(microast, contents, batch_statistics="smoothed", smoothing_radius=2)
    flickers = [flicker(video, FAR_FROM_THE_LAMP) for video in (own, smooth, shared)]
    assert flickers[2] == 0.0
    assert 0.0 < flickers[1] < 0.5 * flickers[0]
    assert flickers[0] > 1e-4
    # The lamp itself is still seen to move, in all three.
    assert min(float((video[1] - video[0]).abs().max()) for video in (own, smooth, shared)) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(KINDS_OF_SITES))
def test_every_kind_of_statistics_is_shared_and_smoothed(name, random_backbones, microast):
    backbone = microast if name == "microast" else random_backbones[name]
    contents = [TensorSource(picture((32, 48), seed=seed)) for seed in (1, 2)]
    own = stylized(backbone, contents)
    alone = stylized(backbone, contents[:1], batch_statistics="shared")
    torch.testing.assert_close(alone[0], own[0], rtol=0, atol=1e-5)
    same = stylized(backbone, [contents[0]] * 2, batch_statistics="shared")
    assert torch.equal(same[0], same[1])
    torch.testing.assert_close(same[0], own[0], rtol=0, atol=5e-3)
    shared = stylized(backbone, contents, batch_statistics="shared")
    assert float((shared - own).abs().max()) > 1e-3
    smooth = stylized(backbone, contents, batch_statistics="smoothed", smoothing_radius=1)
    assert float((smooth - own).abs().max()) > 1e-3
    still = stylized(backbone, [contents[0]] * 2, batch_statistics="smoothed", smoothing_radius=1)
    torch.testing.assert_close(still[0], own[0], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stats", ["thumbnail", "exact"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_shared_statistics_equal_one_large_picture(microast, stats, strength):
    """Frames that are a picture's halves, between which no pixel reaches across: mirror images."""
    half = picture((64, 96), seed=4)
    whole = TensorSource(torch.cat([half, half.flip(1)], dim=1))
    halves = [TensorSource(half), TensorSource(half.flip(1))]
    settings = Settings(
        thumbnail_size=0, style_size=64, tile_size=64, device="cpu", stats=stats, strength=strength
    )
    frames = Frames(halves, [STYLE])
    shared, again = measure_frames(frames, microast, settings, batch_statistics="shared")
    assert shared is again
    [site, *_] = microast.network.site_names
    expected = Run.of(whole, microast, settings).measure([STYLE]).sites[site].tensors()
    for name, value in shared.sites[site].tensors().items():
        # The seam differs: the encoder sees a mirror's border here and its repetition there.
        error = (value - expected[name]).abs().max() / expected[name].abs().max()
        assert float(error) < 0.03, name
    own = Run.of(halves[0], microast, settings).measure([STYLE])
    assert set(shared.code.tensors) == set(own.code.tensors)


@pytest.mark.slow
def test_exact_statistics_can_be_shared(microast):
    contents = scene(3)
    exact = Settings(
        strokes="fine", thumbnail_size=32, style_size=64, tile_size=64, device="cpu", stats="exact"
    )
    told = []
    video = stylized(
        microast, contents, settings=exact, batch_statistics="shared", listener=told.append
    )
    stages = [progress.stage for progress in told]
    shares = [p.pixels_done / p.pixels_total for p in told if p.stage == "statistics dec1"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert flicker(video, FAR_FROM_THE_LAMP) == 0.0
    assert list(dict.fromkeys(stages)) == ["statistics dec1", "statistics dec2", "tiles"]
    # At the pictures' own size a thumbnail tells as much as all tiles do.
    thumbnail = stylized(microast, contents, batch_statistics="shared")
    torch.testing.assert_close(video, thumbnail, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_per_picture_is_one_run_a_picture(microast):
    contents = scene(2)
    video = stylized(microast, contents)
    for content, frame in zip(contents, video):
        canvas = TensorCanvas(content.size, dtype=torch.float32)
        stylize(content, [STYLE], canvas, microast, SETTINGS)
        assert torch.equal(canvas.pixels, frame)


@pytest.mark.slow
def test_each_frame_has_its_mask(microast):
    contents = scene(2)
    left = torch.zeros(SIZE)
    left[:, :80] = 1.0
    masks = [Mask(TensorMask(left)), None]
    masked = stylized(microast, contents, masks=masks, batch_statistics="shared")
    everywhere = stylized(microast, contents, batch_statistics="shared")
    assert torch.equal(masked[0, :, :, :80], everywhere[0, :, :, :80])
    assert torch.equal(masked[0, :, :, 80:], contents[0].pixels[:, :, 80:])
    assert torch.equal(masked[1], everywhere[1])


LARGER = Settings(
    strokes="preview", thumbnail_size=200, style_size=64, tile_size=64, device="cpu", seed=3
)
"""Two levels, of 200 and of 400 px."""


def wide_scene(count):
    """A still gallery with a lamp at its right end, too far away to reach the left on any level."""
    room = picture((48, 400), seed=1)
    frames = [room.clone() for _ in range(count)]
    for index, frame in enumerate(frames):
        frame[:, 5 * index : 5 * index + 20, 380:] = 1.0
    return [TensorSource(frame) for frame in frames]


@pytest.mark.slow
def test_frames_in_levels_do_not_flicker(microast):
    contents, still = wide_scene(3), 150
    own = stylized(microast, contents, settings=LARGER)
    shared = stylized(microast, contents, settings=LARGER, batch_statistics="shared")
    smooth = stylized(
        microast, contents, settings=LARGER, batch_statistics="smoothed", smoothing_radius=1
    )
    flickers = [flicker(video, still) for video in (own, smooth, shared)]
    assert flickers[2] == 0.0
    assert 0.0 < flickers[1] < flickers[0]
    # The lamp itself is still seen to move, in all three.
    assert min(float((video[1] - video[0]).abs().max()) for video in (own, smooth, shared)) > 0.1
    # The same strokes as a picture on its own has, with other statistics.
    canvas = TensorCanvas((48, 400), dtype=torch.float32)
    stylize(contents[0], [STYLE], canvas, microast, LARGER)
    assert torch.equal(own[0], canvas.pixels)


# Of frames that are smoothed each has n values, as a picture; sums are rounded otherwise, and small
# errors pass two networks. Shared frames have 2 n values, and the unbiased variance divides by one
# less: deviations, and with them contrasts, are smaller by 1 / (4 n) at two sites of each of two
# levels. The thumbnail has 24 x 200 px, and features have a quarter of its height and width.
LARGEST_DIFFERENCE = {"smoothed": 1e-4, "shared": 2 * 2 / (4 * 6 * 50)}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shared", "smoothed"])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_equal_frames_in_levels_are_as_one_picture(microast, kind, strength):
    contents = wide_scene(1) * 2
    settings = replace(LARGER, strength=strength)
    [one] = stylized(microast, contents[:1], settings=settings)
    video = stylized(
        microast, contents, settings=settings, batch_statistics=kind, smoothing_radius=1
    )
    assert torch.equal(video[0], video[1])
    assert float((video[0] - one).abs().max()) <= LARGEST_DIFFERENCE[kind]


@pytest.mark.slow
def test_each_frame_in_levels_has_its_mask(microast):
    contents = wide_scene(2)
    left = torch.zeros(48, 400)
    left[:, :200] = 1.0
    masks = [Mask(TensorMask(left)), None]
    options = {"settings": LARGER, "batch_statistics": "shared"}
    masked = stylized(microast, contents, masks=masks, **options)
    everywhere = stylized(microast, contents, **options)
    assert torch.equal(masked[0, :, :, :200], everywhere[0, :, :, :200])
    assert torch.equal(masked[0, :, :, 200:], contents[0].pixels[:, :, 200:])
    assert torch.equal(masked[1], everywhere[1])


@pytest.mark.parametrize("kind", ["shared", "smoothed"])
def test_pictures_of_two_sizes_do_not_share_levels(microast, kind):
    contents = [*wide_scene(1), TensorSource(picture((48, 300)))]
    with pytest.raises(ShapeError, match="pictures of 2 sizes cannot share statistics"):
        stylized(microast, contents, settings=LARGER, batch_statistics=kind)


def test_a_run_can_be_cancelled_while_it_measures(microast):
    told = []

    def cancel(progress):
        told.append(progress.stage)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        stylized(microast, scene(2), batch_statistics="shared", listener=cancel)
    assert told == ["statistics dec1"]


def numbered_stats(value):
    site = MeanStats(torch.full((1, 1, 1, 1), float(value)))
    return FrozenStats("name", "", StyleCode({}), {"site": site})


def values_of(stats):
    return [round(float(each.sites["site"].tensors()["mean"]), 5) for each in stats]


def test_weights_of_smoothing_by_hand():
    frames = [numbered_stats(value) for value in (0, 12, 24, 60)]
    assert values_of(smoothed(iter(frames), 1)) == [4, 12, 30, 48]
    assert values_of(smoothed(iter(frames), 0)) == [0, 12, 24, 60]
    assert values_of(smoothed(iter(frames[:1]), 3)) == [0]
    assert values_of(smoothed(iter([]), 3)) == []


def test_frames_are_measured_no_sooner_than_needed():
    measured = []

    def numbered():
        for value in range(10):
            measured.append(value)
            yield numbered_stats(value)

    each = smoothed(numbered(), 2)
    for center in range(4):
        next(each)
        assert measured == list(range(center + 3))


def test_invalid_settings_are_refused(microast):
    contents = scene(2)
    message = r"'median' are unknown; use per picture, shared or smoothed"
    with pytest.raises(SettingsError, match=message):
        stylized(microast, contents, batch_statistics="median")
    with pytest.raises(SettingsError, match="radius -1 is negative; use 0 or more frames"):
        stylized(microast, contents, batch_statistics="smoothed", smoothing_radius=-1)
    other = TensorSource(picture((64, 64)))
    with pytest.raises(ShapeError, match=r"of 2 sizes cannot share statistics; .* one size"):
        stylized(microast, [*contents, other], batch_statistics="shared")
