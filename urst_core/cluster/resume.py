"""Which tiles of a distributed run are finished, noted in the unfinished store."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..errors import Change, OutputError
from ..formats.zarr.canvas import ZarrCanvas
from ..networks.frozen_stats import FrozenStats
from ..weights.checkpoint import fingerprint
from .worker import Job

FLUSH_SECONDS = 5.0
"""So much work at most is done again after a power cut."""


def run_identity(job: Job, stats: FrozenStats, *, edge: int, dtype: torch.dtype) -> str:
    """A digest of all that decides the pixels; tiles of runs that differ in it do not fit.

    The statistics stand for the content, the styles and what they were measured with.
    """
    tensors = {f"code.{name}": value for name, value in stats.code.tensors.items()}
    for name, site in stats.sites.items():
        tensors |= {f"site.{name}.{part}": value for part, value in site.tensors().items()}
    facts = [
        stats.backbone,
        stats.fingerprint,
        stats.strength,
        fingerprint(tensors),
        str(job.content),
        job.facts.size,
        job.facts.channels,
        str(job.facts.dtype),
        edge,
        str(dtype),
        job.device,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class FinishedTiles:
    """The numbers of the tiles that are written, noted in the store every few seconds.

    Args:
        count: of all tiles.
        edge, dtype: that they are made with, for whoever goes on.
        identity: of the run, see :func:`run_identity`.

    Attributes:
        numbers: of tiles, row by row.
    """

    def __init__(self, count: int, *, edge: int, dtype: torch.dtype, identity: str) -> None:
        self.numbers: set[int] = set()
        self._count = count
        self._facts = {"edge": edge, "dtype": str(dtype).removeprefix("torch."), "run": identity}
        self._flushed_at = 0.0

    def restore(self, notes: Mapping[str, Any]) -> None:
        """Take over what an earlier run noted; nothing where it noted nothing.

        Raises:
            OutputError: its tiles are of other inputs or settings, or its notes are damaged.
        """
        if not notes:
            return
        if notes.get("run") != self._facts["run"]:
            raise OutputError(
                "the unfinished result is of other pictures or settings",
                "use the same ones as when it began",
                Change("if_interrupted", "restart"),
            )
        try:
            packed = np.frombuffer(zlib.decompress(base64.b64decode(notes["done"])), np.uint8)
            flags = np.unpackbits(packed, count=self._count)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise OutputError(
                f"the unfinished result has damaged notes ({error!r})",
                Change("if_interrupted", "restart"),
            ) from error
        self.numbers.update(int(number) for number in np.flatnonzero(flags))

    def add(self, number: int, canvas: ZarrCanvas) -> None:
        """Count a tile as finished, and note it now or within a few seconds."""
        self.numbers.add(number)
        if time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush(canvas)

    def flush(self, canvas: ZarrCanvas) -> None:
        """Note all finished tiles in the store, which is kept on errors from the first one on."""
        flags = np.zeros(self._count, np.uint8)
        flags[list(self.numbers)] = 1
        packed = base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode("ascii")
        canvas.note({**self._facts, "done": packed})
        canvas.keep_on_error = bool(self.numbers)
        self._flushed_at = time.monotonic()
