"""A baked backbone: convolutions, ReLUs and resampling, ready for a device and a precision."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .layers.banded import RowLayer, bands_of

LEAST_BAND_ROWS = 64


BAND_PIXELS = 2**17
"""Height, and area in float32, of the bands that a CPU computes at a time, in px: small enough for
its caches, large enough for all its cores."""


class TileNetwork(nn.Module):
    """A baked backbone: maps windows to stylized windows, and keeps nothing between calls."""

    def __init__(self, folded: nn.Module, *, content_share: float) -> None:
        super().__init__()
        self.folded = folded
        self.content_share = content_share
        self.compute_dtype = torch.float32
        self.in_bands = False

    def prepared(self, device: torch.device, dtype: torch.dtype = torch.float32) -> TileNetwork:
        """A copy on ``device`` that computes in ``dtype``, laid out for fast convolutions.

        On a CPU it works band by band if it can; there layers that a narrow ``dtype`` would show
        in, or not make faster, stay float32.
        """
        network = TileNetwork(copy.deepcopy(self.folded), content_share=self.content_share)
        network.compute_dtype = dtype
        if isinstance(network.folded, RowLayer) and device.type == "cpu":
            network.folded.to(device).prepare_for_cpu(dtype)
            network.in_bands = True
        network.folded.to(device=device, dtype=None if network.in_bands else dtype)
        network.folded.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return network.eval().requires_grad_(False)

    def forward(self, window: Tensor, *, at_border: bool = True) -> Tensor:
        """Stylize windows.

        Args:
            window: (N, 3, H, W), float32, 0..1, H and W multiples of the backbone's stride.
            at_border: False where no edge of the window lies on the frame's border: all that
                padding could touch is discarded with the halo then, and the cheapest one is used.

        Returns:
            (N, 3, H, W), float32, not clamped.
        """
        if self.in_bands:
            stylized = self._stylize_in_bands(window, at_border=at_border)
        else:
            image = window.to(self.compute_dtype, memory_format=torch.channels_last)
            stylized = self.folded(image, at_border=at_border).float()
        if self.content_share > 0.0:
            stylized = stylized.lerp(window.float(), self.content_share)
        return stylized

    def _band_rows(self, width: int) -> int:
        pixels = BAND_PIXELS * torch.float32.itemsize // self.compute_dtype.itemsize
        return max(LEAST_BAND_ROWS, pixels // width)

    def _stylize_in_bands(self, window: Tensor, *, at_border: bool) -> Tensor:
        assert isinstance(self.folded, RowLayer)
        stylized = torch.empty(window.shape, memory_format=torch.channels_last)
        bands = (
            band.to(torch.float32, memory_format=torch.channels_last)
            for band in bands_of(window, self._band_rows(window.shape[3]))
        )
        top = 0
        for band in self.folded.rows(bands, at_border=at_border):
            stylized[:, :, top : top + band.shape[2]] = band
            top += band.shape[2]
        return stylized
