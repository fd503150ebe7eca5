"""Weights in Torch7's binary format (``.t7``), read by the library torchfile.

No code is run: Lua functions in such a file are read as bytes. But a tensor in it says itself how
far it reaches, so that is checked before any value is touched.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import Install, WeightsError


def read_torch7(path: Path) -> dict[str, Tensor]:
    """Weights and biases of a Torch7 network by the place of their layers, as in ``2.weight``.

    Raises:
        WeightsError: torchfile is not installed, or the file is damaged, or not a network.
    """
    try:
        library: Any = importlib.import_module("torchfile")
    except ImportError as error:
        raise WeightsError(
            f"{path} is a Torch7 file, which needs the library torchfile", Install("torchfile")
        ) from error
    try:
        with path.open("rb") as file:
            return dict(_parameters(_portable_reader(library, file).read_obj()))
    except Exception as error:  # whatever damaged bytes lead torchfile to
        raise WeightsError(
            f"{path} is not a readable Torch7 network ({type(error).__name__}: {error}); "
            "get it again"
        ) from error


def _portable_reader(library: Any, file: Any) -> Any:
    """A reader for files of 64-bit machines on any machine: elsewhere a C long has 32 bits."""

    class Reader(library.T7Reader):
        def read_long(self) -> int:
            return struct.unpack("<q", file.read(8))[0]

        def read_long_array(self, n: int) -> list[int]:
            return [self.read_long() for _ in range(n)]

    return Reader(file)


def _parameters(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    children = module["modules"]
    if children is not None:
        for index, child in enumerate(children):
            yield from _parameters(child, f"{prefix}{index}.")
        return
    for name in ("weight", "bias"):
        values = module[name]
        if values is None:
            continue
        _check_reach(values)
        tensor = torch.from_numpy(np.array(values))
        if name == "weight" and tensor.ndim == 2 and module["kW"] is not None:
            # SpatialConvolutionMM stores its kernels flat.
            tensor = tensor.reshape(tensor.shape[0], -1, module["kH"], module["kW"])
        yield f"{prefix}{name}", tensor


def _check_reach(values: Any) -> None:
    """Refuse a tensor that would read memory beyond the values stored in the file."""
    storage = values
    while getattr(storage, "base", None) is not None:
        storage = storage.base
    start = values.__array_interface__["data"][0] - storage.__array_interface__["data"][0]
    end = start + values.itemsize
    end += sum((n - 1) * stride for n, stride in zip(values.shape, values.strides))
    if min(start, *values.strides) < 0 or end > storage.nbytes:
        raise ValueError("a tensor reaches beyond its storage")
