"""What a page is told while a node runs: how far it is, and what it looks like by then.

ComfyUI's progress bar is also where a cancel comes from: it raises, and that ends the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import comfy.utils
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..urst_core.formats.output_format import EncodingListener
from ..urst_core.formats.vips_loader import UNPACKING_STAGE
from ..urst_core.geometry import Size
from ..urst_core.method.pipeline import PREPARATION_STAGE, TILES_STAGE
from ..urst_core.method.strokes import level_sizes
from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import Source, from_unit
from ..urst_core.progress import Listener, Progress
from ..urst_core.tiling.exact_statistics import stage_of_site
from ..urst_core.tiling.settings import Settings
from ..urst_core.weights.hub import DownloadListener, DownloadProgress
from .sockets import LoadedBackbone

SECONDS_BETWEEN_PREVIEWS = 1.0

LONGEST_LIVE_PREVIEW = 1024
"""The longest side, in px, of what is shown while a node runs."""

Look = Callable[[Progress], "Tensor | None"]
"""Handed each step; returns what there is to see then, (3, h, w), 0..1; None where nothing is."""


class NodeProgress:
    """The progress bar of one execution of a node, and the picture beside it.

    Args:
        pictures: how many pictures are gone over, one after the other.
        stages: what each of them goes through, where that is more than one stage.
    """

    def __init__(self, *, pictures: int = 1, stages: Sequence[str] = ()) -> None:
        self._bar = comfy.utils.ProgressBar(1)
        self._pictures, self._stages = pictures, list(stages)
        self._shown_at = -SECONDS_BETWEEN_PREVIEWS

    def listener(self, *, picture: int = 0, look: Look | None = None) -> Listener:
        """A listener for the engine, which ends the run when the user cancels.

        Args:
            picture: which one the run is for, from 0.
            look: what to show, about once a second.
        """

        def tell(progress: Progress) -> None:
            pixels = None if look is None else look(progress)
            # Pages keep showing the last one when the node is done.
            is_last = (
                picture + 1 == self._pictures
                and progress.stage == TILES_STAGE
                and progress.pixels_done >= progress.pixels_total
            )
            shown = None if pixels is None else self._preview_of(pixels, at_once=is_last)
            self._bar.update_absolute(*self._position(picture, progress), shown)

        return tell

    def _position(self, picture: int, progress: Progress) -> tuple[int, int]:
        """What is done, and the total; as pixels, since their number stays where tiles are halved.

        Every stage counts for the same.
        """
        stage, total = progress.stage, progress.pixels_total
        index = self._stages.index(stage) if stage in self._stages else 0
        # Preparations are short, and the bar would go back after them.
        done = 0 if stage in (PREPARATION_STAGE, UNPACKING_STAGE) else progress.pixels_done
        count = max(1, len(self._stages))
        return (picture * count + index) * total + done, self._pictures * count * total

    def _preview_of(self, pixels: Tensor, *, at_once: bool) -> tuple[str, Image.Image, None] | None:
        """A preview as ComfyUI takes it; None so soon after another."""
        if not at_once and time.monotonic() - self._shown_at < SECONDS_BETWEEN_PREVIEWS:
            return None
        self._shown_at = time.monotonic()
        # No limit for ComfyUI to apply: it would enlarge what is smaller.
        return "JPEG", _pillow_image(pixels), None


def progress_listener(*, picture: int = 0, pictures: int = 1, look: Look | None = None) -> Listener:
    """The listener of :class:`NodeProgress` where one is enough."""
    return NodeProgress(pictures=pictures).listener(picture=picture, look=look)


def stages_of(loaded: LoadedBackbone, settings: Settings, size: Size, *others: str) -> list[str]:
    """The passes over a picture: those that measure exact statistics, and others behind them.

    All levels of larger strokes are told of as one stage, whatever they measure.
    """
    exact = settings.stats == "exact" and len(level_sizes(size, settings)) == 1
    sites = loaded.backbone.network.site_names if exact else ()
    return [*map(stage_of_site, sites), *others]


def fill_preview(size: Size, content: Source | None = None) -> Look:
    """Shows how a picture fills, stage by stage, and level by level.

    Args:
        size: of the picture, which the cores are parts of.
        content: shown where a stage makes no pixels, but has read them there.
    """
    preview: LayeredPreview | None = None

    def look(progress: Progress) -> Tensor | None:
        nonlocal preview
        if progress.core is None:
            if progress.tiles_done == 0 or progress.stage != TILES_STAGE:
                preview = None
            return None
        core, pixels = progress.core.clipped(progress.frame or size), progress.pixels
        measures = progress.stage != TILES_STAGE
        if pixels is None and measures and content is not None and core.area:
            pixels = content.read(core)
        if pixels is not None:
            preview = preview or LayeredPreview(size, LONGEST_LIVE_PREVIEW)
            preview.add(core, pixels, progress.frame)
        return None if preview is None else preview.pixels

    return look


def existing_preview(preview: SampledPreview) -> Look:
    """Shows a preview that somebody else fills, from its first part on."""

    def look(progress: Progress) -> Tensor | None:
        return preview.pixels if progress.core is not None else None

    return look


def encoding_listener(listener: Listener, size: Size) -> EncodingListener:
    """Passes an encoding's progress on to a listener of tiles; each percent once."""
    area = size[0] * size[1]
    last = -1

    def tell(share: float) -> None:
        nonlocal last
        # libvips speaks up for every few rows.
        if int(100 * share) > last:
            last = int(100 * share)
            listener(Progress("encoding", 0, 0, round(share * area), area))

    return tell


def download_listener() -> DownloadListener:
    """A listener that moves the node's progress bar, and ends the download when the user cancels.

    What ComfyUI raises for a cancel passes through the engine as it is.
    """
    bar: comfy.utils.ProgressBar | None = None

    def tell(progress: DownloadProgress) -> None:
        nonlocal bar
        bar = bar or comfy.utils.ProgressBar(progress.bytes_total)
        bar.update_absolute(progress.bytes_done, progress.bytes_total)

    return tell


def _pillow_image(pixels: Tensor) -> Image.Image:
    """A copy, no larger than what is shown live: ComfyUI encodes it later, in another thread."""
    step = -(-max(pixels.shape[1:]) // LONGEST_LIVE_PREVIEW)
    if step > 1:
        pixels = F.avg_pool2d(pixels, step, ceil_mode=True)
    stored = from_unit(pixels, torch.uint8)
    return Image.fromarray(stored.permute(1, 2, 0).contiguous().numpy())
