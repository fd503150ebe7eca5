"""Masks in files: ``urst stylize --mask``, resuming, refusals."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli import main as cli
from urst_core.networks.tile_network import TileNetwork

SIZE = (52, 136)


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "content.png", stored_picture(SIZE))
    save_picture(tmp_path / "style.png", stored_picture((72, 80), seed=3))
    return tmp_path


def run(folder, *options, output="out.png") -> int:
    """``urst stylize`` in a folder; the exit code."""
    pictures = [str(folder / name) for name in ("content.png", "style.png")]
    start = ["stylize", *pictures, "-o", str(folder / output), "--device", "cpu", "--quiet"]
    return cli.main([*start, "--thumbnail-size", "64", *map(str, options)])


def stop_after(monkeypatch, tiles: int) -> None:
    """Interrupt the run after some tiles."""
    forward, calls = TileNetwork.forward, []

    def stopping(network, window, **options):
        calls.append(window.shape)
        if len(calls) > tiles:
            raise KeyboardInterrupt
        return forward(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", stopping)


@pytest.fixture
def mask(folder):
    """White on the left, black on the right, gray between; returns its path."""
    values = torch.zeros(1, *SIZE, dtype=torch.uint8)
    values[..., :60], values[..., 60:64] = 255, 128
    return save_picture(folder / "mask.png", values)


@pytest.mark.slow
def test_black_parts_of_a_mask_are_kept(folder, mask):
    assert run(folder, output="everywhere.png") == 0
    assert run(folder, "--mask", mask) == 0
    assert run(folder, "--mask", mask, "--mask-feather", 20, output="faded.png") == 0
    names = ("content.png", "everywhere.png", "out.png", "faded.png")
    content, everywhere, masked, faded = (load_picture(folder / name) for name in names)
    assert torch.equal(masked[..., :60], everywhere[..., :60])
    assert torch.equal(masked[..., 64:], content[..., 64:])
    middle = (content[..., 60:64].float() * 127 + everywhere[..., 60:64].float() * 128) / 255
    assert float((masked[..., 60:64] - middle).abs().max()) <= 1.0
    assert torch.equal(faded[..., :40], everywhere[..., :40])
    assert torch.equal(faded[..., 64:], content[..., 64:])
    assert not torch.equal(faded[..., 44:60], everywhere[..., 44:60])


@pytest.mark.slow
def test_a_masked_run_resumes_only_with_the_same_mask(folder, mask, capsys, monkeypatch):
    options = ["--mask", mask, "--mask-feather", 9, "--tile-size", 32]
    assert run(folder, *options, output="whole.png") == 0
    with monkeypatch.context() as patched:
        stop_after(patched, 4)
        assert run(folder, *options) == 130
    assert run(folder, "--tile-size", 32, "--resume") == 1
    assert "it had: mask SHA-256 " in capsys.readouterr().err
    assert run(folder, "--mask", mask, "--tile-size", 32, "--resume") == 1
    assert "it had: mask feather 9 px, not 0 px; use the same inputs" in capsys.readouterr().err
    other = save_picture(folder / "other.png", 255 - load_picture(mask))
    assert run(folder, *options, "--mask", other, "--resume") == 1
    assert "it had: mask SHA-256 " in capsys.readouterr().err
    assert run(folder, *options, "--resume") == 0
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


@pytest.mark.slow
def test_levels_of_16_bits_with_a_mask_and_alpha(folder, mask, monkeypatch):
    """Two levels: interrupted in the second one and resumed, the same file; and the same bits."""
    stored = stored_picture(SIZE, torch.uint16, channels=4)
    save_picture(folder / "content.png", stored)
    options = ["--strokes", "preview", "--tile-size", 32, "--seed", 5]
    assert run(folder, *options, output="everywhere.png") == 0
    assert run(folder, *options, "--mask", mask, output="whole.png") == 0
    everywhere, masked = (load_picture(folder / f"{name}.png") for name in ("everywhere", "whole"))
    assert masked.dtype == everywhere.dtype == torch.uint16
    assert torch.equal(masked[..., :60], everywhere[..., :60])
    assert torch.equal(masked[..., 64:], stored[..., 64:])
    assert torch.equal(everywhere[3], stored[3])
    share = 128 / 255
    mixed = stored[:3, :, 60:64].double() * (1 - share) + everywhere[:3, :, 60:64].double() * share
    # One step of 16 bits, and half a one that each of both was rounded by.
    assert float((masked[:3, :, 60:64].double() - mixed).abs().max()) <= 1.5
    # More values than 8 bits have: nothing between the levels was kept in fewer.
    assert len(np.unique(everywhere[:3].numpy())) > 10_000
    with monkeypatch.context() as patched:
        stop_after(patched, 2 + 4)
        assert run(folder, *options, "--mask", mask) == 130
    assert run(folder, *options, "--mask", mask, "--resume") == 0
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


def test_masks_that_cannot_be_used(folder, mask, capsys):
    before = mask.read_bytes()
    small = save_picture(folder / "small.png", stored_picture((64, 64)))
    for options, message in (
        (["--mask", small], "mask of 64 x 64 px (height x width) does not fit a picture of 52 x"),
        (["--mask", folder / "gone.png"], "gone.png"),
        (["--mask-feather", 4], "--mask-feather 4 needs a mask; name one with --mask"),
        (["--mask", mask, "--mask-feather", -1], "mask feather -1 is out of range; use 0 to 256"),
        (
            ["--mask", mask, "--ray", "local"],
            "does not work on clusters; leave out --mask or --ray",
        ),
    ):
        assert run(folder, *options) == 1
        assert message in capsys.readouterr().err
    assert run(folder, "--mask", mask, "--overwrite", output="mask.png") == 1
    assert "mask.png is the mask itself; choose another name" in capsys.readouterr().err
    assert mask.read_bytes() == before
    names = {"content.png", "style.png", "mask.png", "small.png"}
    assert set(os.listdir(folder)) == names
