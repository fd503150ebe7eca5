"""The geometry of tiles: rectangles, cores and windows. No pixels here.

      frame: the image, padded right and bottom to whole strides
      ┌────────────┬────────────┬──────┐
      │            │            │      │      core     the rectangle that a tile writes; cores
      │   core   ┌─┼────────────┼─┐    │               cover the frame, each pixel once
      │          │ │            │ │    │      halo     context around a core: read, discarded
      ├──────────┼─┼────────────┼─┼────┤      window   core grown by the halo, clipped to
      │          │ │    core    │ │    │               the frame, so that the network's own
      │          │ │            │ │    │               padding acts on the true border only
      │          └─┼────────────┼─┘    │
      └────────────┴────────────┴──────┘

Sizes are ``(height, width)``; rectangles are end-exclusive; all units are pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import SettingsError, ShapeError

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """The pixels with ``top <= y < bottom`` and ``left <= x < right``."""

    top: int
    left: int
    bottom: int
    right: int

    @classmethod
    def of_size(cls, size: Size) -> Rectangle:
        """The rectangle from the origin to ``size``, given as (height, width)."""
        return cls(0, 0, *size)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def size(self) -> Size:
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels; 0 if the rectangle is empty."""
        return max(0, self.height) * max(0, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of a tensor whose last two axes are height and width."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, margin: int) -> Rectangle:
        return Rectangle(
            self.top - margin, self.left - margin, self.bottom + margin, self.right + margin
        )

    def clipped(self, size: Size) -> Rectangle:
        """The part inside an image of ``size``; its area is 0 if there is none."""
        height, width = size
        return Rectangle(
            max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width)
        )

    def clipped_to(self, other: Rectangle) -> Rectangle:
        """The part inside another rectangle, which it overlaps."""
        return Rectangle(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def shifted(self, down: int, right: int) -> Rectangle:
        return Rectangle(self.top + down, self.left + right, self.bottom + down, self.right + right)

    def relative_to(self, origin: Rectangle) -> Rectangle:
        """The same pixels, counted from the top left corner of ``origin``."""
        return self.shifted(-origin.top, -origin.left)

    def contains(self, other: Rectangle) -> bool:
        return (
            self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )

    def scaled(self, length: int, whole: int) -> Rectangle:
        """The same rectangle in a feature map that has ``length`` px for every ``whole`` px here.

        Raises:
            ShapeError: an edge would be between two pixels there.
        """
        edges = (self.top, self.left, self.bottom, self.right)
        if any(edge * length % whole for edge in edges):
            raise ShapeError(
                f"rectangle {edges} is between pixels of maps {length} / {whole} the size; "
                "cut the frame at multiples of the backbone's stride"
            )
        return Rectangle(*(edge * length // whole for edge in edges))


@dataclass(frozen=True, slots=True)
class Tile:
    """One unit of work: ``window`` is read and stylized, ``core`` is written."""

    core: Rectangle
    window: Rectangle

    @property
    def core_in_window(self) -> Rectangle:
        return self.core.relative_to(self.window)

    def touches_border(self, frame: Size) -> bool:
        """Whether the window reaches the border of the frame, where the network itself must pad."""
        height, width = frame
        window = self.window
        return (
            window.top == 0 or window.left == 0 or window.bottom == height or window.right == width
        )


def round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def frame_size(image: Size, *, stride: int, minimum: int = 1) -> Size:
    """The size of an image after padding: a multiple of the stride, and at least ``minimum``.

    Raises:
        ShapeError: the image is empty.
    """
    height, width = image
    if height < 1 or width < 1:
        raise ShapeError(f"image of {height} x {width} px is empty; give at least 1 x 1")
    return (
        round_up(max(height, minimum), stride),
        round_up(max(width, minimum), stride),
    )


def check_tile_size(tile_size: int, *, stride: int, name: str) -> None:
    """Refuse an edge that would break the alignment that exactness depends on.

    Raises:
        SettingsError: ``tile_size`` is not a positive multiple of ``stride``.
    """
    if tile_size >= stride and tile_size % stride == 0:
        return
    below = tile_size // stride * stride
    choices = f"{below} or {below + stride}" if below > 0 else f"{stride} or more"
    raise SettingsError(
        f"tile size {tile_size} is not a positive multiple of {name}'s stride {stride}; "
        f"use {choices}"
    )


def cut(area: Rectangle, edge: int) -> Iterator[Rectangle]:
    """Cut ``area`` into cores of ``edge`` x ``edge`` px, row by row; the last ones are smaller."""
    for top in range(area.top, area.bottom, edge):
        for left in range(area.left, area.right, edge):
            yield Rectangle(top, left, min(top + edge, area.bottom), min(left + edge, area.right))


def tile_around(core: Rectangle, halo: int, frame: Size) -> Tile:
    """The tile of a core: its window is clipped to the frame, not padded."""
    return Tile(core, core.grown(halo).clipped(frame))


def windows_area(frame: Size, edge: int, halo: int) -> int:
    """Number of pixels in all windows together, computed from one row and one column of tiles."""
    column = cut(Rectangle(0, 0, frame[0], 1), edge)
    row = cut(Rectangle(0, 0, 1, frame[1]), edge)
    heights = sum(tile_around(core, halo, frame).window.height for core in column)
    widths = sum(tile_around(core, halo, frame).window.width for core in row)
    return heights * widths


def largest_window(frame: Size, edge: int, halo: int) -> Size:
    """Height and width of the largest window around cores of that edge, in px."""
    longest = edge + 2 * halo
    return min(longest, frame[0]), min(longest, frame[1])


def equal_tiles(frame: Size, *, edge: int, halo: int) -> list[Tile]:
    """Tiles whose windows all have one size, so that they fit one batch.

    A window that would leave the frame is moved inward until its outer edge is on the frame's
    border. No window is larger than the frame.
    """
    height, width = largest_window(frame, edge, halo)
    tiles: list[Tile] = []
    for core in cut(Rectangle.of_size(frame), edge):
        top = min(max(core.top - halo, 0), frame[0] - height)
        left = min(max(core.left - halo, 0), frame[1] - width)
        tiles.append(Tile(core, Rectangle(top, left, top + height, left + width)))
    return tiles
