"""Transfers of pixels between host and device, concurrent with computation.

On CUDA each direction has its own stream and goes through pinned memory, so that neither waits for
the other or for the kernels between them. Elsewhere a transfer is a plain copy, or nothing at all.
Pixels are transferred in the dtype in which they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Upload:
    """An upload to the device; started in any thread, received in the computing one."""

    pixels: Tensor
    event: torch.cuda.Event | None = None

    def receive(self) -> Tensor:
        """The pixels, for kernels that the calling thread launches from now on."""
        if self.event is not None:
            stream = torch.cuda.current_stream(self.pixels.device)
            stream.wait_event(self.event)
            # The upload stream owns their memory, and must not reuse it until then.
            self.pixels.record_stream(stream)
        return self.pixels


@dataclass(frozen=True)
class Download:
    """A download to the host; started in the computing thread, received in any."""

    pixels: Tensor
    event: torch.cuda.Event | None = None

    def receive(self) -> Tensor:
        """Wait for the pixels, and return them, on the CPU."""
        if self.event is not None:
            self.event.synchronize()
        return self.pixels


class Transfer:
    """Uploads to a device, and downloads from it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._is_cuda = device.type == "cuda"
        if self._is_cuda:
            self._upload_stream = torch.cuda.Stream(device)
            self._download_stream = torch.cuda.Stream(device)

    def upload(self, pixels: Tensor) -> Upload:
        """Start to copy a tensor to the device."""
        if not self._is_cuda or pixels.device.type != "cpu":
            return Upload(pixels.to(self._device))
        with torch.cuda.stream(self._upload_stream):
            pinned = torch.empty_like(pixels, pin_memory=True).copy_(pixels)
            there = pinned.to(self._device, non_blocking=True)
            return Upload(there, _event_on(self._upload_stream))

    def download(self, pixels: Tensor) -> Download:
        """Start to copy a tensor from the device to the host."""
        if not self._is_cuda:
            return Download(pixels.cpu())
        self._download_stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._download_stream):
            pinned = torch.empty_like(pixels, device="cpu", pin_memory=True)
            pinned.copy_(pixels, non_blocking=True)
            # The computing stream owns their memory, and must not reuse it until then.
            pixels.record_stream(self._download_stream)
            return Download(pinned, _event_on(self._download_stream))


def _event_on(stream: torch.cuda.Stream) -> torch.cuda.Event:
    """An event that occurs when the stream has done everything it was given so far."""
    event = torch.cuda.Event()
    event.record(stream)
    return event
