"""What must be the same for an interrupted run to be resumed."""

from __future__ import annotations

from collections.abc import Mapping

from .durable import SHA_256

Identity = Mapping[str, str]
"""Everything that determines the result, by names that users know."""


def differences(earlier: Identity, now: Identity) -> list[str]:
    """Differences between an earlier run and this one: ``seed 0, not 1``; empty if there are none.

    Example:
        >>> differences({"seed": "0", "style": "a"}, {"seed": "1", "style": "a", "mask": "m"})
        ['seed 0, not 1', 'mask none, not m']
    """
    return [
        f"{name} {_shown(earlier, name)}, not {_shown(now, name)}"
        for name in {**earlier, **now}
        if earlier.get(name) != now.get(name)
    ]


def _shown(identity: Identity, name: str) -> str:
    """A value, of a hash as much as tells two apart."""
    value = identity.get(name, "none")
    return value[: len(SHA_256) + 12] if value.startswith(SHA_256) else value
