"""Strokes of any size: a pyramid of stylizations in which each level adds only its own band.

A network's strokes have a fixed size in pixels: it turns a thumbnail into a painting, but the same
photograph at 19 megapixels into a recolored photograph with fine grain. So the smallest level is
painted first, and each larger one repaints it with strokes of half the size::

      content      p = the painting below, c = this level's content, c' = the content below
         │
      ┌──▼───┐     input   = d * c + E K (p - d * B c') + brushwork    a painting, with detail
      │ join │     fine    = network (input)
      └──▼───┘     own     = fine - E K B S fine                       only its finest strokes
      network      picture = E K B p + gain * own                      over the ones below
      ┌──▼────┐
      │ merge │    E enlarges, S shrinks (both cubic, of finite reach); K = 2 - S E makes S E K
      └──▼────┘    nearly the identity: no drift of color from level to level
       picture     (back-projected, so that its thumbnail stays: see :mod:`.back_projection`)

A network hardly sees the finest octave of its input and paints little there. So each level also
repaints the finest octave of the painting below, which B removes, from the content's detail of that
size. Only the coarsest level's painting is kept whole, since it is the preview.

Every level is an ordinary pass over exact tiles with slightly larger windows. Levels are numbered
from the coarsest, 0, which is the stylized thumbnail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from ..geometry import Rectangle, Size, round_up
from ..pictures.source import Source, bands, to_unit
from ..pictures.thumbnail import thumbnail_size_of
from ..tiling.blocks import each_block
from ..tiling.settings import Settings
from . import brushwork
from .level_step import Step

SLACK = 1.01
"""A remaining factor of up to twice this is one step, so that rounding a size adds no level."""


def level_sizes(size: Size, settings: Settings) -> tuple[Size, ...]:
    """Sizes of the levels, coarsest first; a single one if strokes are the network's own.

    The picture is halved as long as the result is larger than the coarsest level. The remaining
    factor is used in the smallest step, where it costs least.

    Args:
        size: height and width of the picture, in px.
        settings: with the size of strokes and of the thumbnail.

    Example:
        >>> level_sizes((3456, 5208), Settings(strokes="preview", thumbnail_size=1024))
        ((680, 1024), (864, 1302), (1728, 2604), (3456, 5208))
    """
    if settings.strokes == "fine":
        return (size,)
    if isinstance(settings.strokes, str):
        coarsest = thumbnail_size_of(size, settings.thumbnail_size)
    else:
        coarsest = thumbnail_size_of(size, max(1, round(max(size) / settings.strokes)))
    if coarsest == size:
        return (size,)
    sizes = [size]
    while _factor(sizes[-1], coarsest) > 2 * SLACK:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return (coarsest, *reversed(sizes))


def measured_size(thumbnail_size: int, coarsest: Size) -> int:
    """Longest edge of the thumbnails that levels are measured on, in px; 0 for whole levels.

    Never larger than the coarsest level: the next one, an enlarged painting, is soft at its own
    size, and networks would make up for that and overdo all larger levels.

    Args:
        thumbnail_size: of the settings.
        coarsest: size of the coarsest level.
    """
    return min(thumbnail_size, max(coarsest))


def level_margins(size: Size, settings: Settings, stride: int) -> list[int]:
    """The :meth:`Level.margin` of each level of a picture, in px, the coarsest level first.

    Args:
        size: height and width of the picture, in px.
        settings: with the size of strokes, the brushwork and the thumbnail size.
        stride: of the network.
    """
    sizes = level_sizes(size, settings)
    reaches = [0, *(Step(coarse, fine, sizes[0]).reach for coarse, fine in pairwise(sizes))]
    has_noise = settings.brushwork > 0 and not is_plain(sizes, settings)
    only = len(sizes) == 1
    return [
        _margin(reach, stride, has_noise=has_noise and (only or number > 0))
        for number, reach in enumerate(reaches)
    ]


def is_plain(sizes: Sequence[Size], settings: Settings) -> bool:
    """Whether a single pass without brushwork makes the picture.

    A single level has brushwork only if strokes are a number.

    Args:
        sizes: sizes of all levels.
        settings: with the size of strokes and the brushwork.
    """
    has_brushwork = not isinstance(settings.strokes, str) and settings.brushwork > 0
    return len(sizes) == 1 and not has_brushwork


def _margin(reach: int, stride: int, *, has_noise: bool) -> int:
    return round_up(reach + (brushwork.FLATNESS_RADIUS if has_noise else 0), stride)


def _factor(size: Size, coarsest: Size) -> float:
    return max(size[0] / coarsest[0], size[1] / coarsest[1])


@dataclass(frozen=True)
class Below:
    """The level below: its content and its finished picture, of one size and dtype."""

    content: Source
    picture: Source

    def read(self, area: Rectangle) -> Tensor:
        """Read the stored pixels of both, (6, h, w), the content's channels first."""
        return torch.cat([self.content.read(area)[:3], self.picture.read(area)[:3]])


