"""What a published file is, and, where it is not what was asked for, what it is instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ...backbones import BACKBONES
from ...errors import WeightsError, some_of
from ...networks.network import StylizationNetwork
from .layouts import layout_of
from .matching import Match, candidates, shapes_of

MOST_TITLES = 4
"""So many parts are named one by one in messages."""


def identify(
    path: Path, tensors: Mapping[str, Tensor], network_class: type[StylizationNetwork]
) -> list[Match]:
    """The parts of the network that a file holds.

    Raises:
        WeightsError: it holds none, or one of several that only its name could tell apart.
    """
    ways = candidates(tensors, network_class)
    fitting = [way for way in ways if _fits(way)]
    if len(fitting) > 1:
        return _told_by_name(path, fitting, network_class)
    if fitting:
        return fitting[0]
    strangers = [what for other in BACKBONES if (what := _known_as(tensors, other))]
    wanted = wanted_files(network_class)
    if strangers:
        raise WeightsError(
            f"{path} holds {' or '.join(strangers)}, not {wanted}; "
            "give another file, or choose the backbone that it belongs to"
        )
    closest = max(ways, key=lambda way: sum(len(match.mapped) for match in way))
    if not any(match.mapped for match in closest):
        raise WeightsError(
            f"{path} holds nothing of {network_class.traits.title}, but {some_of(tensors)}; "
            f"give {wanted}"
        )
    problems = "; ".join(_problems(match) for match in closest if not match.fits)
    raise WeightsError(
        f"{path} does not fit {network_class.traits.title}: {problems}; use the published file"
    )


def check_complete(network_class: type[StylizationNetwork], state: Mapping[str, Tensor]) -> None:
    """Refuse weights that lack a part of the network.

    Raises:
        WeightsError: they do.
    """
    missing = tuple(shapes_of(network_class, state).keys() - state.keys())
    titles = [
        part.title
        for part in layout_of(network_class.traits.name).parts
        if any(name.startswith(part.prefix) for name in missing)
    ]
    if titles:
        raise WeightsError(
            f"{network_class.traits.title} lacks its {' and '.join(titles)}; give that file too"
        )


def wanted_files(network_class: type[StylizationNetwork]) -> str:
    """The published files of a network, in words."""
    title = network_class.traits.title
    parts = layout_of(network_class.traits.name).parts
    if len(parts) > MOST_TITLES:
        return f"one of {title}'s {len(parts)} files"
    return f"{title}'s {' or '.join(part.title for part in parts)}"


def _fits(way: Sequence[Match]) -> bool:
    return bool(way) and all(match.fits for match in way)


def _told_by_name(
    path: Path, ways: Sequence[list[Match]], network_class: type[StylizationNetwork]
) -> list[Match]:
    named = [way for way in ways if way[0].part.file_word in path.name.lower()]
    if len(named) == 1:
        return named[0]
    titles = " or ".join(way[0].part.title for way in ways)
    words = " or ".join(repr(way[0].part.file_word) for way in ways)
    raise WeightsError(
        f"{path} may be {network_class.traits.title}'s {titles}, which have equal keys; "
        f"put {words} into the file's name"
    )


def _known_as(tensors: Mapping[str, Tensor], network_class: type[StylizationNetwork]) -> str:
    """What a file is to a network, under all names that it could have there; empty if nothing."""
    titles = [
        " and ".join(match.part.title for match in way)
        for way in candidates(tensors, network_class)
        if _fits(way)
    ]
    return f"{network_class.traits.title}'s {' or '.join(titles)}" if titles else ""


def _problems(match: Match) -> str:
    found = [
        f"{len(names)} {kind} ({some_of(names)})"
        for kind, names in (("missing", match.missing), ("extra", match.extra))
        if names
    ]
    found += [f"{name} has {problem}" for name, problem in list(match.misshaped.items())[:3]]
    return f"as its {match.part.title}, {', '.join(found)}"
