"""Progress of a running node, with live previews, for ComfyUI's page.

Cancelling also works through ComfyUI's progress bar: an update raises, which ends the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import comfy.utils
import torch
from comfy.cli_args import args
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..urst_core.pictures.preview import LayeredPreview, SampledPreview
from ..urst_core.pictures.source import Source, from_unit
from ..urst_core.progress import PREPARATION_STAGE, TILES_STAGE, UNPACKING_STAGE, Listener, Progress

if TYPE_CHECKING:
    from ..urst_core.formats.output_format import EncodingListener
    from ..urst_core.geometry import Size
    from ..urst_core.tiling.settings import Settings
    from ..urst_core.weights.hub import DownloadListener, DownloadProgress
    from .sockets import LoadedBackbone

SECONDS_BETWEEN_PREVIEWS = 1.0

LONGEST_LIVE_PREVIEW = 1024
"""Longest side of a live preview, in px."""

Look = Callable[[Progress], "Tensor | None"]
"""Called at each step; returns a live preview, (3, h, w), 0..1, or None if there is none yet."""


class NodeProgress:
    """The progress bar of one execution of a node, and its live preview.

    Args:
        pictures: number of pictures, which are processed one after the other.
        stages: stages of each picture, if there is more than one.
    """

    def __init__(self, *, pictures: int = 1, stages: Sequence[str] = ()) -> None:
        self._bar = comfy.utils.ProgressBar(1)
        self._shares, self._stages = [0.0] * pictures, list(stages)
        self._shown_at = -SECONDS_BETWEEN_PREVIEWS

    def listener(self, *, picture: int = 0, look: Look | None = None) -> Listener:
        """Return a listener for the engine, which ends the run when the user cancels.

        Args:
            picture: index of the picture.
            look: makes the live preview, about once a second.
        """

        def tell(progress: Progress) -> None:
            pixels = None if look is None else look(progress)
            # The page keeps showing the last preview after the node has finished.
            is_last = (
                picture + 1 == len(self._shares)
                and progress.stage == TILES_STAGE
                and progress.pixels_done >= progress.pixels_total
            )
            shown = None if pixels is None else self._preview_of(pixels, at_once=is_last)
            self._bar.update_absolute(*self._position(picture, progress), shown)

        return tell

    def _position(self, picture: int, progress: Progress) -> tuple[int, int]:
        """Pixels done and in total. Halving tiles changes their number, but not that of pixels.

        All stages count the same. Pictures may take turns, as the frames of a video in levels do.
        """
        stage, total = progress.stage, max(1, progress.pixels_total)
        index = self._stages.index(stage) if stage in self._stages else 0
        # Preparation is short, and the bar would go back after it.
        done = 0 if stage in (PREPARATION_STAGE, UNPACKING_STAGE) else progress.pixels_done
        count = max(1, len(self._stages))
        share = (index * total + done) / (count * total)
        self._shares[picture] = max(self._shares[picture], share)
        return round(sum(self._shares) * count * total), len(self._shares) * count * total

    def _preview_of(self, pixels: Tensor, *, at_once: bool) -> tuple[str, Image.Image, None] | None:
        """A preview as ComfyUI takes it; None too soon after the last one, or if turned off."""
        if _previews_are_off():
            return None
        if not at_once and time.monotonic() - self._shown_at < SECONDS_BETWEEN_PREVIEWS:
            return None
        self._shown_at = time.monotonic()
        # No size limit, since ComfyUI would enlarge smaller previews to it.
        return "JPEG", _pillow_image(pixels), None


def _previews_are_off() -> bool:
    """Whether ComfyUI was started with ``--preview-method none``.

    Only if it was given: ``none`` is also the default, since previews of samplers take time.
    """
    is_none = getattr(args.preview_method, "value", None) == "none"
    return is_none and any(each.split("=")[0] == "--preview-method" for each in sys.argv)


def progress_listener(*, picture: int = 0, pictures: int = 1, look: Look | None = None) -> Listener:
    """A listener of a new :class:`NodeProgress`, for nodes that need only one."""
    return NodeProgress(pictures=pictures).listener(picture=picture, look=look)


def stages_of(loaded: LoadedBackbone, settings: Settings, size: Size, *others: str) -> list[str]:
    """Names of the passes over a picture: those that measure exact statistics, then the others.

    All levels of larger strokes are reported as one stage, whatever they measure.
    """
    from ..urst_core.method.strokes import level_sizes
    from ..urst_core.tiling.exact_statistics import stage_of_site

    exact = settings.stats == "exact" and len(level_sizes(size, settings)) == 1
    sites = loaded.backbone.network.site_names if exact else ()
    return [*map(stage_of_site, sites), *others]


def fill_preview(size: Size, content: Source | None = None) -> Look:
    """Make a live preview that fills up with each stage and level.

    Args:
        size: of the picture.
        content: shown while a stage only measures it.
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
    """Show a preview that is filled elsewhere, once it has any pixels."""

    def look(progress: Progress) -> Tensor | None:
        return preview.pixels if progress.core is not None else None

    return look


def encoding_listener(listener: Listener, size: Size) -> EncodingListener:
    """Report the progress of encoding to a listener of tiles, once per percent."""
    area = size[0] * size[1]
    last = -1

    def tell(share: float) -> None:
        nonlocal last
        # libvips reports every few rows.
        if int(100 * share) > last:
            last = int(100 * share)
            listener(Progress("encoding", 0, 0, round(share * area), area))

    return tell


def download_listener() -> DownloadListener:
    """A listener that moves the node's progress bar, and ends the download when the user cancels.

    The exception that ComfyUI raises for a cancel passes through the engine unchanged.
    """
    bar: comfy.utils.ProgressBar | None = None

    def tell(progress: DownloadProgress) -> None:
        nonlocal bar
        bar = bar or comfy.utils.ProgressBar(progress.bytes_total)
        bar.update_absolute(progress.bytes_done, progress.bytes_total)

    return tell


def _pillow_image(pixels: Tensor) -> Image.Image:
    """A copy no larger than a live preview: ComfyUI encodes it later, in another thread."""
    step = -(-max(pixels.shape[1:]) // LONGEST_LIVE_PREVIEW)
    if step > 1:
        pixels = F.avg_pool2d(pixels, step, ceil_mode=True)
    stored = from_unit(pixels, torch.uint8)
    return Image.fromarray(stored.permute(1, 2, 0).contiguous().numpy())
