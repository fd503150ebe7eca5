"""Which tiles of a distributed run are finished, noted in the unfinished store."""

from __future__ import annotations

import base64
import secrets
import time
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..durable import SHA_256
from ..errors import Change, OutputError
from ..formats.zarr.canvas import ZarrCanvas, notes_at
from ..identity import Identity, differences
from ..networks.frozen_stats import FrozenStats
from ..weights.checkpoint import fingerprint
from .output import OvertakenError
from .worker import Job

FLUSH_SECONDS = 5.0
"""So much work at most is done again after a power cut."""


def run_identity(job: Job, stats: FrozenStats, *, edge: int, dtype: torch.dtype) -> Identity:
    """All that decides the pixels; tiles of runs that differ in it do not fit.

    The statistics represent the content, the styles and the settings they were measured with.
    """
    tensors = {f"code.{name}": value for name, value in stats.code.tensors.items()}
    for name, site in stats.sites.items():
        tensors |= {f"site.{name}.{part}": value for part, value in site.tensors().items()}
    height, width = job.facts.size
    return {
        "content": str(job.content),
        "picture": f"{width} x {height} px, {job.facts.channels} channels, {job.facts.dtype}",
        "backbone": stats.backbone,
        "weights": SHA_256 + stats.fingerprint,
        "strength": repr(stats.strength),
        "statistics and styles": SHA_256 + fingerprint(tensors),
        "precision": str(dtype).removeprefix("torch."),
        "tile size": str(edge),
        "device": job.device,
        "colors": "content" if job.keeps_colors else "style",
        **(job.level.identity() if job.level else {}),
    }


class FinishedTiles:
    """The numbers of the tiles that are written, noted in the store every few seconds.

    The notes name the driver that made them. Behind a URL nothing can be locked: a driver that was
    overtaken by a restart of the same output learns it there, and leaves the store to the other.

    Args:
        count: of all tiles.
        edge, dtype: that they are made with, for whoever resumes.
        identity: of the run, see :func:`run_identity`.

    Attributes:
        numbers: of tiles, row by row.
    """

    def __init__(self, count: int, *, edge: int, dtype: torch.dtype, identity: Identity) -> None:
        self.numbers: set[int] = set()
        self._count = count
        self._identity = identity
        self._facts = {
            "edge": edge,
            "dtype": str(dtype).removeprefix("torch."),
            "run": dict(identity),
        }
        self._flushed_at = 0.0
        self._driver = secrets.token_hex(8)

    def restore(self, notes: Mapping[str, Any]) -> None:
        """Take over what an earlier run noted; nothing where it noted nothing.

        Raises:
            OutputError: its tiles are of other inputs or settings, or its notes are damaged.
        """
        if not notes:
            return
        try:
            changes = differences(notes["run"], self._identity)
            packed = np.frombuffer(zlib.decompress(base64.b64decode(notes["done"])), np.uint8)
            flags = np.unpackbits(packed, count=self._count)
        except (AttributeError, KeyError, TypeError, ValueError, zlib.error) as error:
            raise OutputError(
                f"the unfinished result has damaged notes ({error!r})",
                Change("if_interrupted", "restart"),
            ) from error
        if changes:
            raise OutputError(
                f"the unfinished result cannot be resumed, it had: {'; '.join(changes)}",
                "use the same inputs and settings",
                Change("if_interrupted", "restart"),
            )
        self.numbers.update(int(number) for number in np.flatnonzero(flags))

    def add(self, number: int, canvas: ZarrCanvas) -> None:
        """Count a tile as finished, and note it now or within a few seconds."""
        self.numbers.add(number)
        if time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush(canvas)

    def begin(self, canvas: ZarrCanvas) -> None:
        """Take the store for this driver, and note what is finished."""
        self._note(canvas)

    def flush(self, canvas: ZarrCanvas) -> None:
        """Note all finished tiles in the store, which is kept on errors from the first one on.

        Raises:
            OvertakenError: another driver took the store.
        """
        self.check_driver(canvas)
        self._note(canvas)

    def check_driver(self, canvas: ZarrCanvas) -> None:
        """Refuse to continue in a store that another driver took, and leave it alone.

        Raises:
            OvertakenError: it did.
        """
        if notes_at(canvas.location).get("driver") != self._driver:
            canvas.keep_on_error = True
            raise OvertakenError(
                f"another run took {canvas.location} over; wait for it, or choose another name"
            )

    def _note(self, canvas: ZarrCanvas) -> None:
        flags = np.zeros(self._count, np.uint8)
        flags[list(self.numbers)] = 1
        packed = base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode("ascii")
        canvas.note({**self._facts, "driver": self._driver, "done": packed})
        canvas.keep_on_error = bool(self.numbers)
        self._flushed_at = time.monotonic()
