"""URST: stylize photographs of any size in tiles, exactly (arXiv:2103.11784)."""

from __future__ import annotations

__version__ = "0.2.0"
