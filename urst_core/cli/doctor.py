"""``urst doctor``: what is installed, what works, and the command that mends what does not.

Each check imports what it needs by itself, so that a broken library is a line of the report.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import put

if TYPE_CHECKING:
    import argparse

    from .options import Commands

OLDEST_PYTHON = (3, 10)

NEEDED = ("torch", "numpy", "PIL", "safetensors", "psutil", "huggingface_hub")
"""Modules without which nothing works."""

EXTRAS: dict[str, tuple[tuple[str, ...], str]] = {
    "app": (("pyvips", "filelock", "tqdm", "platformdirs", "shtab"), "the command line"),
    "distributed": (("fsspec", "ray", "zarr"), "Ray clusters, and Zarr pictures"),
    "exr": (("OpenEXR",), "OpenEXR pictures"),
    "video": (("av",), "videos"),
    "convert": (("torchfile",), "conversion of Torch7 weights"),
}
"""Modules of each extra, and what they are for."""

PACKAGES = {"PIL": "pillow"}
"""Packages whose names differ from their modules'."""

FORMATS = {
    "JPEG": "jpeg",
    "PNG": "png",
    "TIFF": "tiff",
    "WebP": "webp",
    "AVIF and HEIC": "heif",
    "JPEG XL": "jxl",
}
"""Formats, by libvips's names."""

SLOW = frozenset({"ray"})
"""Modules that take seconds to import, so that only their presence is checked."""

