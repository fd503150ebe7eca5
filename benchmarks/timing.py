"""Measures durations: the best of several rounds, which other work disturbs least."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
"""The time that passes, and the time that all cores of this process spend."""


def best_seconds(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: str = "wall"
) -> dict[str, float]:
    """The best of each way; their rounds alternate. What a GPU was given is waited for."""
    now = CLOCKS[clock]
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            started = now()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            best[name] = min(best[name], now() - started)
    return best


def best_of(work: Callable[[], object], rounds: int, clock: str = "wall") -> float:
    """The same for one way."""
    return best_seconds({"work": work}, rounds, clock)["work"]
