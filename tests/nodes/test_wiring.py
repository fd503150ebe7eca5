"""Wrong connections, and pictures of every kind: each node accepts or refuses them.

What cannot be told for sure: tiles in another order, and tiles of another picture that was cut
alike. They are pictures like any other by then; where neighbors do not fit each other, the log says
so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from examples import picture, save_picture, stored_picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
FILE = {"file_format": "TIFF", "quality": 90}

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def measured(call, backbone):
    return lambda content, style, **more: call(
        "MakeThumbnailStats",
        backbone=backbone,
        content=content,
        style=style,
        **(LOOK | more),
    )


def image(size=(72, 104), *, seed=1, channels=3):
    return picture(size, seed=seed, channels=channels).permute(1, 2, 0).unsqueeze(0).contiguous()


CONTENT, STYLE = image(), image((64, 64), seed=9)


def cut(call, content, **more):
    return call("TileImage", **{"image": content, "tile_size": 32, "halo": 16, "stride": 8, **more})


# Wires


def test_statistics_of_another_backbone_or_of_other_weights(call, backbone, measured, errors):
    stats, _ = measured(CONTENT, STYLE)
    inputs = {"backbone": backbone, "tiles": CONTENT}
    with pytest.raises(
        errors.StatsError, match=r"'adain' do not fit 'microast'; measure them with"
    ):
        call("StylizePatches", stats=replace(stats, backbone="adain"), **inputs)
    with pytest.raises(
        errors.StatsError, match=r"do not fit weights .*; measure them with the same weights"
    ):
        call("StylizePatches", stats=replace(stats, fingerprint="0" * 64), **inputs)


@pytest.mark.parametrize("count", [1, 6, 11, 13, 24])
def test_tiles_that_are_missing_or_too_many(call, errors, count):
    tiles, layout = cut(call, CONTENT)
    assert len(tiles) == 12
    wrong = torch.cat([tiles, tiles])[:count]
    with pytest.raises(
        errors.ShapeError,
        match=f"{count} windows do not fill a layout of 12 tiles; pass every tile of this picture",
    ):
        call("AssembleTiles", tiles=wrong, layout=layout, feather=0)


def test_the_layout_of_another_picture(call, errors):
    tiles, _ = cut(call, CONTENT)
    _, other_count = cut(call, image((72, 300)))
    with pytest.raises(errors.ShapeError, match="12 windows do not fill a layout of 30 tiles"):
        call("AssembleTiles", tiles=tiles, layout=other_count, feather=0)
    # As many tiles as the other picture has, but of another size: that looks like a scale.
    _, other_size = cut(call, image((80, 104)), halo=24)
    with pytest.raises(
        errors.ShapeError,
        match=r"put tile edges between pixels; .* or the layout that these windows were cut by",
    ):
        call("AssembleTiles", tiles=tiles, layout=other_size, feather=0)


def test_mixed_up_tiles_are_logged(call, caplog):
    tiles, layout = cut(call, CONTENT)
    assert torch.equal(call("AssembleTiles", tiles=tiles, layout=layout, feather=0)[0], CONTENT)
    assert caplog.text == ""
    [mixed] = call("AssembleTiles", tiles=tiles.flip(0), layout=layout, feather=0)
    assert mixed.shape == CONTENT.shape
    assert "of 12 differ by 0." in caplog.text
    assert "in the order of Tile Image?" in caplog.text


def test_tiles_cut_for_another_backbone(call, backbone, measured, errors):
    stats, _ = measured(CONTENT, STYLE)
    tiles, _ = cut(call, CONTENT, tile_size=33, halo=0, stride=3)
    with pytest.raises(
        errors.ShapeError, match=r"33 x 33 px are not multiples .* stride 4; cut them"
    ):
        call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)


def test_batches_where_one_picture_is_meant(call, backbone, errors):
    batch = torch.cat([CONTENT, CONTENT])
    with pytest.raises(
        errors.ShapeError, match=r"Tile Image takes one picture, not a batch of 2; "
    ):
        call("TileImage", image=batch, tile_size=32, backbone=backbone)


# Pictures


def stylized(call, backbone, content, style, **more):
    [result] = call(
        "StylizeImage",
        backbone=backbone,
        content=content,
        style=style,
        tile_size=0,
        **(LOOK | more),
    )
    return result


def patches(call, backbone, stats, tiles):
    [result] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
    return result


def joined(call, content):
    tiles, layout = cut(call, content)
    [result] = call("AssembleTiles", tiles=tiles.to(content.dtype), layout=layout, feather=0)
    return result


@pytest.fixture
def every_node(call, backbone, measured, base):
    """What each node with an IMAGE makes of a picture: in the place of content, style and tiles."""
    save_picture(base / "input" / "a.tif", stored_picture((40, 56), seed=1))
    stats, _ = measured(CONTENT, STYLE)

    def run(picture):
        small = picture[:, :64, :64]
        yield measured(picture, STYLE)[1]
        yield measured(CONTENT, picture)[1]
        yield cut(call, picture)[0]
        yield patches(call, backbone, stats, small)
        yield joined(call, picture)
        yield stylized(call, backbone, picture, STYLE)
        yield stylized(call, backbone, CONTENT, picture, style_2=picture, style_2_weight=0.5)
        yield call(
            "StylizeFile",
            backbone=backbone,
            content="a.tif",
            style=picture,
            tile_size=0,
            output_name="out",
            resume=False,
            overwrite=True,
            **FILE,
            **LOOK,
        )[1]
        path = call("SaveImage", images=picture, filename_prefix="saved", bits="8", **FILE)[0]
        yield torch.frombuffer(bytearray(Path(path).read_bytes()), dtype=torch.uint8).float()

    return run


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_node_takes_every_floating_type(every_node, channels):
    # Values that every type has, so that all must give the same.
    values = (image(channels=channels) * 128).round() / 128
    expected = list(every_node(values))
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        given = values.to(dtype)
        for result, same in zip(every_node(given), expected, strict=True):
            assert result.dtype == torch.float32
            assert torch.equal(result, same)
        assert torch.equal(given.float(), values)


@pytest.mark.slow
def test_gray_is_as_three_equal_channels_in_every_node(every_node):
    gray = image(channels=1)
    rgb = gray.expand(-1, -1, -1, 3).contiguous()
    for result, expected in zip(every_node(gray), every_node(rgb), strict=True):
        assert torch.equal(result, expected)


@pytest.mark.slow
def test_views_of_other_pictures_are_taken_as_they_are(every_node):
    """A batch's middle picture, turned: neither contiguous nor at the start of its memory."""
    batch = torch.rand(3, 104, 72, 3)
    view = batch.transpose(1, 2)[1:2]
    assert not view.is_contiguous()
    for result, expected in zip(every_node(view), every_node(view.contiguous()), strict=True):
        assert torch.equal(result, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (
            torch.zeros(1, 72, 104, 3, dtype=torch.uint8),
            "ImageError",
            "uint8 values; pass floating-point",
        ),
        (torch.zeros(1, 72, 104, 2), "ShapeError", r"pass \(pictures, height, width, 1, 3 or 4"),
        (torch.zeros(72, 104, 3), "ShapeError", r"pass \(pictures, height, width, 1, 3 or 4"),
        (torch.zeros(0, 72, 104, 3), "ShapeError", "not empty"),
    ],
)
def test_every_node_refuses_invalid_images(
    call, backbone, measured, base, errors, wrong, error, message
):
    save_picture(base / "input" / "a.tif", stored_picture((40, 56), seed=1))
    stats, _ = measured(CONTENT, STYLE)
    tiles, layout = cut(call, CONTENT)
    file = {
        "output_name": "out",
        "resume": False,
        "overwrite": True,
        "tile_size": 0,
        **FILE,
        **LOOK,
    }
    both = {"backbone": backbone, "style": STYLE}
    inputs = {"tiles": tiles, "layout": layout, "feather": 0, "mask": torch.ones(1, 72, 104)}
    attempts = (
        ("MakeThumbnailStats", {**both, "content": wrong, **LOOK}),
        ("MakeThumbnailStats", {**both, "content": CONTENT, "style": wrong, **LOOK}),
        ("MakeThumbnailStats", {**both, "content": CONTENT, "style_2": wrong, **LOOK}),
        ("TileImage", {"image": wrong, "tile_size": 32}),
        ("StylizePatches", {"backbone": backbone, "stats": stats, "tiles": wrong}),
        ("AssembleTiles", {**inputs, "tiles": wrong}),
        ("AssembleTiles", {**inputs, "original": wrong}),
        ("StylizeImage", {**both, "content": wrong, "tile_size": 0, **LOOK}),
        ("StylizeImage", {**both, "content": CONTENT, "style": wrong, "tile_size": 0, **LOOK}),
        ("StylizeFile", {**both, "content": "a.tif", **file, "style": wrong}),
        ("SaveImage", {"images": wrong, "filename_prefix": "a", "bits": "8", **FILE}),
    )
    for node_id, values in attempts:
        with pytest.raises(getattr(errors, error), match=message):
            call(node_id, **values)
