"""Frames that stream: the same as all frames at once, if all are in the sample."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.method.clip import FramePainter, measure_sample
from urst_core.method.video import Frames, stylize_frames
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

SIZE = (48, 80)
STYLE = TensorSource(picture((40, 40), seed=3))
CONTENTS = [TensorSource(picture(SIZE, seed=seed)) for seed in (1, 2)]
PLAIN = Settings(strokes="fine", thumbnail_size=64, style_size=40, tile_size=32, device="cpu")


def canvases():
    return [TensorCanvas(SIZE, dtype=torch.float32) for _ in CONTENTS]


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        pytest.param(
            Settings(strokes=3.0, strength=0.6, thumbnail_size=64, tile_size=32, device="cpu"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            Settings(strokes="fine", colors="matched", thumbnail_size=64, device="cpu"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["plain", "levels", "matched"],
)
def test_a_painter_of_all_frames_equals_shared_statistics(microast, settings):
    frames = Frames(CONTENTS, [STYLE])
    together = canvases()
    stylize_frames(frames, together, microast, settings, batch_statistics="shared")
    stats = measure_sample(frames, microast, settings)
    painter = FramePainter.of(CONTENTS[0], stats, microast, settings, pixels=1)
    one_by_one = canvases()
    for content, canvas in zip(CONTENTS, one_by_one):
        painter.paint(content, canvas)
    for first, second in zip(together, one_by_one):
        assert torch.equal(first.pixels, second.pixels)
    assert painter.precision == "fp32"


def test_networks_of_several_precisions_are_made_again_in_full(microast, monkeypatch):
    stats = measure_sample(Frames(CONTENTS, [STYLE]), microast, PLAIN)
    made = []

    def network(run, *_, **__):
        dtype = torch.bfloat16 if run.settings.precision == "auto" and not made else torch.float32
        made.append(dtype)
        return type("Network", (), {"compute_dtype": dtype})()

    monkeypatch.setattr("urst_core.method.run.Run.network", network)
    other = type(stats[0])(stats[0].backbone, stats[0].fingerprint, stats[0].code, stats[0].sites)
    painter = FramePainter.of(CONTENTS[0], [*stats, other], microast, PLAIN, pixels=1)
    assert made == [torch.bfloat16, torch.float32, torch.float32, torch.float32]
    assert painter.precision == "fp32"
