"""Styles in files: the code of a style with a title and a small picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..durable import read_tensors, write_tensors
from ..errors import Change, Command, OutputError, StatsError
from .model import Backbone
from .style import StyleCode

STYLE_FORMAT = "urst-style-1"

ENDING = ".safetensors"
"""Ending of the names of style files; we suggest ``.style.safetensors``."""

PREVIEW = "preview"


@dataclass(frozen=True)
class SavedStyle:
    """A style that can be kept and shared without its picture.

    Attributes:
        code: the style, with the fingerprint of the weights that encoded it.
        backbone: name of the network.
        title: one line, for people.
        preview: a small picture of the style, (3, H, W), uint8; None if there is none.

    Example:
        >>> import urst_core as urst
        >>> model = urst.load_backbone()
        >>> style = urst.SavedStyle(model.encode("painting.jpg"), model.name, "Starry night")
        >>> style.save(Path("starry.style.safetensors"))
        >>> urst.SavedStyle.load(Path("starry.style.safetensors")).title
        'Starry night'
        >>> painted = model("photo.jpg", "starry.style.safetensors")
    """

    code: StyleCode
    backbone: str
    title: str = ""
    preview: Tensor | None = None

    def __repr__(self) -> str:
        """In one line, without the values."""
        return f"SavedStyle({self.title or 'untitled'}, of {self.backbone})"

    def save(self, path: Path) -> None:
        """Write a safetensors file: some KB for the preview, and as many for most codes.

        Raises:
            OutputError: the file cannot be written.
        """
        tensors = {f"code.{name}": value for name, value in self.code.tensors.items()}
        if self.preview is not None:
            tensors[PREVIEW] = self.preview
        facts = {
            "format": STYLE_FORMAT,
            "backbone": self.backbone,
            "fingerprint": self.code.fingerprint,
            "title": self.title,
        }
        try:
            write_tensors(path, tensors, facts)
        except OSError as error:
            raise OutputError(f"style {path} cannot be written ({error})") from error

    @classmethod
    def load(cls, path: Path) -> SavedStyle:
        """Read what :meth:`save` wrote.

        Raises:
            StatsError: the file is missing, has another format, or is damaged.
        """
        if not path.is_file():
            raise StatsError(f"style file {path} does not exist", "check the path")
        try:
            facts, tensors = read_tensors(path)
        except (OSError, ValueError) as error:
            raise StatsError(f"{path} cannot be read as a style ({error})", "save it again") from (
                error
            )
        if facts.get("format") != STYLE_FORMAT:
            raise StatsError(
                f"{path} has the format {facts.get('format', 'no name')!r}, not {STYLE_FORMAT!r}",
                Command("urst style save", how="save the style with"),
            )
        try:
            return cls._from_file(facts, tensors)
        except KeyError as error:
            raise StatsError(f"{path} is damaged ({error!r})", "save it again") from error

    def code_for(self, backbone: Backbone) -> StyleCode:
        """The code, if a backbone can use it.

        Raises:
            StatsError: it was encoded by another network, or with other weights.
        """
        if self.backbone != backbone.traits.name:
            raise StatsError(
                f"style {self.title!r} of backbone {self.backbone!r} does not fit "
                f"{backbone.traits.name!r}",
                Change("backbone", self.backbone),
                "save the style again with this one",
            )
        self.code.check_fingerprint(backbone.fingerprint)
        return self.code

    @classmethod
    def _from_file(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SavedStyle:
        code = {n.removeprefix("code."): t for n, t in tensors.items() if n.startswith("code.")}
        return cls(
            StyleCode(code, facts["fingerprint"]),
            facts["backbone"],
            facts["title"],
            tensors.get(PREVIEW),
        )


def is_style_file(name: str) -> bool:
    """Whether a name is that of a style file, not of a picture or a built-in style."""
    return name.lower().endswith(ENDING)
