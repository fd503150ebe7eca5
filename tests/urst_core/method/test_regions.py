"""A style for each region: identities, exact tiles, strengths, gaps, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from examples import picture

from urst_core.backbones import find_backbone
from urst_core.errors import SettingsError, ShapeError
from urst_core.geometry import Rectangle, tile_around
from urst_core.method.level_pictures import level_contents
from urst_core.method.level_run import level_run
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions, mix_along
from urst_core.method.run import Run
from urst_core.method.strokes import Below
from urst_core.networks.frozen_stats import FrozenStats, RegionStats
from urst_core.networks.tile_network import RegionNetworks, TileNetwork
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.region_map import ColorRegions, MaskRegions
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit
from urst_core.progress import ignore
from urst_core.tiling.settings import Settings

SIZE = (72, 104)
CONTENT = TensorSource(picture(SIZE))
ONE, OTHER = (TensorSource(picture((64, 72), seed=seed)) for seed in (3, 4))
WHOLE = Rectangle.of_size(SIZE)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(*, feather=0, gap=False):
    """Red on the left of a slanted border, blue on the right; a black corner if there is a gap."""
    pixels = torch.zeros(3, *SIZE, dtype=torch.uint8)
    is_left = torch.arange(SIZE[1]) < 40 + torch.arange(SIZE[0])[:, None] // 4
    pixels[0, is_left], pixels[2, ~is_left] = 255, 255
    if gap:
        pixels[:, 40:, :30] = 0
    return ColorRegions.of(TensorSource(pixels), [RED, BLUE], feather)


def two(map_=None, **options):
    return Regions(map_ or halves(**options), [Region([ONE]), Region([OTHER])])


def run(backbone, styles, content=CONTENT, mask=None, **settings):
    canvas = TensorCanvas(content.size, channels=content.channels, dtype=content.dtype)
    fixed = {"thumbnail_size": 40, "tile_size": 64, "device": "cpu", "precision": "fp32"}
    chosen = Settings(**{**fixed, "strokes": "fine", **settings})
    stylize(content, styles, canvas, backbone, chosen, mask=mask)
    return canvas.pixels


def difference(first, second):
    return float((first.float() - second.float()).abs().max())


def test_without_a_feather_each_region_is_its_own_painting(microast):
    """Statistics are those of the whole picture, so the border is the only difference."""
    painted = run(microast, two())
    left, right = run(microast, [ONE]), run(microast, [OTHER])
    is_left = halves().read(WHOLE)[0].bool()
    assert torch.equal(painted[:, is_left], left[:, is_left])
    assert torch.equal(painted[:, ~is_left], right[:, ~is_left])
    assert difference(left, right) > 0.1


@pytest.mark.parametrize("strokes", ["fine", pytest.param("preview", marks=pytest.mark.slow)])
def test_one_region_is_a_plain_run_bit_for_bit(microast, strokes):
    everywhere = MaskRegions([Mask(TensorMask(torch.ones(SIZE)))])
    painted = run(microast, Regions(everywhere, [Region([ONE])]), strokes=strokes, strength=0.8)
    plain = run(microast, [ONE], strokes=strokes, strength=0.8)
    if strokes == "fine":
        assert torch.equal(painted, plain)
    else:  # the content of a strength below 1 is mixed in elsewhere
        assert difference(painted, plain) <= 2e-6


def test_one_region_with_its_own_statistics_is_a_plain_run_bit_for_bit(microast):
    everywhere = MaskRegions([Mask(TensorMask(torch.ones(SIZE)))])
    painted = run(microast, Regions(everywhere, [Region([ONE])], "region"))
    assert torch.equal(painted, run(microast, [ONE]))


def test_statistics_of_a_region_are_those_of_its_part_of_the_thumbnail(microast):
    """The first site's; a picture of it alone has the same, except at the border's padding."""
    size = (256, 256)
    masks = [torch.zeros(size), torch.zeros(size)]
    masks[0][:, :128], masks[1][:, 128:] = 1.0, 1.0
    regions = Regions(
        MaskRegions([Mask(TensorMask(mask)) for mask in masks]), [Region([ONE])] * 2, "region"
    )
    content = picture(size)
    settings = Settings(thumbnail_size=256, device="cpu", strokes="fine")
    measured = Run.of(TensorSource(content), microast, settings, regions=regions).measure(regions)
    left, right = (part.sites["dec1"].mean for part in measured.parts)
    alone = Run.of(TensorSource(content[..., :128].contiguous()), microast, settings)
    own = alone.measure([ONE]).sites["dec1"].mean
    assert float((left - own).abs().max()) < 0.1 * float((left - right).abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("strokes", ["fine", "preview"])
def test_equal_styles_are_one(microast, strokes):
    both = Regions(halves(feather=20), [Region([ONE]), Region([ONE])])
    assert difference(
        run(microast, both, strokes=strokes), run(microast, [ONE], strokes=strokes)
    ) <= (
        2e-6 if strokes == "fine" else 1e-4  # levels between are rounded to 16 bits
    )


def test_a_network_computes_only_the_part_of_a_window_that_it_paints(microast):
    size = (264, 40)
    above = torch.zeros(size)
    above[:200] = 1.0
    masks = MaskRegions([Mask(TensorMask(above)), Mask(TensorMask(1 - above))])
    regions = Regions(masks, [Region([ONE]), Region([OTHER])])
    settings = Settings(thumbnail_size=32, strokes="fine", precision="fp32", device="cpu")
    run = Run.of(TensorSource(picture(size).double()), microast, settings, regions=regions)
    networks = RegionNetworks(
        [
            microast.bake(part).prepared(torch.device("cpu"), torch.float64)
            for part in run.measure(regions).parts
        ]
    )

    def painted(edge):
        canvas = TensorCanvas(size, dtype=torch.float64)
        replace(run, settings=replace(settings, tile_size=edge)).stylize(networks, canvas)
        return canvas

    whole = painted(512)
    assert float((painted(128).pixels - whole.pixels).abs().max()) <= 1e-9
    frame = Rectangle.of_size(run.frame)
    stored = run.work(networks, whole).read(tile_around(frame, microast.traits.halo, run.frame))
    assert stored.plan.pieces == [[Rectangle(0, 0, 256, 40)], [Rectangle(192, 0, 264, 40)]]


def test_a_feather_cross_fades_two_paintings(microast):
    regions = two(feather=21)
    painted = run(microast, regions)
    shares = regions.map.read(WHOLE)
    left, right = run(microast, [ONE]), run(microast, [OTHER])
    assert difference(painted, left * shares[0] + right * shares[1]) <= 1e-6


@pytest.mark.slow
def test_all_levels_are_exact_under_tiles_in_float64(microast):
    settings = Settings(thumbnail_size=30, style_size=48, precision="fp32", device="cpu")
    content = TensorSource(picture(SIZE).double())
    regions = Regions(
        halves(feather=9, gap=True),
        [Region([ONE]), Region([ONE, OTHER], [1, 3], strength=0.6)],
        "region",
    )
    run = replace(Run.of(content, microast, settings, regions=regions), level_dtype=torch.float64)
    sizes, code = run.level_sizes, run.code_for_levels(regions)
    assert len(sizes) == 3
    contents = level_contents(content, sizes, run.level_canvas)
    stats: dict[int, FrozenStats] = {}

    def painted(edge):
        tiled = replace(run, settings=replace(settings, tile_size=edge))
        below, pictures = None, []
        for number, smaller in enumerate(contents):
            level = level_run(tiled, number, smaller, below, ignore)
            if number not in stats:
                stats[number] = level.measure(code)
            parts = stats[number].parts
            networks = [
                microast.bake(part).prepared(torch.device("cpu"), torch.float64) for part in parts
            ]
            canvas = TensorCanvas(smaller.size, dtype=torch.float64)
            level.stylize(RegionNetworks(networks), canvas)
            below = Below(smaller, canvas)
            pictures.append(canvas.pixels)
        return pictures

    for tiles, whole in zip(painted(40), painted(1024)):
        assert float((tiles - whole).abs().max()) <= 1e-9
        assert float(whole.std()) > 0.01


@pytest.mark.parametrize("strokes", ["fine", pytest.param("preview", marks=pytest.mark.slow)])
def test_a_gap_is_the_content_bit_for_bit_in_16_bits(microast, strokes):
    content = TensorSource(from_unit(picture(SIZE, channels=4), torch.uint16))
    painted = run(microast, two(gap=True), content, strokes=strokes)
    assert torch.equal(painted[:, 40:, :30].int(), content.pixels[:, 40:, :30].int())
    assert torch.equal(painted[3].int(), content.pixels[3].int())
    assert difference(painted[:3, :40, :30], content.pixels[:3, :40, :30]) > 1000


@pytest.mark.parametrize("strokes", ["fine", pytest.param("preview", marks=pytest.mark.slow)])
def test_each_region_has_a_strength_times_that_of_the_run(microast, strokes):
    regions = Regions(halves(), [Region([ONE], strength=0.0), Region([OTHER], strength=0.5)])
    painted = run(microast, regions, strokes=strokes, strength=0.8)
    is_left = halves().read(WHOLE)[0].bool()
    assert difference(painted[:, is_left], CONTENT.pixels[:, is_left]) <= 1e-6
    if strokes == "fine":
        by_hand = run(microast, [OTHER], strength=0.4)
        assert difference(painted[:, ~is_left], by_hand[:, ~is_left]) <= 1e-6


def test_a_mask_limits_all_regions(microast):
    values = torch.zeros(SIZE)
    values[:, 20:80] = 1.0
    painted = run(microast, two(feather=9), mask=Mask(TensorMask(values)))
    everywhere = run(microast, two(feather=9))
    assert torch.equal(painted[:, :, :20], CONTENT.pixels[:, :, :20])
    assert difference(painted[:, :, 20:80], everywhere[:, :, 20:80]) <= 1e-6


def test_tiles_are_computed_with_the_styles_that_touch_them_and_share_content_features(
    microast, monkeypatch
):
    calls: dict[str, int] = {}

    def count(name):
        computed = getattr(TileNetwork, name)

        def counted(*values, **options):
            calls[name] = calls.get(name, 0) + 1
            return computed(*values, **options)

        monkeypatch.setattr(TileNetwork, name, counted)

    for name in ("forward", "content_features", "from_features"):
        count(name)
    run(microast, two(), tile_size=24)
    tiles = [
        shares.flatten(1).any(1).sum()
        for top in range(0, SIZE[0], 24)
        for left in range(0, SIZE[1], 24)
        for shares in [halves().read(Rectangle(top, left, top + 24, left + 24).clipped(SIZE))]
    ]
    styles = torch.tensor(tiles)
    assert calls == {
        "forward": int((styles == 1).sum()),
        "content_features": int((styles == 2).sum()),
        "from_features": 2 * int((styles == 2).sum()),
    }
    assert int(styles.sum()) < 1.5 * len(tiles)


def test_a_gray_map_blends_styles_across_the_picture(microast):
    values = torch.linspace(0, 1, SIZE[1]).expand(SIZE)
    values = values.clamp(0.05, 0.95).sub(0.05).div(0.9)
    painted = run(microast, mix_along(TensorMask(values), [ONE, OTHER]))
    first, last = run(microast, [ONE]), run(microast, [OTHER])
    middle = run(microast, [ONE, OTHER])
    assert difference(painted[:, :, :5], first[:, :, :5]) <= 1e-6
    assert difference(painted[:, :, -5:], last[:, :, -5:]) <= 1e-6
    column = int((values[0] - 0.5).abs().argmin())
    near = slice(column, column + 1)
    assert difference(painted[:, :, near], middle[:, :, near]) <= 0.03
    assert difference(first, last) > 0.1


def test_statistics_of_regions_are_saved_and_loaded(microast, tmp_path):
    one_run = Run.of(
        CONTENT,
        microast,
        Settings(thumbnail_size=40, strokes="fine", device="cpu"),
        regions=two(),
    )
    stats = one_run.measure(two())
    stats.save(tmp_path / "stats.safetensors")
    loaded = FrozenStats.load(tmp_path / "stats.safetensors")
    assert isinstance(loaded, RegionStats)
    assert len(loaded.parts) == 2
    for before, after in zip(stats.parts, loaded.parts):
        assert before.strength == after.strength
        assert before.fingerprint == after.fingerprint
        assert all(torch.equal(t, after.code.tensors[n]) for n, t in before.code.tensors.items())
        for name, site in before.sites.items():
            for part, tensor in site.tensors().items():
                assert torch.equal(tensor, after.sites[name].tensors()[part])


def test_what_cannot_be_painted_is_refused(microast):
    own = replace(two(), stats="region")
    cases = [
        (
            lambda: run(microast, two(), TensorSource(picture((72, 96)))),
            ShapeError,
            "region map of 72 x 104 px (height x width) does not fit a picture of 72 x 96 px; "
            "resize the map to 72 x 96 px",
        ),
        (
            lambda: Regions(halves(), [Region([ONE])]),
            SettingsError,
            "1 styles for a map of 2 regions; give each region one",
        ),
        (
            lambda: Regions(halves(), [Region([ONE]), Region([ONE], strength=1.5)]),
            SettingsError,
            "strength 1.5 is out of range; use 0 to 1",
        ),
        (
            lambda: run(microast, two(), stats="exact"),
            SettingsError,
            "exact statistics are measured for one style only, not for regions; "
            "pass stats='thumbnail'",
        ),
        (
            lambda: run(microast, own, stats="local"),
            SettingsError,
            "statistics are either local or those of each region, not both; "
            "pass region_stats='picture', or pass stats='thumbnail'",
        ),
        (
            lambda: own.check(SIZE, Settings(), find_backbone("linear_r41").traits),
            SettingsError,
            "statistics of each region need the mean and deviation of single channels, which "
            "LinearWCT at relu4_1 does not measure; pass region_stats='picture'",
        ),
        (
            lambda: own.check(SIZE, Settings(match="distribution"), find_backbone("adain").traits),
            SettingsError,
            "statistics of each region need the mean and deviation of single channels, which "
            "distributions lack; pass region_stats='picture'",
        ),
        (
            lambda: Regions(halves(), [Region([ONE])] * 2, "pixel"),
            SettingsError,
            "statistics of regions 'pixel' are unknown; use picture or region",
        ),
        (
            lambda: mix_along(TensorMask(torch.zeros(SIZE)), [ONE]),
            SettingsError,
            "1 styles cannot be blended by a map; use 2 to 8",
        ),
    ]
    for refused, kind, message in cases:
        with pytest.raises(kind) as caught:
            refused()
        assert str(caught.value) == message
    everywhere = [Mask(TensorMask(torch.ones(SIZE)))] * 33
    with pytest.raises(SettingsError, match="33 regions cannot be painted; use 1 to 32"):
        Regions(MaskRegions(everywhere), [Region([ONE])] * 33)
