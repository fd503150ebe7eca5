"""The paintings of a job: every picture in every style, and the names of the results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from string import Formatter

from ..errors import Change, OutputError, SettingsError, URSTError
from ..formats.find_pictures import FoundPicture
from ..formats.output_options import OutputOptions
from ..formats.registry import format_of, has_known_ending

DEFAULT_NAME = "{content}_{style}"

FIELDS = ("content", "style")
"""What a name may contain in braces."""

OTHER_ENDING = ".png"
"""For contents of a format that is not written here: PNG holds 16 bits and alpha, at any size."""


@dataclass(frozen=True)
class StyleChoice:
    """A style, or a mixture of several.

    Attributes:
        styles: picture files, or names of built-in styles.
        label: its name in the names of results.
    """

    styles: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Painting:
    """One result of a job.

    Attributes:
        content: the picture.
        style: in what it is painted.
        output: the file to write.
    """

    content: Path
    style: StyleChoice
    output: Path


def pair_up(
    contents: Sequence[FoundPicture],
    styles: Sequence[StyleChoice],
    folder: Path,
    name: str = DEFAULT_NAME,
) -> list[Painting]:
    """List every content in every style, content by content.

    Args:
        contents: the pictures.
        styles: the styles.
        folder: folder of the results.
        name: name of a result in that folder, with ``{content}`` and ``{style}``. Without the
            ending of a format, results are stored as their contents are.

    Raises:
        SettingsError: the name cannot be used.
        OutputError: two results would have the same name.

    Example:
        >>> lake = FoundPicture(Path("photos/2024/lake.jpg"), "2024/lake")
        >>> monet = StyleChoice(("monet.jpg",), "monet")
        >>> [painting] = pair_up([lake], [monet], Path("painted"))
        >>> painting.output.as_posix()
        'painted/2024/lake_monet.jpg'
    """
    check_name_template(name)
    paintings = [
        Painting(content.path, style, folder / _result_name(name, content, style))
        for content in contents
        for style in styles
    ]
    _check_distinct(paintings)
    return paintings


def check_name_template(name: str) -> None:
    """Refuse a name that has other fields, or that leads out of the folder.

    Raises:
        SettingsError: it does.
    """
    known = " and ".join(f"{{{field}}}" for field in FIELDS)
    try:
        fields = {field for _, field, _, _ in Formatter().parse(name) if field is not None}
    except ValueError as error:
        raise SettingsError(f"name {name!r} cannot be used ({error})", f"use {known}") from error
    unknown = sorted(fields - set(FIELDS))
    if unknown:
        raise SettingsError(f"name {name!r} has {{{unknown[0]}}}, which is unknown", f"use {known}")
    path = PurePath(name)
    if path.anchor or ".." in path.parts or not path.name:
        raise SettingsError(f"name {name!r} leads out of the folder", "use a name inside it")


def _result_name(name: str, content: FoundPicture, style: StyleChoice) -> str:
    result = name.format(content=content.label, style=style.label)
    if has_known_ending(PurePath(name)):
        return result
    ending = content.path.suffix
    return result + (ending if _is_written(ending.lower()) else OTHER_ENDING)


@cache
def _is_written(ending: str) -> bool:
    """Whether there is a format with that ending, which the installed libraries write."""
    path = Path(f"result{ending}")
    try:
        format_of(path).check_build(path, OutputOptions())
    except URSTError:
        return False
    return True


def _check_distinct(paintings: Sequence[Painting]) -> None:
    seen: dict[str, Painting] = {}
    for painting in paintings:
        other = seen.setdefault(os.path.normcase(painting.output), painting)
        if other is not painting:
            raise OutputError(
                f"{painting.output} would be the result both of {_described(other)} and of "
                f"{_described(painting)}",
                "rename one of them",
                Change("name", how="tell them apart with"),
            )


def _described(painting: Painting) -> str:
    return f"{painting.content} in {' + '.join(painting.style.styles)}"
