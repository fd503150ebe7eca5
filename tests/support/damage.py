"""Damage to files, as from failing memory or a failing disk."""

from __future__ import annotations

import random
from pathlib import Path


def flip_bit(path: Path, chance: random.Random) -> None:
    """Flip one bit somewhere in a file."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
