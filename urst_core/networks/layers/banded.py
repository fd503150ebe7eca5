"""Runs a network on a window band by band; each layer computes every row once.

The features of a large window do not fit in a processor's caches, and their memory is returned to
the system after each layer. Bands avoid both: a layer takes bands of rows from the previous layer,
keeps the last few rows, which the next band also needs, and passes its results on.

      bands of the window ──► layer ──► bands of features ──► layer ──► ... ──► bands of picture
                              └ keeps k - 1 rows              └ keeps k - 1 rows

Nothing is computed twice and nothing is discarded: the result is that of the whole window. All
bands are (N, C, h, W), from top to bottom; their heights vary from layer to layer.

A band is freed as soon as no later row depends on it. A layer waits while all those behind it work,
so it must not keep what it has passed on: layers use ``map``, which holds nothing between two
bands, and generators drop their variables before they yield.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry import Rectangle, Size

Bands = Iterator[Tensor]

LEAST_BAND_ROWS = 64

BAND_PIXELS = 2**17
"""Minimum height, and area in float32, of the bands that a CPU computes at a time, in px: small
enough for its caches, large enough for all its cores."""

LEAST_RESULTS = 256
"""Minimum number of pixels that a layer computes at a time; with fewer, overhead dominates."""


class RowLayer(nn.Module, ABC):
    """A layer, or a network of them, that can work band by band."""

    def narrow(self, dtype: torch.dtype, *, on_cpu: bool) -> None:
        """Convert the weights to a 16-bit type, unless that would be visible or slower.

        Args:
            dtype: type to compute in; layers that must not round their results are not converted.
            on_cpu: whether bands are computed on a CPU, where some layers are slower in 16 bits.
        """
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else [child]:
                if isinstance(layer, RowLayer):
                    layer.narrow(dtype, on_cpu=on_cpu)

    @abstractmethod
    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        """Compute the layer band by band; equals calling it with all bands at once.

        Bands are not modified, since the previous layer may still need their last rows.
        """


class RowSequence(RowLayer):
    """Layers one after another."""

    def __init__(self, layers: Iterable[RowLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        for layer in self.layers:
            features = layer(features, at_border=at_border)
        return features

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        for layer in self.layers:
            assert isinstance(layer, RowLayer)
            bands = layer.rows(bands, at_border=at_border)
        return bands


class Trimming(RowLayer):
    """Marks where a tile network may drop the outer part of a window's halo.

    The halo of a window shrinks from layer to layer; what is left of it behind the last layers of
    an encoder need not be decoded. Whoever knows which results are needed cuts the features here.

    Args:
        halo: context that these results need in the features, in px of the picture; see
            :func:`~urst_core.networks.reach.halo_behind_features`.
    """

    def __init__(self, halo: int) -> None:
        super().__init__()
        self.halo = halo

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return features

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        return bands


class StyledSequence(RowLayer):
    """Layers of which the first do not depend on the style, so that several styles share them.

    Args:
        content: the layers that are the same for all styles, up to features of one stride a pixel.
        styled: the others.
        halo: context that a result of ``styled`` needs, in px of the picture; see
            :func:`~urst_core.networks.reach.halo_behind_features`.
    """

    def __init__(
        self, content: Iterable[RowLayer], styled: Iterable[RowLayer], *, halo: int
    ) -> None:
        super().__init__()
        self.content, self.styled = RowSequence(content), RowSequence(styled)
        self.trimming = Trimming(halo)

    @property
    def halo(self) -> int:
        return self.trimming.halo

    def forward(self, image: Tensor, *, at_border: bool) -> Tensor:
        return self.styled(self.content(image, at_border=at_border), at_border=at_border)

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        return self.styled.rows(self.content.rows(bands, at_border=at_border), at_border=at_border)


class CompleteSequence(RowSequence):
    """Layers that compute all of their bands before they pass on the first.

    Every layer on the way keeps a band of its features. In a long chain these would take more
    memory than whole features do; a picture between two networks, of 3 channels, takes little.
    """

    def __init__(self, layers: Iterable[RowLayer]) -> None:
        super().__init__([*layers, Gathered()])


class Gathered(RowLayer):
    """Waits for all bands of a picture, and cuts it into bands again."""

    def forward(self, features: Tensor, *, at_border: bool) -> Tensor:
        del at_border
        return features

    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        del at_border
        parts = [*bands]
        rows = parts[0].shape[2]
        picture = _joined(parts)
        del parts
        yield from bands_of(picture, rows)


class InBands(nn.Module):
    """A part of a network as a CPU computes it fastest: band by band, padded on all sides.

    For pictures that are computed once, to encode or measure them; it has no gradients.

    Args:
        plain: the part. It computes pictures that are not whole strides.
        layers: its layers, folded; they are converted to its type.
        stride: of the layers whose results depend on it; 1 if all pictures are computed in bands.
    """

    def __init__(self, plain: nn.Module, layers: Iterable[RowLayer], *, stride: int = 1) -> None:
        super().__init__()
        self.plain, self.stride = plain, stride
        self.layers = RowSequence(layers).to(next(plain.parameters()).dtype)
        self.layers.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[2:]
        if height % self.stride or width % self.stride:
            return self.plain(picture)
        bands = (
            band.contiguous(memory_format=torch.channels_last)
            for band in bands_of(picture, band_rows(width, picture.dtype))
        )
        return _joined(list(self.layers.rows(bands, at_border=True)))


class Edge(Enum):
    """Kind of padding at the border."""

    ZEROS = "constant"
    REFLECTED = "reflect"
    REPEATED = "replicate"


def band_rows(width: int, dtype: torch.dtype) -> int:
    """Height of the bands of a picture of that width, in px, in the type that it is computed in."""
    area = BAND_PIXELS * torch.float32.itemsize // dtype.itemsize
    return max(LEAST_BAND_ROWS, area // width)


def bands_of(features: Tensor, rows: int) -> Bands:
    """Cut features into bands of that many rows; the last may be smaller."""
    yield from features.split(rows, dim=2)


def trimmed(bands: Bands, part: Rectangle, whole: Size) -> Bands:
    """Cut out a part of features, and compute no rows below it.

    Args:
        bands: bands of all features.
        part: the part, in px of the picture.
        whole: height and width of the features, in px of the picture.
    """
    top = 0
    for band in bands:
        inside = part.scaled(band.shape[3], whole[1]).shifted(-top, 0)
        top += band.shape[2]
        rows = slice(max(inside.top, 0), min(inside.bottom, band.shape[2]))
        is_last = inside.bottom <= band.shape[2]
        cut = [band[:, :, rows, inside.left : inside.right]] if rows.start < rows.stop else []
        del band
        while cut:
            yield cut.pop().contiguous(memory_format=torch.channels_last)
        if is_last:
            return


def in_dtype(bands: Bands, dtype: torch.dtype) -> Bands:
    """Convert bands to a type."""
    return map(partial(torch.Tensor.to, dtype=dtype), bands)


def slabs(
    bands: Bands,
    *,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    edge: Edge = Edge.ZEROS,
) -> Bands:
    """Cut padded rows for a convolution: each slab is the input of the next rows of results.

    Slabs overlap if the kernel is larger than the stride. Rows are always padded; columns only if
    not with zeros, since convolutions pad columns with zeros themselves, without a copy.
    """
    columns = 0 if edge is Edge.ZEROS else padding
    waiting: list[Tensor] = []
    height = 0
    for band, is_last in _padded(joined_if_low(bands, padding, stride), padding, edge):
        height += band.shape[2]
        waiting = [_slab(waiting, band, columns, edge)]
        del band
        results = (height - kernel) // stride + 1
        if not is_last:
            # A stride larger than the kernel skips rows, which must be available.
            results = min(results, height // stride)
        if results < 1:
            continue
        slab = waiting.pop()
        # A copy: the slab is freed before the next one is made.
        waiting = [slab[:, :, results * stride :].clone()]
        height -= results * stride
        ready = [slab[:, :, : (results - 1) * stride + kernel]]
        del slab
        yield ready.pop()


def _slab(above: Sequence[Tensor], band: Tensor, columns: int, edge: Edge) -> Tensor:
    """A band below the rows of a slab, if there is one, with columns on both sides like these.

    Made with a single copy: padding and joining would be two.
    """
    if not above and not columns:
        return band
    count, channels, height, width = band.shape
    rows = sum(part.shape[2] for part in above)
    channels_last = band.is_contiguous(memory_format=torch.channels_last)
    slab = torch.empty(
        (count, channels, rows + height, width + 2 * columns),
        dtype=band.dtype,
        device=band.device,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
    )
    for part in above:
        slab[:, :, :rows] = part
    slab[:, :, rows:, columns : columns + width] = band
    reflected = edge is Edge.REFLECTED
    for column in range(columns):
        left = columns - column if reflected else 0
        right = width - 2 - column if reflected else width - 1
        slab[:, :, rows:, column] = band[..., left]
        slab[:, :, rows:, columns + width + column] = band[..., right]
    return slab


def _padded(
    bands: Iterator[tuple[Tensor, bool]], padding: int, edge: Edge
) -> Iterator[tuple[Tensor, bool]]:
    """Add ``padding`` rows above the first and below the last band."""

    def padded(number: int, band_and_last: tuple[Tensor, bool]) -> tuple[Tensor, bool]:
        band, is_last = band_and_last
        above, below = 0 if number else padding, padding if is_last else 0
        return _with_rows(band, above, below, edge), is_last

    return map(padded, count(), bands)


def _with_rows(band: Tensor, above: int, below: int, edge: Edge) -> Tensor:
    return F.pad(band, (0, 0, above, below), mode=edge.value) if above or below else band


def joined_if_low(bands: Bands, padding: int, stride: int) -> Iterator[tuple[Tensor, bool]]:
    """Join low bands, so that each can be padded and gives :data:`LEAST_RESULTS` pixels of results.

    The last one, too; a band is lower only if all rows together are fewer. Also tells which band is
    the last.
    """
    ready: list[Tensor] = []
    growing: list[Tensor] = []
    for band in bands:
        least = padding + max(1, -(-LEAST_RESULTS * stride**2 // band.shape[3]))
        growing.append(band)
        del band
        if sum(part.shape[2] for part in growing) >= least:
            ready.append(_joined(growing))
            growing = []
            if len(ready) > 1:
                yield ready.pop(0), False
    last = [_joined([*ready, *growing])]
    del ready, growing
    yield last.pop(), True


def _joined(bands: Sequence[Tensor]) -> Tensor:
    return bands[0] if len(bands) == 1 else torch.cat(list(bands), dim=2)


def with_last(bands: Bands) -> Iterator[tuple[Tensor, bool]]:
    """Each band, and whether it is the last."""
    waiting = [next(bands)]
    for band in bands:
        waiting.append(band)
        del band
        yield waiting.pop(0), False
    yield waiting.pop(), True


def forked(bands: Bands) -> tuple[Bands, Bands]:
    """The same bands twice; each is held until both have taken it.

    Unlike :func:`itertools.tee`, which frees its items in blocks of dozens.
    """
    waiting = deque[Tensor](), deque[Tensor]()

    def taken(side: int) -> Bands:
        while True:
            if not waiting[side]:
                try:
                    band = next(bands)
                except StopIteration:
                    return
                for each in waiting:
                    each.append(band)
                del band
            yield waiting[side].popleft()

    return taken(0), taken(1)


class RowReader:
    """Reads bands of rows in other heights than those they come in."""

    def __init__(self, bands: Bands) -> None:
        self._bands = bands
        self._rest: Tensor | None = None

    def take(self, rows: int) -> Bands:
        """Take the next rows, in parts as they come; at least as many must be left."""
        while rows:
            band = next(self._bands) if self._rest is None else self._rest
            self._rest = band[:, :, rows:] if band.shape[2] > rows else None
            parts = [band[:, :, :rows]]
            del band
            rows -= parts[0].shape[2]
            yield parts.pop()
