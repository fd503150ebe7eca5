"""A mask in a picture file, for runs from file to file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..durable import file_hash
from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..pictures.mask import Mask, PictureMask
from ..pictures.source import Source, close_picture
from .printing import Printing


@dataclass(frozen=True)
class MaskFile:
    """A picture file, white where to stylize, black where to keep the content.

    Attributes:
        path: path of the picture, which has the content's size.
        feather: in px, see :class:`~urst_core.pictures.mask.Mask`.
        options: how strictly to check the file when it is read.
        printing: the content's print, for which the mask is cropped and resized, too.
    """

    path: Path
    feather: int = 0
    options: InputOptions = field(default_factory=InputOptions)
    printing: Printing = field(default_factory=Printing)

    @cached_property
    def mask(self) -> Mask:
        """The mask, opened.

        Raises:
            ImageError: the file cannot be used.
            SettingsError: the feather is out of range.
        """
        return Mask(PictureMask(self.picture), self.feather)

    @cached_property
    def picture(self) -> Source:
        """The file, opened.

        Raises:
            ImageError: the file cannot be used.
        """
        return self.printing.resize(open_picture(self.path, options=self.options))

    def close(self) -> None:
        """Close the file, which is opened again when it is needed again."""
        self.__dict__.pop("mask", None)
        close_picture(self.__dict__.pop("picture", None))

    def fingerprint(self) -> dict[str, str]:
        """Everything about the mask that determines pixels, by names that users understand."""
        return {"mask": file_hash(self.path), "mask feather": f"{self.feather} px"}
