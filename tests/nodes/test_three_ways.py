"""Five nodes, one node and the command line: one picture, one result."""

from __future__ import annotations

import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli import main as cli

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}

pytestmark = pytest.mark.usefixtures("inference_mode")


def loaded(path):
    """A picture as ComfyUI's Load Image gives it: (1, H, W, C), values of 8 bits over 255."""
    return load_picture(path).permute(1, 2, 0).unsqueeze(0).float() / 255


def stored(image):
    """An IMAGE as a file of 8 bits stores it, (C, H, W), rounded to nearest."""
    return (image[0].permute(2, 0, 1).clamp(0, 1) * 255).round().to(torch.uint8)


def five_nodes(call, backbone, content, style, tile_size, look):
    stats, _ = call(
        "MakeThumbnailStats", backbone=backbone, content=content, style=style, **(LOOK | look)
    )
    tiles, layout = call("TileImage", image=content, tile_size=tile_size, backbone=backbone)
    [stylized] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
    return call("AssembleTiles", tiles=stylized, layout=layout, feather=0)[0]


def command_line(folder, tile_size, look):
    values = LOOK | look
    arguments = {
        "--thumbnail-size": values["thumbnail_size"],
        "--style-size": values["style_size"],
        "--strength": values["strength"],
        "--stats": values["statistics"],
        "--tile-size": tile_size,
        "--precision": "fp32",
        "--device": "cpu",
        "--strokes": "fine",
        "--output": folder / "out.png",
    }
    pictures = [str(folder / name) for name in ("content.png", "style.png")]
    options = [str(each) for pair in arguments.items() for each in pair]
    assert cli.main(["stylize", *pictures, *options, "--quiet"]) == 0
    return load_picture(folder / "out.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "channels", "look", "tile_size"),
    [
        ((60, 200), 3, {}, 64),
        ((67, 131), 4, {"strength": 0.6}, 64),
        ((67, 131), 3, {"thumbnail_size": 0}, 256),
        ((37, 41), 3, {"statistics": "exact"}, 64),
    ],
    ids=str,
)
def test_three_ways_to_one_picture(call, backbone, tmp_path, size, channels, look, tile_size):
    save_picture(tmp_path / "content.png", stored_picture(size, channels=channels))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    content, style = loaded(tmp_path / "content.png"), loaded(tmp_path / "style.png")
    [one] = call(
        "StylizeImage",
        backbone=backbone,
        content=content,
        style=style,
        tile_size=tile_size,
        **(LOOK | look),
    )
    five = five_nodes(call, backbone, content, style, tile_size, look)
    # The same windows go through the network, from memory or from file: the same bits come out.
    assert torch.equal(stored(one), command_line(tmp_path, tile_size, look))
    if max(size) <= tile_size:
        assert torch.equal(five, one)
    # Windows that all have one size go through other kernels than the clipped ones of a stream,
    # so a last bit may differ there; no more than that, and nothing else that a file would show.
    assert float((five - one).abs().max()) <= 2e-5
    is_near_a_tie = ((255 * one - 0.5) - (255 * one - 0.5).round()).abs() < 255 * 2e-5
    differs = (stored(five) != stored(one)).permute(1, 2, 0)
    assert not bool((differs & ~is_near_a_tie[0]).any())
