"""A mask that lies in a picture file, for runs from file to file."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..durable import file_hash
from ..errors import SettingsError
from ..formats.open import open_picture
from ..pictures.mask import LARGEST_FEATHER, Mask, PictureMask


@dataclass(frozen=True)
class MaskFile:
    """A picture file, white where to stylize, black where to keep the content.

    Attributes:
        path: of the picture; it is of the content's size.
        feather: in px, see :class:`~urst_core.pictures.mask.Mask`.
    """

    path: Path
    feather: int = 0

    @cached_property
    def mask(self) -> Mask:
        """The mask, opened.

        Raises:
            ImageError: the file cannot be used.
            SettingsError: the feather is out of range.
        """
        return Mask(PictureMask(open_picture(self.path)), self.feather)

    def fingerprint(self) -> dict[str, str]:
        """All of it that pixels follow from, by names that a user knows."""
        return {"mask": file_hash(self.path), "mask feather": f"{self.feather} px"}


def add_mask_arguments(command: argparse.ArgumentParser) -> None:
    """``--mask`` and ``--mask-feather``."""
    command.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a picture of CONTENT's size: white is stylized, black stays as it is, gray mixes; "
        "tiles in the black are not computed",
    )
    command.add_argument(
        "--mask-feather",
        type=int,
        default=0,
        metavar="PX",
        help="how far inside the mask style has faded in fully, 0 to "
        f"{LARGEST_FEATHER} (default: %(default)s)",
    )


def mask_of(options: argparse.Namespace) -> MaskFile | None:
    """The mask that :func:`add_mask_arguments` asked for.

    Raises:
        SettingsError: a feather without a mask.
    """
    if options.mask is not None:
        return MaskFile(options.mask, options.mask_feather)
    if options.mask_feather:
        raise SettingsError(
            f"--mask-feather {options.mask_feather} needs a mask; name one with --mask"
        )
    return None
