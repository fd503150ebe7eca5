"""Larger strokes by hand: the five nodes with Join Detail and Merge Strokes, and Stylize Image."""

from __future__ import annotations

import pytest
import torch
from examples import picture, random_backbone

from urst_core.backbones import find_backbone

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
STROKES = {"strokes": 0.0, "detail": 1.0, "brushwork": 0.5, "brushwork_seed": 7}
WHOLE = 512
"""A tile size that no picture here is larger than: both ways the same window is computed."""

pytestmark = pytest.mark.usefixtures("inference_mode")


def image(size, *, seed=1, channels=3):
    return picture(size, seed=seed, channels=channels).permute(1, 2, 0).unsqueeze(0).contiguous()


@pytest.fixture
def style():
    return image((64, 64), seed=9)


@pytest.fixture
def loaded(part):
    """A backbone of random weights by name."""

    def load(name):
        state = random_backbone(find_backbone(name)).network.state_dict()
        network = part("urst_core.backbones").find_backbone(name)
        built = part("urst_core.weights.checkpoint").build_backbone(network, state, origin="random")
        return part("nodes.sockets").LoadedBackbone(built, "fp32", "cpu")

    return load


@pytest.fixture
def by_hand(call):
    """Paints as the workflow does; returns the paintings of all levels, the coarsest first."""

    def paint(backbone, content, style, *, tile_size=WHOLE, enlarge=None, **chosen):
        look = {**LOOK, **{name: value for name, value in chosen.items() if name in LOOK}}
        strokes = {**STROKES, **{n: value for n, value in chosen.items() if n in STROKES}}
        size = {"thumbnail_size": look["thumbnail_size"]}
        styled = {"backbone": backbone, "style": style, **look}
        joined, level = call("JoinDetail", image=content, **size, **strokes)
        _, painting = call("MakeThumbnailStats", content=joined, level=level, **styled)
        paintings, stats = [painting], None
        while paintings[-1].shape[1:3] != content.shape[1:3]:
            painting = paintings[-1]
            more = {} if enlarge is None else {"enlarged": enlarge(painting)}
            joined, level = call("JoinDetail", painting=painting, below=level, **more, **strokes)
            if stats is None or look["statistics"] == "exact":
                stats, _ = call("MakeThumbnailStats", content=joined, level=level, **styled)
            tiles, layout = call("TileImage", image=joined, tile_size=tile_size, backbone=backbone)
            [tiles] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
            [painted] = call("AssembleTiles", tiles=tiles, layout=layout, feather=0)
            [merged] = call("MergeStrokes", strokes=painted, level=level, stats=stats)
            paintings.append(merged)
        return paintings

    return paint


@pytest.fixture
def one_node(call):
    def paint(backbone, content, style, *, tile_size=WHOLE, **chosen):
        inputs = {**LOOK, **STROKES, **chosen}
        return call(
            "StylizeImage",
            backbone=backbone,
            content=content,
            style=style,
            tile_size=tile_size,
            **inputs,
        )[0]

    return paint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "levels", "chosen"),
    [
        ((80, 120), 2, {}),
        ((80, 120), 2, {"brushwork": 0.0, "detail": 0.5}),
        ((67, 187), 3, {}),
        ((67, 187), 3, {"brushwork": 0.0, "strength": 0.7}),
        ((67, 187), 3, {"statistics": "exact", "strength": 0.7, "detail": 0.5}),
        ((80, 120), 3, {"strokes": 4.0}),
    ],
    ids=str,
)
def test_by_hand_equals_stylize_image(by_hand, one_node, backbone, style, size, levels, chosen):
    content = image(size)
    before = content.clone()
    paintings = by_hand(backbone, content, style, **chosen)
    assert len(paintings) == levels
    one = one_node(backbone, content, style, **chosen)
    assert float((paintings[-1] - one).abs().max()) == 0.0
    assert not torch.equal(one, one_node(backbone, content, style, **{**chosen, "strokes": 1.0}))
    assert torch.equal(content, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("adain", marks=pytest.mark.slow), "johnson"])
