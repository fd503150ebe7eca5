"""Expected results of the workflows, computed by the engine without ComfyUI.

Pictures are (H, W, 3) arrays, float32, 0..1. Results are batches, (N, H, W, 3), by the names of the
files that a workflow saves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import urst_core as urst
from urst_core.choices import SHARED
from urst_core.method.regions import Region, Regions
from urst_core.method.video import Frames, stylize_frames
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.region_map import MaskRegions
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings
from urst_core.weights.loading import load_backbone

Pictures = Mapping[str, Any]
"""``content`` and ``style``; where regions are stylized ``style inside`` and ``style outside``.

``clip`` is the path of a video, ``frames`` a function that gives its frames, (N, H, W, 3).
"""

Results = dict[str, np.ndarray]

STEP = 1 / 255 + 1e-4
"""Save Image truncates to 8 bits."""

ENCODED, LOSS = frozenset({"video"}), 0.04
"""Results of Save Video, and their mean difference from the pictures: H.264 with halved colors."""


def check_saved(name: str, saved: np.ndarray, expected: np.ndarray) -> str:
    """Compare what a workflow saved, uint8, with what the engine made; returns the difference."""
    assert saved.shape == expected.shape
    differences = np.abs(saved / 255 - expected)
    largest, mean = differences.max(), differences.mean()
    assert mean <= LOSS if name in ENCODED else largest <= STEP
    return f"{name}: up to {255 * largest:.2f} of 255 from the engine, {255 * mean:.2f} on average"


def read_picture(path: Any) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32) / 255


def read_frames(path: Path) -> np.ndarray:
    """All frames of a video, (N, H, W, 3), uint8."""
    with av.open(str(path)) as clip:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)])


def stylized(
    contents: np.ndarray,
    style: np.ndarray | Regions,
    *,
    batch_statistics: str = "per picture",
    **settings: Any,
) -> np.ndarray:
    """A batch, (N, H, W, 3), in a style, or in a style for each region."""
    sources = [_source(content) for content in contents]
    canvases = [TensorCanvas(source.size, dtype=torch.float32) for source in sources]
    stylize_frames(
        Frames(sources, style if isinstance(style, Regions) else [_source(style)]),
        canvases,
        load_backbone(),
        Settings(device="cpu", **settings),
        batch_statistics=batch_statistics,
    )
    return np.stack([canvas.pixels.permute(1, 2, 0).numpy() for canvas in canvases])


def _source(picture: np.ndarray) -> TensorSource:
    return TensorSource(torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))))


def enlarged(pictures: np.ndarray, upscale_model: Mapping[str, Tensor]) -> np.ndarray:
    """What an upscale model of the compact kind makes of pictures that fit in one of its tiles."""
    inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    features = inputs
    layers = 1 + max(int(name.split(".")[1]) for name in upscale_model)
    for layer in range(0, layers, 2):
        weight, bias = (upscale_model[f"body.{layer}.{part}"] for part in ("weight", "bias"))
        features = F.conv2d(features, weight, bias, padding=1)
        slopes = upscale_model.get(f"body.{layer + 1}.weight")
        features = features if slopes is None else F.prelu(features, slopes)
    result = F.pixel_shuffle(features, 2) + F.interpolate(inputs, scale_factor=2, mode="nearest")
    return result.clamp(0, 1).permute(0, 2, 3, 1).numpy()


def _one(name: str) -> Callable[[Pictures, Any], Results]:
    return lambda pictures, _: {name: stylized(pictures["content"][None], pictures["style"])}


def _upscaled_first(pictures: Pictures, upscale: Any) -> Results:
    larger = upscale(pictures["content"][None])
    return {"upscale_then_stylize": stylized(larger, pictures["style"])}


def _upscaled_last(pictures: Pictures, upscale: Any) -> Results:
    painted = stylized(pictures["content"][None], pictures["style"])
    return {"stylize_then_upscale": upscale(painted)}


def _regions(pictures: Pictures, _: Any) -> Results:
    content = pictures["content"]
    inside = torch.from_numpy((content[..., 2] > 0.6).astype(np.float32))
    masks = [Mask(TensorMask(mask)) for mask in (torch.ones_like(inside), inside)]
    styles = [Region([_source(pictures[f"style {side}"])]) for side in ("outside", "inside")]
    regions = Regions(MaskRegions(masks), styles)
    return {"regions_with_masks": stylized(content[None], regions)}


def _video(pictures: Pictures, _: Any) -> Results:
    frames = pictures["frames"]()
    return {"video": stylized(frames, pictures["style"], batch_statistics=SHARED)}


def _video_file(pictures: Pictures, _: Any) -> Results:
    with TemporaryDirectory() as folder:
        style = Path(folder) / "style.png"
        Image.fromarray((255 * pictures["style"]).round().astype(np.uint8)).save(style)
        painted = Path(folder) / "painted.mp4"
        urst.stylize_video(pictures["clip"], style, painted, device="cpu")
        return {"video_file": read_frames(painted).astype(np.float32) / 255}


def _compared(pictures: Pictures, _: Any) -> Results:
    lanes = {
        "A": {},
        "B": {"style_size": 256},
        "C": {"strength": 0.5},
        "D": {"thumbnail_size": 128},
    }
    return {
        f"compare_{lane}": stylized(pictures["content"][None], pictures["style"], **settings)
        for lane, settings in lanes.items()
    }


RESULTS: Mapping[str, Callable[[Pictures, Any], Results]] = {
    "quick_start": _one("quick_start"),
    "five_nodes": _one("five_nodes"),
    "strokes_by_hand": lambda pictures, _: {
        "strokes_by_hand": stylized(pictures["content"][None], pictures["style"], strokes=4.0)
    },
    "hundred_megapixels": _one("stylized"),
    "upscale_then_stylize": _upscaled_first,
    "stylize_then_upscale": _upscaled_last,
    "regions_with_masks": _regions,
    "video_shared_statistics": _video,
    "video_file": _video_file,
    "compare_backbones": _compared,
}
"""By workflow, a function of pictures and of what enlarges a batch."""
