"""The header of a safetensors file: what is in it, without loading it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..backbones.style_banks import STYLE_BANKS, numbered_styles

LARGEST_HEADER = 1 << 20
"""In bytes; those of all networks are below 16 KB."""


def styles_in(path: Path) -> tuple[str, ...]:
    """Names of the styles in the bank of a weights file; empty if it has none.

    Only the header is read, and only the bank's shape is looked at. A file that is missing, damaged
    or not safetensors has none either: it is refused when it is loaded.

    Example:
        >>> styles_in(Path("painting.jpg"))
        ()
    """
    try:
        header = _read_header(path)
        shapes = [header[name]["shape"] for name in STYLE_BANKS.values() if name in header]
        return numbered_styles(int(shapes[0][0])) if shapes else ()
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ()


def _read_header(path: Path) -> Mapping[str, Any]:
    """Facts of each tensor by its name.

    Raises:
        OSError, ValueError: the file cannot be read, or does not begin with a header.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= LARGEST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header: Any = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("no header")
    return {**header}
