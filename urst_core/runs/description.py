"""What a result was made with: stored in it, printed by ``urst describe``, used by ``--like``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .. import __version__
from ..durable import SHA_256, file_hash
from ..errors import ImageError
from ..formats.clip import Clip
from ..formats.clip_endings import is_clip
from ..formats.open import open_picture
from ..formats.output_options import OutputOptions
from ..formats.zarr.store import Location
from ..networks.model import Backbone
from ..pictures.metadata import metadata_of
from ..pictures.source import close_picture
from ..tiling.settings import Settings
from .mask_file import MaskFile
from .printing import Printing
from .region_file import MapFile

NOT_IN_PIXELS = frozenset({"tile_size", "device"})
"""Settings that do not change the picture."""


@dataclass(frozen=True)
class DescribedStyle:
    """A style of a result: the name of its file, and the file's SHA-256.

    A built-in style has no file.
    """

    name: str
    sha256: str | None = None

    @classmethod
    def of(cls, style: str) -> DescribedStyle:
        """Describe a picture file, a style file, or a built-in style.

        Raises:
            ImageError: the file cannot be read.
        """
        path = Path(style)
        if not path.exists():
            return cls(style)
        return cls(path.name, file_hash(path).removeprefix(SHA_256))


@dataclass(frozen=True)
class Description:
    """What a result was made with.

    It has no times, and nothing that depends on the machine: the same inputs and settings give the
    same description, and so the same file.

    Attributes:
        urst: version of this package.
        backbone, weights: name of the network, and fingerprint of its weights.
        styles: the styles.
        style_weights: shares of the styles; equal if None.
        settings: the settings that determine pixels, by their names.
        stored: chosen options of the output format, by their names.
        mask: the mask's file; None without a mask.
        mask_feather: in px.
        regions: the map of styles and how it was used; None without a map.
        printing: ``print_size``, ``dpi`` and ``fit`` of a print, as far as they were chosen.
    """

    backbone: str
    weights: str
    styles: Sequence[DescribedStyle]
    settings: Mapping[str, Any]
    style_weights: Sequence[float] | None = None
    stored: Mapping[str, Any] | None = None
    mask: DescribedStyle | None = None
    mask_feather: int = 0
    regions: Mapping[str, str] | None = None
    printing: Mapping[str, Any] | None = None
    urst: str = __version__

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        styles: Sequence[str],
        settings: Settings,
        stored: OutputOptions,
        *,
        style_weights: Sequence[float] | None = None,
        mask: MaskFile | None = None,
        regions: MapFile | None = None,
        printing: Printing | None = None,
    ) -> Description:
        """Describe a result before it is made.

        Args:
            backbone, styles, settings, style_weights, mask, regions, printing: of the run.
            stored: options of the output format.

        Raises:
            ImageError: a style or the mask cannot be read.
        """
        return cls(
            backbone.traits.name,
            backbone.fingerprint,
            [DescribedStyle.of(style) for style in styles],
            _described_settings(settings),
            style_weights=style_weights,
            stored={name: getattr(stored, name) for name in stored.chosen} or None,
            mask=mask and DescribedStyle.of(str(mask.path)),
            mask_feather=mask.feather if mask else 0,
            regions=regions and regions.fingerprint(),
            printing=_described_printing(printing or Printing()),
        )

    def text(self) -> str:
        """The description as JSON, in ASCII, in which every format can store it."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, 0)}
        return json.dumps({"urst": self.urst, **values}, ensure_ascii=True)

    @classmethod
    def parse(cls, text: str) -> Description:
        """Read a text of :meth:`text`.

        Raises:
            ValueError: it is damaged, or from another version.
        """
        values = json.loads(text)
        try:
            values["styles"] = [DescribedStyle(**style) for style in values["styles"]]
            if "mask" in values:
                values["mask"] = DescribedStyle(**values["mask"])
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a description of this version ({error})") from error


def _described_settings(settings: Settings) -> dict[str, Any]:
    return {
        each.name: getattr(settings, each.name)
        for each in fields(settings)
        if each.name not in NOT_IN_PIXELS
    }


def _described_printing(printing: Printing) -> dict[str, Any] | None:
    if printing.paper is None:
        return None if printing.dpi is None else {"dpi": printing.dpi}
    return {"print_size": str(printing.paper), "dpi": printing.used_dpi, "fit": printing.fit}


def read_description(location: Location) -> Description:
    """Read what a result was made with.

    Args:
        location: a picture file, a video, or a Zarr store.

    Raises:
        ImageError: it cannot be read, or says nothing.
    """
    text = _painting_text(location)
    if text is None:
        raise ImageError(
            f"picture {location} does not say what it was painted with",
            "name a result of urst whose metadata were kept",
        )
    try:
        return Description.parse(text)
    except ValueError as error:
        raise ImageError(
            f"picture {location} says in another way what it was painted with ({error})",
            "use the version of urst that painted it",
        ) from error


def _painting_text(location: Location) -> str | None:
    if isinstance(location, Path) and is_clip(location):
        return Clip.open(location).comment
    picture = open_picture(location)
    try:
        return metadata_of(picture).painting
    finally:
        close_picture(picture)