HUB_SECONDS = 5.0
SMALL_DISK_BYTES = 2e9
SMALL_MEMORY_BYTES = 2e9


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        label, text: what was looked at, and what was found.
        remedy: what mends it; None if nothing has to be mended.
        is_needed: whether nothing works before that.
    """

    label: str
    text: str
    remedy: str | None = None
    is_needed: bool = False

    def __str__(self) -> str:
        mark = "ok" if self.remedy is None else "FAILED" if self.is_needed else "missing"
        remedy = "" if self.remedy is None else f"; {self.remedy}"
        return f"{mark:8} {self.label:15} {self.text}{remedy}"


def add_doctor_command(commands: Commands) -> None:
    """Add ``doctor`` to the commands of a parser."""
    command = commands.add_parser("doctor", help="check the installation, and say what mends it")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    del options
    if code := run_doctor():
        raise SystemExit(code)


def run_doctor() -> int:
    """Print the report; returns 1 if something that is needed does not work, 0 otherwise."""
    failed = False
    for finding in findings():
        put(str(finding))
        failed |= finding.is_needed and finding.remedy is not None
    return int(failed)


def findings() -> Iterator[Finding]:
    """Everything that is checked, in order; no check raises an exception."""
    yield _python()
    yield _checked("urst", _package, 'install it again: pip install "urst[app]"', is_needed=True)
    for module in NEEDED:
        yield _module(module, f"pip install {PACKAGES.get(module, module)}", is_needed=True)
    for extra, (modules, purpose) in EXTRAS.items():
        for module in modules:
            yield _module(module, f'pip install "urst[{extra}]" (for {purpose})')
    libvips = 'pip install "pyvips[binary]"'
    yield _checked("libvips", _libvips, libvips)
    yield _checked("formats", _formats, libvips)
    yield _checked("device", _device, "use --device cpu")
    yield _checked("GPU", _nvidia, "choose a build with CUDA on pytorch.org/get-started")
    yield _checked("precision", _precision, "use --precision fp32")
    yield _checked("weights", _weights, "install urst again", is_needed=True)
    yield _checked("memory", _memory, "close other programs, or use smaller tiles (--tile-size)")
    for label, folder in (("disk", Path.cwd), ("temporary", _temporary)):
        remedy = "free some space, or use another folder"
        yield _checked(label, lambda folder=folder: _disk(folder()), remedy)
    yield _checked("presets", _presets, "correct that file, or remove it")
    yield _checked(
        "hub",
        _hub,
        "only 'urst weights get' needs it; check the network, HF_ENDPOINT and proxies",
    )


def _checked(
    label: str, check: Callable[[], str], remedy: str, *, is_needed: bool = False
) -> Finding:
    """What a check found, or how it failed."""
    try:
        return Finding(label, check())
    except Exception as error:  # whatever a broken library raises
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        return Finding(label, text, remedy, is_needed)


def _python() -> Finding:
    text = f"{platform.python_version()}, {platform.platform()}, {platform.machine()}"
    newest = ".".join(map(str, OLDEST_PYTHON))
    is_old = sys.version_info < OLDEST_PYTHON
    return Finding("Python", text, f"use {newest} or newer" if is_old else None, is_needed=True)


def _package() -> str:
    package: Any = import_module(__name__.split(".")[0])
    return f"{package.__version__} in {Path(package.__file__).parent}"


def _module(module: str, remedy: str, *, is_needed: bool = False) -> Finding:
    name = PACKAGES.get(module, module)

    def check() -> str:
        if module not in SLOW:
            import_module(module)
        return metadata.version(name)

    return _checked(name, check, remedy, is_needed=is_needed)


def _libvips() -> str:
    vips: Any = import_module("pyvips")
    return ".".join(str(vips.version(part)) for part in range(3))


def _formats() -> str:
    vips: Any = import_module("pyvips")

    def has(operation: str) -> bool:
        return bool(vips.type_find("VipsOperation", operation))

    read = [title for title, name in FORMATS.items() if has(f"{name}load")]
    written = [title for title, name in FORMATS.items() if has(f"{name}save")]
    missing = [title for title in FORMATS if title not in {*read, *written}]
    without = f"; not in this libvips: {', '.join(missing)}" if missing else ""
    return f"reads {', '.join(read)}; writes {', '.join(written)}{without}"


def _device() -> str:
    from ..tiling.device import find_device, free_bytes  # noqa: PLC0415

    torch: Any = import_module("torch")
    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    # A driver that does not fit fails only when something is computed.
    float(torch.ones(8, device=device).sum())
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    return f"{device} ({name}{threads}), {free_bytes(device) / 1e9:.1f} GB free"


def _nvidia() -> str:
    """NVIDIA GPUs that torch does not use: its build may be one for CPUs, or the driver too old."""
    torch: Any = import_module("torch")
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} with CUDA {torch.version.cuda}"
    if shutil.which("nvidia-smi") is not None:
        raise OSError(f"an NVIDIA GPU is here, and torch {torch.__version__} does not use it")
    return "none by NVIDIA"


def _precision() -> str:
    from ..tiling.device import find_device, has_fast_bfloat16  # noqa: PLC0415

    device = find_device()
    if device.type != "cpu":
        return "float32 and half precision"
    has_half = has_fast_bfloat16()
    return "float32 and bfloat16" if has_half else "float32; this CPU has no bfloat16"


def _weights() -> str:
    from ..weights.loading import load_backbone  # noqa: PLC0415

    backbone = load_backbone()
    return f"{backbone.traits.name} built in, {backbone.fingerprint[:12]}"


def _memory() -> str:
    psutil: Any = import_module("psutil")
    memory = psutil.virtual_memory()
    text = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    if memory.available < SMALL_MEMORY_BYTES:
        raise MemoryError(text)
    return text


def _disk(folder: Path) -> str:
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} is not writable")
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free in {folder}"
    if free < SMALL_DISK_BYTES:
        raise OSError(text)
    return text


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def _presets() -> str:
    from .presets import load_presets, presets_path  # noqa: PLC0415

    return f"{len(load_presets())} in {presets_path()}"


def _hub() -> str:
    constants: Any = import_module("huggingface_hub.constants")
    if constants.HF_HUB_OFFLINE:
        return "offline, as HF_HUB_OFFLINE asks"
    utilities: Any = import_module("huggingface_hub.utils")
    # Whatever status it answers with: it answers.
    utilities.get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    return f"{constants.ENDPOINT} answers; weights are kept in {constants.HF_HUB_CACHE}"
