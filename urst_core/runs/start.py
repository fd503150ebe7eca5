"""What a run does about an earlier one for the same result."""

from __future__ import annotations

from enum import Enum


class Start(Enum):
    """What to do where an earlier run for the same result was interrupted."""

    NEW = "refuse, and say how far it was"
    RESUME = "go on with it; begin where there is none"
    RESTART = "throw it away"
