"""Masks, alpha, batches and frames in the nodes."""

from __future__ import annotations

import pytest
import torch
from examples import picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
SIZE = (72, 104)

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def style():
    return image((64, 64), seed=9)


@pytest.fixture
def stylize(call, backbone, style):
    inputs = {"backbone": backbone, "style": style, "tile_size": 64, **LOOK}
    return lambda content, **more: call("StylizeImage", content=content, **(inputs | more))[0]


def image(size=SIZE, *, seed=1, channels=3):
    return picture(size, seed=seed, channels=channels).permute(1, 2, 0).unsqueeze(0).contiguous()


def half_mask(size=SIZE):
    """The left half, (1, H, W)."""
    mask = torch.zeros(1, *size)
    mask[:, :, : size[1] // 2] = 1.0
    return mask


@pytest.mark.slow
def test_outside_the_mask_is_the_content_and_inside_the_stylized_picture(stylize):
    content, mask = image(channels=4), half_mask()
    before = content.clone(), mask.clone()
    masked, everywhere = stylize(content, mask=mask), stylize(content)
    assert torch.equal(masked[:, :, :52], everywhere[:, :, :52])
    assert torch.equal(masked[:, :, 52:], content[:, :, 52:])
    faded = stylize(content, mask=mask, mask_feather=20)
    assert torch.equal(faded[:, :, :33], everywhere[:, :, :33])
    assert torch.equal(faded[:, :, 52:], content[:, :, 52:])
    middle = (content + everywhere)[:, :, 42] / 2
    torch.testing.assert_close(faded[:, :, 42], middle, rtol=0, atol=1e-6)
    assert torch.equal(content, before[0])
    assert torch.equal(mask, before[1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_masks_of_any_floating_type_and_without_a_batch(stylize, dtype):
    content, mask = image(), half_mask()
    expected = stylize(content, mask=mask)
    assert torch.equal(stylize(content, mask=mask.to(dtype)), expected)
    assert torch.equal(stylize(content, mask=mask[0].to(dtype)), expected)


@pytest.mark.slow
def test_a_mask_for_all_pictures_and_one_for_each(stylize):
    content = torch.cat([image(), image(seed=2)])
    left, right = half_mask(), 1.0 - half_mask()
    both = stylize(content, mask=torch.cat([left, right]))
    assert torch.equal(both[:1], stylize(content[:1], mask=left))
    assert torch.equal(both[1:], stylize(content[1:], mask=right))
    same = stylize(content, mask=left)
    assert torch.equal(same[1:], stylize(content[1:], mask=left))


@pytest.mark.slow
def test_a_style_for_each_region(stylize):
    content, left = image(), half_mask()
    first = stylize(content, mask=left, mask_feather=8)
    second = stylize(first, mask=1.0 - left, mask_feather=8, style=image((64, 64), seed=5))
    assert torch.equal(second[:, :, :52], first[:, :, :52])
    assert not torch.equal(second[:, :, 70:], content[:, :, 70:])


def test_an_empty_mask_returns_the_content_without_work(stylize, part, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError

    content = image(channels=4)
    monkeypatch.setattr(part("urst_core.networks.tile_network").TileNetwork, "forward", refuse)
    assert torch.equal(stylize(content, mask=torch.zeros(1, *SIZE)), content)


def test_masks_that_do_not_fit_are_refused_with_a_remedy(stylize, errors):
    content = torch.cat([image()] * 3)
    with pytest.raises(
        errors.ShapeError, match="of 2 masks does not fit a batch of 3; connect one"
    ):
        stylize(content, mask=torch.zeros(2, *SIZE))
    with pytest.raises(errors.ShapeError, match=r"MASK of shape \(1, 3, 72, 104\).*pass \(masks"):
        stylize(content, mask=torch.zeros(1, 3, *SIZE))
    with pytest.raises(errors.ShapeError, match="not empty"):
        stylize(content, mask=torch.zeros(0, *SIZE))
    with pytest.raises(errors.ImageError, match=r"mask of torch\.uint8 values .* pass floating"):
        stylize(content, mask=torch.zeros(1, *SIZE, dtype=torch.uint8))
    with pytest.raises(errors.SettingsError, match="mask feather 5000 is out of range; use 0 to"):
        stylize(content, mask=half_mask(), mask_feather=5000)
    broken = half_mask()
    broken[0, 3, 4] = float("nan")
    with pytest.raises(errors.ImageError, match="mask value at row 3, column 4 is NaN"):
        stylize(content, mask=broken)


def test_a_mask_of_another_size_is_scaled_as_core_does(part):
    masks_of = part("nodes.convert").masks_of
    mask = torch.rand(2, 12, 18)
    scaled = torch.nn.functional.interpolate(mask[:, None], SIZE, mode="bilinear")[:, 0]
    for made, expected in zip(masks_of(mask, 0, [SIZE] * 2), scaled):
        assert torch.equal(made.values.values, expected)
    [made] = masks_of(mask[:1].half(), 3, [SIZE])
    assert made.feather == 3
    assert made.values.values.shape == SIZE


def test_a_mask_that_is_black_everywhere_is_told(stylize, caplog):
    content = image()
    with caplog.at_level("WARNING"):
        assert torch.equal(stylize(content, mask=torch.zeros(1, 64, 64)), content)
    assert "mask is black everywhere, so the picture stays as it is" in caplog.text


def tiles_of(call, backbone, content, style):
    """The stylized tiles of five nodes, and their layout."""
    stats, _ = call("MakeThumbnailStats", backbone=backbone, content=content, style=style, **LOOK)
    tiles, layout = call("TileImage", image=content, tile_size=64, backbone=backbone)
    [stylized] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
    return stylized, layout


@pytest.mark.slow
@pytest.mark.parametrize("feather", [0, 12])
def test_five_nodes_with_a_mask_equal_the_one(call, backbone, style, stylize, feather):
    content, mask = image(channels=4), half_mask()
    tiles, layout = tiles_of(call, backbone, content, style)
    before = tiles.clone()
    [joined] = call(
        "AssembleTiles",
        tiles=tiles,
        layout=layout,
        feather=0,
        original=content,
        mask=mask,
        mask_feather=feather,
    )
    torch.testing.assert_close(
        joined, stylize(content, mask=mask, mask_feather=feather), rtol=0, atol=1e-5
    )
    assert torch.equal(joined[:, :, 52:], content[:, :, 52:])
    assert torch.equal(tiles, before)


def test_upscaled_tiles_take_a_mask_and_an_original_of_the_results_size(call, errors):
    content = image()
    tiles, layout = call("TileImage", image=content, tile_size=32, halo=16, stride=8)
    double = tiles.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    large = torch.rand(1, 144, 208, 3)
    inputs = {"tiles": double, "layout": layout, "feather": 0}
    mask = half_mask((144, 208))
    [joined] = call("AssembleTiles", **inputs, original=large, mask=mask)
    assert torch.equal(joined[:, :, 104:], large[:, :, 104:])
    assert torch.equal(joined[:, ::2, :104:2], content[:, :, :52])
    message = r"original of 104 x 72 px .* result of 208 x 144 px; connect the input of Tile"
    with pytest.raises(errors.ShapeError, match=message):
        call("AssembleTiles", **inputs, original=content, mask=mask)
    [smaller] = call("AssembleTiles", **inputs, original=large, mask=half_mask())
    assert torch.equal(smaller[:, :, 105:], large[:, :, 105:])


def test_a_mask_without_a_valid_original_is_refused(call, errors):
    content = image()
    tiles, layout = call("TileImage", image=content, tile_size=32, halo=16, stride=8)
    inputs = {"tiles": tiles, "layout": layout, "feather": 0}
    with pytest.raises(errors.SettingsError, match=r"a mask, but no original .* connect the"):
        call("AssembleTiles", **inputs, mask=half_mask())
    with pytest.raises(
        errors.ShapeError, match=r"original with 4 channels .* tiles with 3; remove the"
    ):
        call("AssembleTiles", **inputs, mask=half_mask(), original=image(channels=4))
    with pytest.raises(errors.ShapeError, match=r"original of Assemble Tiles takes one picture"):
        call("AssembleTiles", **inputs, mask=half_mask(), original=torch.cat([content] * 2))
    with pytest.raises(errors.ShapeError, match="of 2 masks does not fit a batch of 1"):
        call("AssembleTiles", **inputs, mask=torch.cat([half_mask()] * 2), original=content)
    # Without a mask the original waits for one.
    [joined] = call("AssembleTiles", **inputs, original=content)
    assert torch.equal(joined, content)


@pytest.mark.slow
def test_frames_with_shared_statistics_do_not_flicker(stylize):
    room = image((64, 160))
    lit = room.clone()
    lit[:, 10:30, 140:] = 1.0
    frames = torch.cat([room, lit])
    shared = stylize(frames, batch_statistics="shared")
    own = stylize(frames)
    still = slice(0, 160 - 20 - 64)
    assert torch.equal(shared[0, :, still], shared[1, :, still])
    assert not torch.equal(own[0, :, still], own[1, :, still])
    smooth = stylize(frames, batch_statistics="smoothed", smoothing_radius=1)
    difference = [
        float((video[0, :, still] - video[1, :, still]).abs().mean()) for video in (own, smooth)
    ]
    assert 0.0 < difference[1] < difference[0]


@pytest.mark.slow
def test_progress_of_frames_ends_at_the_total(stylize, host):
    stylize(torch.cat([image()] * 3), batch_statistics="shared")
    shares = [value / total for value, total in host.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.slow
def test_shared_statistics_fit_the_tiles_of_every_frame(call, backbone, style, stylize, errors):
    frames = torch.cat([image(), image(seed=2)])
    inputs = {"backbone": backbone, "style": style, **LOOK}
    stats, preview = call("MakeThumbnailStats", content=frames, batch_statistics="shared", **inputs)
    assert preview.shape == (2, 44, 64, 3)
    expected = stylize(frames, batch_statistics="shared")
    for frame, whole in zip(frames.split(1), expected.split(1)):
        tiles, layout = call("TileImage", image=frame, tile_size=64, backbone=backbone)
        [stylized] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
        [joined] = call("AssembleTiles", tiles=stylized, layout=layout, feather=0)
        torch.testing.assert_close(joined, whole, rtol=0, atol=1e-5)
    message = r"batch of 2; pick one with ImageFromBatch, or set batch_statistics to shared"
    with pytest.raises(errors.ShapeError, match=message):
        call("MakeThumbnailStats", content=frames, **inputs)


LEVELS = {"strokes": 0.0, "thumbnail_size": 40, "brushwork_seed": 3}
"""Three levels of a picture of 104 px."""


@pytest.mark.slow
def test_a_batch_in_levels_is_each_picture_alone(stylize):
    content = torch.cat([image(channels=4), image(seed=2, channels=4)])
    batch = stylize(content, **LEVELS)
    for index in range(2):
        assert torch.equal(batch[index], stylize(content[index : index + 1], **LEVELS)[0])
    assert torch.equal(batch[..., 3], content[..., 3])
    assert float((batch - stylize(content)).abs().max()) > 0.1


@pytest.mark.slow
def test_masks_of_a_batch_in_levels(stylize):
    content = torch.cat([image(channels=4), image(seed=2, channels=4)])
    mask = torch.cat([half_mask(), 1.0 - half_mask()])
    masked, everywhere = stylize(content, mask=mask, **LEVELS), stylize(content, **LEVELS)
    assert torch.equal(masked[0, :, :52], everywhere[0, :, :52])
    assert torch.equal(masked[0, :, 52:], content[0, :, 52:])
    assert torch.equal(masked[1, :, 52:], everywhere[1, :, 52:])
    assert torch.equal(masked[1, :, :52], content[1, :, :52])
    faded = stylize(content, mask=mask, mask_feather=20, **LEVELS)
    assert torch.equal(faded[0, :, :33], everywhere[0, :, :33])
    middle = (content + everywhere)[0, :, 42] / 2
    torch.testing.assert_close(faded[0, :, 42], middle, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shared", "smoothed"])
def test_progress_of_frames_in_levels_ends_at_the_total(stylize, host, kind):
    stylize(torch.cat([image(), image(seed=2)]), batch_statistics=kind, **LEVELS)
    shares = [value / total for value, total in host.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
