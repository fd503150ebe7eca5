"""100 megapixels on a GPU: seconds, share of its ceiling, memory, and the published code.

    python benchmarks/gpu.py [--backbone NAME ...] [--size HxW] [--precision NAME] [--device NAME]
        [--tile-size PX] [--urst CHECKOUT] [--microast CHECKOUT] [--rounds N]

loop      seconds of the tile loop, from 8-bit pixels in host memory to 8-bit pixels there.
alone     seconds of the same convolutions on the same shapes with nothing around them.
memory    most device memory at a time, while tiles are stylized.
files     seconds from JPEG to JPEG, statistics included; and those of copying JPEG to JPEG.
published seconds of the published code on the same device, from checkouts that the user has.

Random weights stand in where none are embedded; they take as long.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from published import published_run
from speed import backbone_of, size_of
from timing import best_of

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.formats.open import ImageFile, write_picture
from urst_core.geometry import Rectangle, cut, tile_around
from urst_core.method.run import Run
from urst_core.networks.frozen_stats import FrozenStats
from urst_core.networks.model import Backbone
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.runs.file_run import FileRun
from urst_core.tiling.device import find_device
from urst_core.tiling.settings import Settings

Call = tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]


def main() -> None:
    options = parse_options()
    device = find_device(options.device)
    print(f"{device}, {options.size[0]} x {options.size[1]} px, {options.precision}", flush=True)
    with TemporaryDirectory(prefix="urst-") as temporary:
        folder = Path(temporary)
        pixels = DemoLandscape(options.size).read(Rectangle.of_size(options.size))
        painting = demo_painting((1024, 1024))
        write_picture(TensorSource(pixels), folder / "content.jpg")
        write_picture(TensorSource(painting), folder / "style.jpg")
        copying = best_of(lambda: copy_file(folder), options.rounds)
        for name in options.backbone:
            report(backbone_of(name, None), TensorSource(pixels), folder, copying, options)


def report(
    backbone: Backbone,
    content: TensorSource,
    folder: Path,
    copying: float,
    options: argparse.Namespace,
) -> None:
    device = find_device(options.device)
    settings = Settings(
        device=options.device, precision=options.precision, tile_size=options.tile_size
    )
    style = ImageFile(folder / "style.jpg")
    here = backbone.on(device)
    thumbnail = make_thumbnail(content, settings.thumbnail_size)
    stats = here.collect(thumbnail, here.encode_style([make_thumbnail(style, 1024)]))
    canvas = TensorCanvas(content.size)
    forget_peak(device)
    run = Run.of(content, here, settings)
    loop = best_of(lambda: run.stylize(run.network(stats), canvas), options.rounds)
    memory = peak(device)
    alone = alone_seconds(here, content, stats, settings, device)
    file_run = FileRun(
        folder / "content.jpg",
        [str(folder / "style.jpg")],
        folder / "result.jpg",
        backbone,
        settings,
        overwrite=True,
    )
    files = best_of(file_run.run, options.rounds)
    print(
        f"{backbone.traits.name}: loop {loop:.2f} s, alone {alone:.2f} s ({alone / loop:.0%}), "
        f"memory {memory}, files {files:.2f} s, copying {copying:.2f} s "
        f"({files / copying:.2f} times)",
        flush=True,
    )
    checkout = {"adain": options.urst, "microast": options.microast}.get(backbone.traits.name)
    if checkout is not None:
        picture = content.pixels.unsqueeze(0).float() / 255
        edge = Run.of(content, backbone, settings).tiles(torch.float32).edge
        painting = make_thumbnail(style, 1024)
        published = published_run(here, checkout, picture, thumbnail, painting, edge)
        seconds = best_of(published, options.rounds)
        print(f"    published {seconds:.2f} s, {seconds / loop:.1f} times ours", flush=True)


def alone_seconds(
    backbone: Backbone,
    content: TensorSource,
    stats: FrozenStats,
    settings: Settings,
    device: torch.device,
) -> float:
    """Of the convolutions of all tiles, each shape timed by itself and multiplied."""
    run = Run.of(content, backbone, settings)
    network = run.network(stats)
    tiles = run.tiles(network.compute_dtype)
    windows = (
        tile_around(core, backbone.traits.halo, tiles.frame)
        for core in cut(Rectangle.of_size(tiles.frame), tiles.edge)
    )
    areas = Counter((tile.window.size, tile.touches_border(tiles.frame)) for tile in windows)
    total = 0.0
    with torch.inference_mode():
        for (size, at_border), count in areas.items():
            with Recorder() as recorder:
                network(torch.rand(1, 3, *size, device=device), at_border=at_border)
            total += count * sum(
                times * best_of(lambda call=call: replay(call, device), rounds=2)
                for call, times in recorder.calls.items()
            )
    return total


class Recorder(TorchFunctionMode):
    """Counts the convolutions that run inside it, by the shapes and types of their inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.conv2d:
            described = tuple(map(described_tensor, args))
            self.calls[described, tuple(sorted(kwargs.items()))] += 1
        return func(*args, **kwargs)


def described_tensor(value: object) -> object:
    return (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else value


def replay(call: Call, device: torch.device) -> None:
    """One recorded convolution of zeros."""
    described, kwargs = call
    args = [
        torch.zeros(value[0], dtype=value[1], device=device) if is_tensor(value) else value
        for value in described
    ]
    args = [
        arg.contiguous(memory_format=torch.channels_last)
        if isinstance(arg, Tensor) and arg.ndim == 4
        else arg
        for arg in args
    ]
    F.conv2d(*args, **dict(kwargs))


def is_tensor(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], torch.dtype)


def copy_file(folder: Path) -> None:
    write_picture(ImageFile(folder / "content.jpg"), folder / "copy.jpg")


def forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak(device: torch.device) -> str:
    if device.type != "cuda":
        return "not measured"
    return f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB"


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", nargs="+", default=["microast", "adain"])
    parser.add_argument("--size", type=size_of, default=(10_000, 10_000))
    parser.add_argument("--precision", default="fp16")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tile-size", type=int, help="small ones are computed in batches")
    parser.add_argument("--urst", type=Path, metavar="CHECKOUT")
    parser.add_argument("--microast", type=Path, metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
