"""A baked backbone: convolutions, ReLUs and resampling, ready for a device and a precision."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from ..geometry import Rectangle, Size
from .full_precision import full_precision
from .layers.banded import RowLayer, StyledSequence, band_rows, bands_of
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
    def forward(self, window: Tensor, *, at_border: bool = True) -> Tensor:
        """Stylize windows.

        Args:
            window: (N, 3, H, W), floating, 0..1, H and W multiples of the backbone's stride.
            at_border: whether an edge of the window is on the frame's border. If not, everything
                that padding affects is discarded with the halo, and the cheapest padding is used.

        Returns:
            (N, 3, H, W), not clamped: float32, or float64 if the network computes in float64.
        """
        return self._mixed(self._compute(self.folded, window, window, at_border=at_border), window)

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
        return self._compute(self.folded.content, window, window, at_border=at_border)

    @full_precision()
    def from_features(self, features: Tensor, window: Tensor, *, at_border: bool) -> Tensor:
        """The second half of :meth:`forward`, from the :meth:`content_features` of the window."""
        assert isinstance(self.folded, StyledSequence)
        return self._mixed(
            self._compute(self.folded.styled, features, window, at_border=at_border), window
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
        self, layers: RowLayer, pixels: Tensor, window: Tensor, *, at_border: bool
    ) -> Tensor:
        """Compute layers on a window, or on its features."""
        if not self.in_bands:
            image = pixels.to(self.picture_dtype, memory_format=torch.channels_last)
            return layers(image, at_border=at_border).to(self.picture_dtype)
        rows = band_rows(window.shape[3], self.compute_dtype) * pixels.shape[2] // window.shape[2]
        return self._compute_in_bands(layers, pixels, max(1, rows), at_border=at_border)

    def _compute_in_bands(
        self, layers: RowLayer, pixels: Tensor, rows: int, *, at_border: bool
    ) -> Tensor:
        dtype, layout = self.picture_dtype, torch.channels_last
        bands = (band.to(dtype, memory_format=layout) for band in bands_of(pixels, rows))
        results = layers.rows(bands, at_border=at_border)
        first = next(results)
        count, channels, _, width = first.shape
        height = pixels.shape[2] * width // pixels.shape[3]
        whole = torch.empty((count, channels, height, width), dtype=dtype, memory_format=layout)
        top = 0
        for band in chain([first], results):
            whole[:, :, top : top + band.shape[2]] = band
            top += band.shape[2]
        return whole

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
