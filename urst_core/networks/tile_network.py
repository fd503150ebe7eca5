"""A baked backbone: convolutions, ReLUs and resampling, ready for a device and a precision."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from ..geometry import Rectangle, Size
from .full_precision import full_precision
from .heap import return_free_memory
from .layers.banded import (
    Bands,
    RowLayer,
    RowSequence,
    StyledSequence,
    Trimming,
    band_rows,
    bands_of,
    trimmed,
)
from .layers.local import LocalAffine, Place


class TileNetwork(nn.Module):
    """A baked backbone: maps windows to stylized windows, without state between calls."""

    def __init__(self, folded: RowLayer, *, content_share: float) -> None:
        super().__init__()
        self.folded = folded
        self.content_share = content_share
        self.compute_dtype = torch.float32
        self.in_bands = False

    def prepared(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TileNetwork:
        """Make a copy on ``device`` that computes in ``dtype``, with a fast memory layout.

        The output convolution and everything after it use at least float32. On a CPU the copy works
        band by band, and layers for which half precision is visible, or not faster, use float32.

        Args:
            device: device that stylizes windows.
            dtype: float32, float64, or one of the backbone's half-precision types.
        """
        network = TileNetwork(copy.deepcopy(self.folded), content_share=self.content_share)
        network.compute_dtype = dtype
        network.in_bands = device.type == "cpu"
        network.folded.to(device=device, dtype=network.picture_dtype)
        if dtype != network.picture_dtype:
            network.folded.narrow(dtype, on_cpu=network.in_bands)
        network.folded.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return network.eval().requires_grad_(False)

    @property
    def picture_dtype(self) -> torch.dtype:
        """Type of the stylized picture: that of the computation, but at least float32."""
        return torch.promote_types(self.compute_dtype, torch.float32)

    @full_precision()
    def forward(
        self, window: Tensor, *, at_border: bool = True, needed: Rectangle | None = None
    ) -> Tensor:
        """Stylize windows.

        Args:
            window: (N, 3, H, W), floating, 0..1, H and W multiples of the backbone's stride.
            at_border: whether an edge of the window is on the frame's border. If not, everything
                that padding affects is discarded with the halo, and the cheapest padding is used.
            needed: the part of the window whose results are needed, in whole strides; it reaches
                those edges of the window that are on the frame's border. All of it if None.

        Returns:
            (N, 3, H, W), not clamped: float32, or float64 if the network computes in float64.
            Unspecified, but finite, outside ``needed``.
        """
        layers = _chain(self.folded)
        return self._mixed(
            self._compute(layers, window, window, at_border=at_border, needed=needed), window
        )

    @property
    def styled_halo(self) -> int | None:
        """Context that :meth:`from_features` needs, in px of the picture.

        None if the style changes all layers.
        """
        return self.folded.halo if isinstance(self.folded, StyledSequence) else None

    @full_precision()
    def content_features(self, window: Tensor, *, at_border: bool) -> Tensor:
        """The first half of :meth:`forward`, which all styles of the backbone share.

        Args:
            window, at_border: as for :meth:`forward`.

        Returns:
            (N, C, h, w), one pixel for each stride of the window.
        """
        assert isinstance(self.folded, StyledSequence)
        return self._compute(_chain(self.folded.content), window, window, at_border=at_border)

    @full_precision()
    def from_features(
        self,
        features: Tensor,
        window: Tensor,
        *,
        at_border: bool,
        needed: Rectangle | None = None,
    ) -> Tensor:
        """The second half of :meth:`forward`, from the :meth:`content_features` of the window."""
        assert isinstance(self.folded, StyledSequence)
        layers = [self.folded.trimming, *_chain(self.folded.styled)]
        return self._mixed(
            self._compute(layers, features, window, at_border=at_border, needed=needed), window
        )

    @property
    def is_local(self) -> bool:
        """Whether statistics vary over the picture, so that windows are computed :meth:`at`."""
        return any(isinstance(layer, LocalAffine) for layer in self.folded.modules())

    def at(self, window: Rectangle, picture: Size) -> TileNetwork:
        """This network for one window; itself if statistics are the same everywhere.

        Args:
            window: the window, in the frame; or in the window that this network is already for.
            picture: height and width of the picture, without padding.
        """
        if not self.is_local:
            return self
        # Shares the parameters.
        network = copy.deepcopy(self, {id(each): each for each in self.parameters()})
        for layer in network.folded.modules():
            if isinstance(layer, LocalAffine):
                outer = layer.place
                layer.place = Place(window, picture) if outer is None else outer.part(window)
        return network

    def _compute(
        self,
        layers: Iterable[RowLayer],
        pixels: Tensor,
        window: Tensor,
        *,
        at_border: bool,
        needed: Rectangle | None = None,
    ) -> Tensor:
        """Compute layers on a window, or on its features."""
        if self.is_local:
            needed = None  # Statistics vary with the place in the window.
        dtype, layout = self.picture_dtype, torch.channels_last
        if self.in_bands:
            rows = band_rows(window.shape[3], self.compute_dtype) * pixels.shape[2]
            cut = bands_of(pixels, max(1, rows // window.shape[2]))
        else:
            cut = iter([pixels])
        bands = (band.to(dtype, memory_format=layout) for band in cut)
        area = Rectangle(0, 0, window.shape[2], window.shape[3])
        for layer in layers:
            if not isinstance(layer, Trimming):
                bands = self._of_layer(layer, bands, at_border=at_border)
            elif needed is not None:
                kept = needed.grown(layer.halo).clipped_to(area)
                if kept != area:
                    bands = trimmed(bands, kept.relative_to(area), area.size)
                area = kept
        return _placed(bands, area, (window.shape[2], window.shape[3]), dtype)

    def _of_layer(self, layer: RowLayer, bands: Bands, *, at_border: bool) -> Bands:
        if self.in_bands:
            return layer.rows(bands, at_border=at_border)
        return map(partial(layer, at_border=at_border), bands)

    def _mixed(self, stylized: Tensor, window: Tensor) -> Tensor:
        """The stylized window with its share of the content."""
        if self.content_share > 0.0:
            return stylized.lerp(window.to(self.picture_dtype), self.content_share)
        return stylized


class RegionNetworks(TileNetwork):
    """The networks of all regions of a picture, prepared for one device and precision.

    Attributes:
        parts: the network of each region; everything else is that of the first.
    """

    def __init__(self, parts: Sequence[TileNetwork]) -> None:
        super().__init__(parts[0].folded, content_share=parts[0].content_share)
        self.compute_dtype, self.in_bands = parts[0].compute_dtype, parts[0].in_bands
        self.parts = tuple(parts)


def _chain(layers: RowLayer) -> Iterator[RowLayer]:
    """Layers one after another, with the places where features may be trimmed."""
    if isinstance(layers, StyledSequence):
        yield from _chain(layers.content)
        yield layers.trimming
        yield from _chain(layers.styled)
    elif isinstance(layers, RowSequence):
        for layer in layers.layers:
            assert isinstance(layer, RowLayer)
            yield from _chain(layer)
    else:
        yield layers


def _placed(bands: Bands, area: Rectangle, window: Size, dtype: torch.dtype) -> Tensor:
    """Join bands of results, and surround them with zeros.

    In the middle the heap has as many holes as at the end, while more memory is in use than there.

    Args:
        bands: results of an area, a picture or features of it.
        area: their rectangle in the window.
        window: height and width of the window.
        dtype: type of the result.
    """
    first = next(bands)
    count, channels, height, width = first.shape
    if area.size == window and height * area.width == width * area.height:
        return first.to(dtype)
    place = area.scaled(width, area.width)
    size = [edge * width // area.width for edge in window]
    whole = torch.empty(
        (count, channels, *size),
        dtype=dtype,
        device=first.device,
        memory_format=torch.channels_last,
    )
    for rim in (slice(place.top), slice(place.bottom, None)):
        whole[:, :, rim] = 0.0
    for rim in (slice(place.left), slice(place.right, None)):
        whole[:, :, :, rim] = 0.0
    top, middle = place.top, (place.top + place.bottom) // 2
    for band in chain([first], bands):
        bottom = top + band.shape[2]
        whole[:, :, top:bottom, place.left : place.right] = band
        if top <= middle < bottom:
            return_free_memory(whole.device, Rectangle.of_size(window))
        top = bottom
    return whole
