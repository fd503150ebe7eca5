"""``urst info``: networks, weights, device and free memory."""

from __future__ import annotations

import argparse
import platform

import torch

from .. import __version__
from ..backbones import DEFAULT_BACKBONE, all_backbones
from ..errors import ImageError
from ..formats.vips import vips
from ..tiling.device import find_device, free_bytes
from ..weights.loading import EMBEDDED_FILES
from .console import put
from .options import Commands
from .remedies import error_words


def add_info_command(commands: Commands) -> None:
    """Add ``info`` to the commands of a parser."""
    command = commands.add_parser("info", help="show backbones, weights, device, free memory")
    command.set_defaults(run=run_info)


def run_info(options: argparse.Namespace) -> None:
    """Print networks, weights, device and free memory."""
    del options
    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    put(f"urst      {__version__} with torch {torch.__version__}, {_libvips()}")
    put(f"device    {device} ({name}), {free_bytes(device) / 1e9:.1f} GB free")
    for network in all_backbones():
        traits = network.traits
        default = " (default)" if traits.name == DEFAULT_BACKBONE else ""
        weights = "built in" if traits.name in EMBEDDED_FILES else "give --weights FILE"
        put(f"backbone  {traits.name}{default}: {traits.title}, {traits.paper}, {traits.license}")
        put(f"          stride {traits.stride} px, halo {traits.halo} px, weights: {weights}")


def _libvips() -> str:
    """The version of libvips, or the reason why it cannot be used, which this command is for."""
    try:
        return "libvips " + ".".join(str(vips().version(part)) for part in range(3))
    except ImageError as error:
        return f"without libvips: {error_words(error)}"
