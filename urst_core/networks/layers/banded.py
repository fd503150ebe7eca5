"""A window's rows through a network, band after band: each layer computes every row once.

Whole layers of a large window leave a processor's caches, and their memory goes back to the system
after each. Bands do neither: a layer takes bands of rows from the layer before it, keeps the last
few that the next band needs as well, and hands on what it has computed.

      bands of the window ──► layer ──► bands of features ──► layer ──► ... ──► bands of picture
                              └ keeps k - 1 rows              └ keeps k - 1 rows

Nothing is computed twice and nothing is discarded: the result is that of the whole window. All
bands are (N, C, h, W), from top to bottom; their heights vary from layer to layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Bands = Iterator[Tensor]

LEAST_RESULTS = 256
"""Fewest pixels that a layer computes at a time: of fewer, the calls take longer than the work."""


class RowLayer(nn.Module, ABC):
    """A layer, or a network of them, that can work band by band."""

    def narrow(self, dtype: torch.dtype, *, on_cpu: bool) -> None:
        """Round the weights to a type of 16 bits where that neither shows nor costs time.

        Args:
            dtype: to compute in; layers that must not round their results stay as they are.
            on_cpu: whether bands are computed on a CPU, which has reasons of its own.
        """
        for child in self.children():
            for layer in child if isinstance(child, nn.ModuleList) else [child]:
                if isinstance(layer, RowLayer):
                    layer.narrow(dtype, on_cpu=on_cpu)

    @abstractmethod
    def rows(self, bands: Bands, *, at_border: bool) -> Bands:
        """What calling the layer with all bands in one would return, band by band.

        Bands are not changed: the layer before may need their last rows once more.
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


class Edge(Enum):
    """The kind of padding beyond the first and the last row and column."""

    ZEROS = "constant"
    REFLECTED = "reflect"
    REPEATED = "replicate"


def bands_of(features: Tensor, rows: int) -> Bands:
    """Cut features into bands of so many rows; the last is smaller."""
    yield from features.split(rows, dim=2)


def in_dtype(bands: Bands, dtype: torch.dtype) -> Bands:
    """The bands, rounded to a type."""
    for band in bands:
        yield band.to(dtype)


def slabs(
    bands: Bands,
    *,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    edge: Edge = Edge.ZEROS,
) -> Bands:
    """The padded rows, cut for a convolution: each slab is what the next rows of results need.

    Slabs overlap where the kernel is larger than the stride. Rows are padded, and unless with
    zeros, columns too: convolutions pad columns with zeros themselves, without a copy.
    """
    columns = 0 if edge is Edge.ZEROS else padding
    waiting = deque[Tensor]()
    height = 0
    for band, is_last in _padded(_joined_if_low(bands, padding, stride), padding, edge):
        waiting.append(_widened(band, columns, edge))
        height += band.shape[2]
        results = (height - kernel) // stride + 1
        if not is_last:
            # A stride larger than the kernel skips rows, which must have come.
            results = min(results, height // stride)
        if results < 1:
            continue
        slab = _joined(waiting)
        used = (results - 1) * stride + kernel
        yield slab[:, :, :used]
        if not is_last:
            waiting = deque([slab[:, :, results * stride :]])
            height -= results * stride


def _padded(bands: Bands, padding: int, edge: Edge) -> Iterator[tuple[Tensor, bool]]:
    """The bands with ``padding`` rows above the first and below the last; and which is the last."""
    above = padding
    for band, is_last in with_last(bands):
        yield _with_rows(band, above, padding if is_last else 0, edge), is_last
        above = 0


def _with_rows(band: Tensor, above: int, below: int, edge: Edge) -> Tensor:
    return F.pad(band, (0, 0, above, below), mode=edge.value) if above or below else band


def _widened(band: Tensor, columns: int, edge: Edge) -> Tensor:
    return F.pad(band, (columns, columns, 0, 0), mode=edge.value) if columns else band


def _joined_if_low(bands: Bands, padding: int, stride: int) -> Bands:
    """Low bands are joined: each can be padded, and makes :data:`LEAST_RESULTS` pixels of results.

    The last, too; there are fewer rows only if there are fewer in all.
    """
    ready: Tensor | None = None
    growing: list[Tensor] = []
    for band in bands:
        growing.append(band)
        least = padding + max(1, -(-LEAST_RESULTS * stride**2 // band.shape[3]))
        if sum(part.shape[2] for part in growing) >= least:
            if ready is not None:
                yield ready
            ready, growing = _joined(growing), []
    yield _joined([*([] if ready is None else [ready]), *growing])


def _joined(bands: Sequence[Tensor]) -> Tensor:
    return bands[0] if len(bands) == 1 else torch.cat(list(bands), dim=2)


def with_last(bands: Bands) -> Iterator[tuple[Tensor, bool]]:
    """Each band, and whether it is the last."""
    band = next(bands)
    for after in bands:
        yield band, False
        band = after
    yield band, True


class RowReader:
    """Reads bands of rows in other heights than they come in."""

    def __init__(self, bands: Bands) -> None:
        self._bands = bands
        self._rest: Tensor | None = None

    def take(self, rows: int) -> Tensor:
        """The next rows; the bands must have as many left."""
        parts: list[Tensor] = []
        while rows:
            band = next(self._bands) if self._rest is None else self._rest
            self._rest = band[:, :, rows:] if band.shape[2] > rows else None
            parts.append(band[:, :, :rows])
            rows -= parts[-1].shape[2]
        return _joined(parts)