@dataclass(frozen=True)
class Level:
    """Joins the network's input of one level, and merges its output.

    A :class:`~urst_core.tiling.stylize_tile.Refinement` of the tiles of this level's content.

    Attributes:
        number: number of the level; 0 is the coarsest.
        size: height and width, in px.
        below: the level below; None for the coarsest.
        detail: share of the content's fine structure in the input, 0 to 1.
        brushwork: strength of the noise in flat areas, 0 to 1.
        seed: seed of the noise.
        content_share: share of the unchanged content in the result, see
            :meth:`~urst_core.networks.model.Backbone.content_share`; 0 except on the last level.
        coarsest: height and width of the coarsest level. If None, the picture below keeps its
            finest octave, as if it were the coarsest.
        enlarged: the picture below, enlarged to this level's size by other means; replaces E K p
            in the input only. The result keeps the colors and the large strokes of p. Several
            threads read it.
        dtype: dtype in which pixels are joined and merged.
    """

    number: int
    size: Size
    below: Below | None = None
    detail: float = 1.0
    brushwork: float = 0.0
    seed: int = 0
    content_share: float = 0.0
    coarsest: Size | None = None
    enlarged: Source | None = None
    dtype: torch.dtype = torch.float32

    @cached_property
    def step(self) -> Step | None:
        if self.below is None:
            return None
        coarse = self.below.picture.size
        return Step(coarse, self.size, self.coarsest or coarse)

    def margin(self, stride: int) -> int:
        """Additional halo of windows, in px, a multiple of the stride."""
        reach = self.step.reach if self.step else 0
        return _margin(reach, stride, has_noise=self.brushwork > 0)

    def area_below(self, area: Rectangle) -> Rectangle | None:
        """The area of the level below that an input of ``area`` needs; None on the coarsest."""
        return self.step.below(area) if self.step else None

    def read_below(self, area: Rectangle) -> Tensor | None:
        """Read the stored pixels of :meth:`area_below` for :meth:`join`."""
        below = self.area_below(area)
        return None if self.below is None or below is None else self.below.read(below)

    def read_noise(self, area: Rectangle) -> Tensor | None:
        """Make the noise of an area for :meth:`join`, in the memory of the CPU."""
        return brushwork.noise(area, level=self.number, seed=self.seed) if self.brushwork else None

    def join(
        self,
        content: Tensor,
        below: Tensor | None,
        area: Rectangle,
        *,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Compute the network's input.

        Args:
            content: stored pixels of this level's content, (3, h, w), on the computing device.
            below: from :meth:`read_below`, on the same device.
            area: their rectangle in the picture. With brushwork, the outermost
                ``FLATNESS_RADIUS`` px differ from those of a larger area.
            noise: from :meth:`read_noise`, on the same device; if None, it is made here, block by
                block, which takes less memory but lets other devices than the CPU wait.

        Returns:
            (3, h, w), 0..1, in ``dtype``.
        """
        joined = torch.empty((3, *area.size), dtype=self.dtype, device=content.device)

        def join(block: Rectangle) -> None:
            inside = (..., *block.relative_to(area).slices)
            grains = self.read_noise(block) if noise is None else noise[inside]
            self._join_block(content, below, grains, area, block, out=joined[inside])

        each_block(area, content.device, join)
        return joined

    def _join_block(
        self,
        content: Tensor,
        below: Tensor | None,
        grains: Tensor | None,
        area: Rectangle,
        block: Rectangle,
        *,
        out: Tensor,
    ) -> None:
        """A part of :meth:`join`'s result, into ``out``."""
        wide = block.grown(0 if grains is None else brushwork.FLATNESS_RADIUS).clipped_to(area)
        inner = block.relative_to(wide).slices
        colors = self._unit(content[(..., *wide.relative_to(area).slices)])
        joined = colors[(..., *inner)]
        if self.step and below is not None:
            coarse_area = self.step.below(block)
            part = coarse_area.relative_to(self.step.below(area)).slices
            coarse = self._unit(below[(..., *part)])
            painting = coarse[3:] if self.enlarged is None else torch.zeros_like(coarse[3:])
            joined = self.step.join(joined, coarse[:3], painting, self.detail, block)
            if self.enlarged is not None:
                joined = joined.add_(self._unit(self.enlarged.read(block)).to(joined))
        if grains is not None:
            # Not in place: without a level below, these are the content's pixels.
            joined = torch.add(joined, self.strokes_of(grains.to(joined), colors, inner), out=out)
        torch.clamp(joined, 0.0, 1.0, out=out)

    def strokes_of(self, grains: Tensor, colors: Tensor, inner: tuple[slice, slice]) -> Tensor:
        """The brushwork that noise becomes: strongest where the content is flat.

        Args:
            grains: noise, (1, h, w).
            colors: the content, (3, H, W), 0..1, wider by ``FLATNESS_RADIUS`` where there is more.
            inner: where the noise is in the colors.
        """
        strength = brushwork.flatness(colors)[(..., *inner)]
        return (grains * strength).mul_(brushwork.STRONGEST * self.brushwork)

    def merge(
        self,
        painted: Tensor,
        content: Tensor,
        below: Tensor | None,
        area: Rectangle,
        core: Rectangle,
    ) -> Tensor:
        """Compute the finished picture of a core.

        Args:
            painted: the network's output, (3, h, w), not clamped.
            content: stored pixels of this level's content, (3, h, w).
            below: from :meth:`read_below`.
            area: rectangle of all three in the picture.
            core: the part to compute, at least :meth:`margin` from the edges of the area, except
                where these are the picture's.

        Returns:
            (3, *core.size), not always clamped.
        """
        projection = self.step.back_projection if self.step and below is not None else None
        wide = projection.needs(core) if projection else core
        dtype = self.dtype if self.step else painted.dtype
        picture = torch.empty((3, *wide.size), dtype=dtype, device=painted.device)

        def merge(block: Rectangle) -> None:
            inside = (..., *block.relative_to(wide).slices)
            picture[inside] = self._merge_block(painted, below, area, block)

        each_block(wide, painted.device, merge)
        if projection is not None and below is not None:
            colors, at = self._colors_below(below, area, wide)
            picture = projection.correct(picture.clamp_(0.0, 1.0), wide, colors, at, core)
        if self.content_share:
            self._mix_in(content[(..., *core.relative_to(area).slices)], picture)
        return picture

    def _merge_block(
        self, painted: Tensor, below: Tensor | None, area: Rectangle, block: Rectangle
    ) -> Tensor:
        """The network's strokes in a block, over the picture below."""
        if self.step is None or below is None:
            return painted[(..., *block.relative_to(area).slices)]
        needed = self.step.painted_area(block)
        fine = painted[(..., *needed.relative_to(area).slices)].to(self.dtype)
        fine = fine.clamp(0.0, 1.0)
        return self.step.merge(self._colors_below(below, area, block)[0], fine, block)

    def _colors_below(
        self, below: Tensor, area: Rectangle, part: Rectangle
    ) -> tuple[Tensor, Rectangle]:
        """The picture below a part of an area, (3, h, w), 0..1, and its rectangle."""
        assert self.step is not None
        at = self.step.below(part)
        inside = at.relative_to(self.step.below(area)).slices
        return self._unit(below[(slice(3, None), *inside)]), at

    def _mix_in(self, content: Tensor, picture: Tensor) -> None:
        """Mix the stored content into a picture of the same size, in place."""

        def mix(block: Rectangle) -> None:
            inside = picture[(..., *block.slices)]
            kept = self._unit(content[(..., *block.slices)]).to(inside)
            inside.clamp_(0.0, 1.0).lerp_(kept, self.content_share)

        each_block(Rectangle.of_size((picture.shape[1], picture.shape[2])), picture.device, mix)

    def _unit(self, stored: Tensor) -> Tensor:
        return to_unit(stored).to(self.dtype)


@dataclass(frozen=True)
class JoinedSource:
    """A level's input as a source, for measuring.

    Attributes:
        content: the level's content.
        level: joins the input.
        device: device that computes it, and on which its pixels stay.
    """

    content: Source
    level: Level
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def size(self) -> Size:
        return self.content.size

    @property
    def channels(self) -> int:
        return 3

    @property
    def dtype(self) -> torch.dtype:
        return self.level.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        joined = torch.empty(3, *rectangle.size, dtype=self.dtype, device=self.device)
        # In bands, to save memory when a thumbnail is made.
        for band in bands(rectangle.size):
            joined[(..., *band.slices)] = self._band(band.shifted(rectangle.top, rectangle.left))
        return joined

    def _band(self, area: Rectangle) -> Tensor:
        wide = area.grown(brushwork.FLATNESS_RADIUS if self.level.brushwork else 0)
        wide = wide.clipped(self.size)
        content, below = self.content.read(wide)[:3], self.level.read_below(wide)
        below = None if below is None else below.to(self.device)
        joined = self.level.join(content.to(self.device), below, wide)
        return joined[(..., *area.relative_to(wide).slices)]


@dataclass(frozen=True)
class WithoutBrushwork:
    """A level's input without its brushwork, which is no structure to measure.

    The thumbnail of a small level would keep the noise, that of a large one would not, although the
    network sees the same noise on every level.

    Attributes:
        joined: the input, floating, with brushwork.
        content: the level's content.
        level: the level.
    """

    joined: Source
    content: Source
    level: Level

    @property
    def size(self) -> Size:
        return self.joined.size

    @property
    def channels(self) -> int:
        return self.joined.channels

    @property
    def dtype(self) -> torch.dtype:
        return self.joined.dtype

    def read(self, rectangle: Rectangle) -> Tensor:
        pixels = self.joined.read(rectangle).clone()
        for band in bands(rectangle.size):
            area = band.shifted(rectangle.top, rectangle.left)
            wide = area.grown(brushwork.FLATNESS_RADIUS).clipped(self.size)
            noise = self.level.read_noise(area)
            if noise is None:
                break
            colors = to_unit(self.content.read(wide)[:3]).to(pixels)
            inner = area.relative_to(wide).slices
            pixels[(..., *band.slices)] -= self.level.strokes_of(noise.to(pixels), colors, inner)
        return pixels