def test_other_networks_by_hand(by_hand, one_node, loaded, style, name):
    """One that blends style codes, and one whose style is inside: their strengths differ."""
    backbone = loaded(name)
    style = None if backbone.backbone.network.style_names else style
    content, chosen = image((67, 131)), {"strength": 0.7, "detail": 0.5}
    painting = by_hand(backbone, content, style, **chosen)[-1]
    assert float((painting - one_node(backbone, content, style, **chosen)).abs().max()) == 0.0


@pytest.mark.slow
def test_tiles_by_hand_of_any_size(by_hand, one_node, backbone, style):
    """Batches of equal windows go through other kernels than clipped ones: a last bit may differ.

    A level rounds its painting to 16 bits, which can turn that into a step of 1.5e-5.
    """
    content = image((67, 187))
    one = one_node(backbone, content, style, tile_size=128)
    for tile_size in (64, 96):
        painting = by_hand(backbone, content, style, tile_size=tile_size)[-1]
        difference = float((painting - one).abs().max())
        assert difference <= 5e-5


def test_alpha_is_carried_to_the_last_level(by_hand, one_node, backbone, style):
    content = image((80, 120), channels=4)
    paintings = by_hand(backbone, content, style)
    assert [each.shape[-1] for each in paintings] == [3, 4]
    assert torch.equal(paintings[-1], one_node(backbone, content, style))


@pytest.mark.slow
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_a_picture_no_larger_than_its_thumbnail_passes_through(
    call, one_node, backbone, style, strength
):
    """A graph with more levels than a picture has gives the same as Stylize Image, too."""
    content = image((40, 56), channels=4)
    inputs = {"backbone": backbone, "style": style, **LOOK, "strength": strength}
    joined, level = call("JoinDetail", image=content, thumbnail_size=64, **STROKES)
    assert torch.equal(joined, content[..., :3])
    _, painted = call("MakeThumbnailStats", content=joined, level=level, **inputs)
    painting = painted
    for _ in range(2):
        joined, level = call("JoinDetail", painting=painting, below=level, **STROKES)
        assert torch.equal(joined, painting[..., :3])
        stats, _ = call("MakeThumbnailStats", content=joined, level=level, **inputs)
        [painting] = call("MergeStrokes", strokes=joined, level=level, stats=stats)
    one = one_node(backbone, content, style, strength=strength)
    if strength == 1.0:
        assert torch.equal(painting, one)
    else:
        # A plain pass mixes before it clamps; unclamped values differ only by rounding.
        inside = (painted > 0.0) & (painted < 1.0)
        assert bool(inside.float().mean() > 0.5)
        assert float((painting - one)[..., :3][inside].abs().max()) <= 1e-6


@pytest.mark.slow
def test_the_preview_is_the_coarsest_level(call, by_hand, backbone, style):
    """For the whole content and for its small copy: finer levels are based on the preview."""
    content = image((67, 187))
    inputs = {"backbone": backbone, "style": style, **LOOK}
    _, preview = call("MakeThumbnailStats", content=content, **inputs)
    paintings = by_hand(backbone, content, style)
    assert torch.equal(preview, paintings[0])


@pytest.fixture
def second_level(call, backbone, style):
    """The first of two levels, its painting, and a way to join the second one."""
    content = image((80, 120))
    joined, below = call("JoinDetail", image=content, thumbnail_size=64, **STROKES)
    inputs = {"backbone": backbone, "style": style, **LOOK}
    _, painting = call("MakeThumbnailStats", content=joined, level=below, **inputs)

    def join(**more):
        return call("JoinDetail", **{"painting": painting, "below": below, **STROKES, **more})

    return painting, join


