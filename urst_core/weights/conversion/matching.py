"""Which part of which network the tensors of a published file are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Size, Tensor

from ...backbones import all_backbones
from ...errors import WeightsError, abbreviated
from ...networks.network import StylizationNetwork
from .layouts import RUNNING_STATISTICS, Layout, Part, layout_of

DATA_PARALLEL = "module."
"""What training on several GPUs puts before every key."""


@dataclass(frozen=True)
class Entry:
    """A tensor under the name that a file gives it, and the same name without detours."""

    old: str
    name: str
    tensor: Tensor


@dataclass
class Match:
    """A file, or a share of it, taken as one part of a network.

    Attributes:
        state: what fits, by the network's names.
        mapped: the file's names by the network's.
        dropped: reasons by the file's names.
        filled: names that the file lacks and whose values are known.
        missing, extra: names that do not fit, the network's and the file's.
        misshaped: what is wrong with a shape, by the network's names.
    """

    part: Part
    state: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    mapped: dict[str, str] = field(default_factory=dict[str, str])
    dropped: dict[str, str] = field(default_factory=dict[str, str])
    filled: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    extra: list[str] = field(default_factory=list[str])
    misshaped: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def fits(self) -> bool:
        return not (self.missing or self.extra or self.misshaped)


def shapes_of(
    network_class: type[StylizationNetwork], state: Mapping[str, Tensor]
) -> dict[str, Size]:
    """Names and shapes of the parameters of a network for these weights."""
    with torch.device("meta"):
        network = network_class.for_weights(state)
    return {name: value.shape for name, value in network.state_dict().items()}


def candidates(
    tensors: Mapping[str, Tensor], network_class: type[StylizationNetwork]
) -> list[list[Match]]:
    """All ways to take a file for parts of a network, whether they fit or not.

    A file whose keys have the network's own prefixes holds several parts: there is one way then.
    Otherwise it holds one part, and there are as many ways as the network has parts.
    """
    layout = layout_of(network_class.traits.name)
    entries = list(_entries(tensors, layout))
    shapes = shapes_of(network_class, {entry.name: entry.tensor for entry in entries})
    prefixes = tuple(part.prefix for part in layout.parts if part.prefix)
    if any(entry.name.startswith(prefixes) for entry in entries):
        whole = [
            _match(group, network_class, layout, part, shapes)
            for part, group in _grouped(entries, layout.parts)
        ]
        return [whole]
    return [[_match(entries, network_class, layout, part, shapes)] for part in layout.parts]


def _entries(tensors: Mapping[str, Tensor], layout: Layout) -> Iterator[Entry]:
    wrapped = all(old.startswith(DATA_PARALLEL) for old in tensors)
    for old, tensor in tensors.items():
        name = old.removeprefix(DATA_PARALLEL) if wrapped else old
        for pattern, replacement in layout.renamed:
            name = re.sub(pattern, replacement, name)
        yield Entry(old, name, tensor)


def _grouped(entries: Sequence[Entry], parts: Sequence[Part]) -> Iterator[tuple[Part, list[Entry]]]:
    """Group entries by part, without empty groups; those without a prefix go to the first part."""
    groups: dict[Part, list[Entry]] = {}
    for entry in entries:
        owners = [part for part in parts if entry.name.startswith(part.prefix)]
        groups.setdefault(owners[0] if owners else parts[0], []).append(entry)
    yield from groups.items()


def _match(
    entries: Sequence[Entry],
    network_class: type[StylizationNetwork],
    layout: Layout,
    part: Part,
    shapes: Mapping[str, Size],
) -> Match:
    match = Match(part)
    expected = {name: shape for name, shape in shapes.items() if name.startswith(part.prefix)}
    for entry in entries:
        name = entry.name
        if not name.startswith(part.prefix):
            name = part.prefix + name
        if name in expected and name not in match.state:
            _take(match, entry, name, expected[name])
        elif reason := _surplus_reason(name, network_class, layout):
            match.dropped[entry.old] = reason
        else:
            match.extra.append(entry.old)
    match.missing = sorted(expected.keys() - match.state.keys() - match.misshaped.keys())
    if layout.plain_norms:
        _fill_norms(match, expected)
    return match


def _take(match: Match, entry: Entry, name: str, shape: Size) -> None:
    tensor = entry.tensor
    if _without_ones(tensor.shape) != _without_ones(shape):
        match.misshaped[name] = f"shape {tuple(tensor.shape)}, not {tuple(shape)}"
        return
    # (C,) and (1, C, 1, 1) are the same to a normalization. Cloned, so that no storage is shared.
    wide = tensor.float() if tensor.dtype == torch.float64 else tensor
    match.state[name] = wide.detach().reshape(shape).clone(memory_format=torch.contiguous_format)
    match.mapped[name] = entry.old


def _without_ones(shape: Size) -> list[int]:
    return [length for length in shape if length != 1]


def _surplus_reason(
    name: str, network_class: type[StylizationNetwork], layout: Layout
) -> str | None:
    for pattern, reason in (RUNNING_STATISTICS, *layout.surplus):
        if re.search(pattern, name):
            return reason
    if name.startswith(network_class.ignored_weights):
        return "the network does not use it"
    return None


def _fill_norms(match: Match, expected: Mapping[str, Size]) -> None:
    """Fill in scales of 1 and shifts of 0 if a file has none for any normalization."""
    norms = {
        name: shape
        for name, shape in expected.items()
        if len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1
    }
    if not norms.keys() <= set(match.missing):
        return
    for name, shape in norms.items():
        match.state[name] = torch.full(shape, 1.0 if name.endswith("weight") else 0.0)
    match.filled = sorted(norms)
    match.missing = [name for name in match.missing if name not in norms]


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
    strangers = [what for other in all_backbones() if (what := known_as(tensors, other))]
    wanted = wanted_files(network_class)
    if strangers:
        raise WeightsError(
            f"{path} holds {' or '.join(strangers)}, not {wanted}; "
            "give another file, or choose the backbone that it belongs to"
        )
    closest = max(ways, key=lambda way: sum(len(match.mapped) for match in way))
    if not any(match.mapped for match in closest):
        raise WeightsError(
            f"{path} holds nothing of {network_class.traits.title}, but {abbreviated(tensors)}; "
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


def known_as(tensors: Mapping[str, Tensor], network_class: type[StylizationNetwork]) -> str:
    """What a file is to a network, under all names that it could have there; empty if nothing."""
    titles = [
        " and ".join(match.part.title for match in way)
        for way in candidates(tensors, network_class)
        if _fits(way)
    ]
    return f"{network_class.traits.title}'s {' or '.join(titles)}" if titles else ""


def _problems(match: Match) -> str:
    found = [
        f"{len(names)} {kind} ({abbreviated(names)})"
        for kind, names in (("missing", match.missing), ("extra", match.extra))
        if names
    ]
    found += [f"{name} has {problem}" for name, problem in list(match.misshaped.items())[:3]]
    return f"as its {match.part.title}, {', '.join(found)}"
