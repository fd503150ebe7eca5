"""What is demanded of pictures that are read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputOptions:
    """How careful to be with picture files.

    Attributes:
        strict: refuse a picture that its decoder warns about. Otherwise it is read as far as it can
            be, as other programs do, and the warning is logged.
        any_size: read a picture whose file is so small for its size that it may be meant to fill
            memory and disk; see :data:`~urst_core.formats.vips_loader.SUSPICIOUS_RATIO`.
    """

    strict: bool = False
    any_size: bool = False
