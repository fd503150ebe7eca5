"""The engine's errors in the words of nodes: inputs, where it names options of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..urst_core.errors import URSTError

OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
SWITCHES = {"overwrite": "overwrite on", "resume": "resume on", "restart": "resume off"}
"""Options that are no inputs with a value."""


@contextmanager
def naming_inputs() -> Iterator[None]:
    """Errors raised in the block name inputs: ``tile_size 512`` for ``--tile-size 512``."""
    try:
        yield
    except URSTError as error:
        words = OPTION.sub(lambda found: _input(found[1]), str(error))
        raise type(error)(words) from error


def _input(option: str) -> str:
    return SWITCHES.get(option) or option.replace("-", "_")