def test_any_upscaler_may_enlarge(second_level, part):
    """One that enlarges as the engine does changes nothing; sizes follow by themselves."""
    painting, join = second_level
    joined, level = join()
    steps, rectangle = part("urst_core.method.level_step"), part("urst_core.geometry").Rectangle
    step = steps.Step((43, 64), (80, 120), (43, 64))
    pixels = painting[0].permute(2, 0, 1)
    enlarged = step.sharpen_and_enlarge(pixels, rectangle(0, 0, 80, 120))
    enlarged = enlarged.permute(1, 2, 0).unsqueeze(0)
    same, same_level = join(enlarged=enlarged)
    assert same_level.level.size == level.level.size == (80, 120)
    # The order of additions differs; both clamp values beyond 0 and 1.
    assert float((same - joined).abs().max()) <= 1e-5
    # Four times as large, as many models make it: it is shrunk to the level.
    larger = painting.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    crisp, _ = join(enlarged=larger)
    assert crisp.shape == joined.shape
    assert 1e-3 < float((crisp - joined).square().mean().sqrt()) < 0.1


def test_a_painting_between_levels_may_be_changed(second_level):
    painting, join = second_level
    joined, _ = join()
    darker, _ = join(painting=painting * 0.5)
    assert float(darker.mean()) < 0.7 * float(joined.mean())


def test_what_join_detail_refuses(call, second_level, errors):
    painting, join = second_level
    content = image((80, 120))
    message = "takes only image on the first level, painting and below on the others"
    for inputs in ({}, {"painting": painting}, {"below": join()[1]}):
        with pytest.raises(errors.SettingsError, match=message):
            call("JoinDetail", **inputs)
    with pytest.raises(errors.SettingsError, match=message):
        join(image=content)
    with pytest.raises(
        errors.ShapeError,
        match=r"painting of 120 x 80 px \(width x height\) does not fit a level of 64 x 43 px "
        r"\(width x height\); pass the painting of that level, and an enlarged one as enlarged",
    ):
        join(painting=content)
    with pytest.raises(
        errors.ShapeError,
        match=r"enlarged painting of 120 x 120 px .* has another shape than its level of 120 x 80",
    ):
        join(enlarged=image((120, 120)))
    for name in ("painting", "enlarged"):
        with pytest.raises(errors.ShapeError, match=f"The {name}.* of Join Detail takes one"):
            join(**{name: painting.repeat(2, 1, 1, 1)})
    broken = painting.clone()
    broken[0, 3, 4] = float("nan")
    with pytest.raises(errors.ImageError, match="pixel at row 3, column 4 is NaN"):
        join(painting=broken)
    for wrong in ({"detail": 1.5}, {"brushwork": -1.0}, {"brushwork_seed": -1}):
        with pytest.raises(errors.SettingsError, match="out of range"):
            join(**wrong)
    with pytest.raises(errors.SettingsError, match=r"strokes 0\.5 are unknown"):
        call("JoinDetail", image=content, strokes=0.5)


def test_what_merge_strokes_refuses(call, backbone, style, second_level, errors):
    _, join = second_level
    joined, level = join()
    inputs = {"backbone": backbone, "style": style, **LOOK}
    stats, _ = call("MakeThumbnailStats", content=joined, **inputs)
    # At full strength statistics of any picture leave the content out.
    call("MergeStrokes", strokes=joined, level=level, stats=stats)
    weak, _ = call("MakeThumbnailStats", content=joined, **(inputs | {"strength": 0.7}))
    with pytest.raises(
        errors.StatsError,
        match=r"statistics of strength 0\.7 were measured for a whole picture, .* with the level",
    ):
        call("MergeStrokes", strokes=joined, level=level, stats=weak)
    with pytest.raises(
        errors.ShapeError, match=r"strokes of 130 x 90 px .* do not fit a level of 120 x 80 px"
    ):
        call("MergeStrokes", strokes=image((90, 130)), level=level, stats=stats)
    small, first = call("JoinDetail", image=image((80, 120)), thumbnail_size=64)
    with pytest.raises(errors.ShapeError, match="the smallest level has no painting below to"):
        call("MergeStrokes", strokes=small, level=first, stats=stats)
    inputs |= {"content": joined.repeat(2, 1, 1, 1), "batch_statistics": "shared"}
    with pytest.raises(errors.ShapeError, match=r"not a batch of 2; .* without a level"):
        call("MakeThumbnailStats", **inputs, level=level)
