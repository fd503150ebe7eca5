"""Training pictures from folders: found once, read on demand; broken ones are skipped."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import Change, TrainingError, abbreviated, last_line
from ..formats.find_pictures import IMAGE_ENDINGS
from ..formats.image_file import warn_of_damage
from ..formats.pixel_types import VIPS_TYPES
from ..formats.vips import vips
from ..formats.vips_loader import cause
from ..geometry import Size

LARGEST_SCALE = 2.5
"""Pictures are shrunk until their short side is at most this many times the crop."""

Report = Callable[[str], None]
"""Called with a message about each skipped picture."""


@dataclass
class PictureFolder:
    """The pictures of folders and their subfolders that are large enough to crop from.

    The list of pictures is fixed when the folders are opened. A picture that later turns out to be
    broken is reported once, and another one is drawn in its place each time. Draws never depend on
    earlier draws; otherwise a resumed run would see other pictures.

    Attributes:
        sizes: height and width of all pictures, upright, ordered by name.
        names: their names, relative to their folder.
        report: called about skipped pictures.
        encoded: contents of the files by path, if kept in memory.
        broken: pictures that turned out to be broken.
        damaged: pictures that are used although their decoder warned of damage.
    """

    sizes: dict[Path, Size]
    names: dict[Path, str]
    report: Report
    encoded: dict[Path, bytes] = field(default_factory=dict[Path, bytes])
    broken: set[Path] = field(default_factory=set[Path])
    damaged: set[Path] = field(default_factory=set[Path])

    @classmethod
    def open(
        cls,
        folders: Sequence[Path],
        crop: int,
        *,
        report: Report,
        keep_in_memory: bool = False,
    ) -> PictureFolder:
        """Read the header of every picture.

        Args:
            folders: with pictures in them or in their subfolders.
            crop: edge of the crops to come, in px; smaller pictures are skipped.
            report: called about each skipped picture.
            keep_in_memory: keep the encoded files in memory; they are decoded for each use.

        Raises:
            TrainingError: a folder is missing or has no pictures, or none can be used.
        """
        names = {path: name for folder in folders for path, name in _pictures_in(folder)}
        sizes: dict[Path, Size] = {}
        largest = 0
        for path in names:
            size = _size_of_file(path)
            if size is None:
                report(f"skipping {path}: not a readable picture of 8 or 16 bits per channel")
                continue
            largest = max(largest, min(size))
            if min(size) < crop:
                report(f"skipping {path}: {size[1]} x {size[0]} px is smaller than {crop} px")
                continue
            sizes[path] = size
        if not sizes:
            raise TrainingError(
                f"none of the {len(names)} pictures in "
                f"{abbreviated(map(str, folders))} can be cropped "
                f"to {crop} px (largest short side: {largest})",
                "use larger pictures",
                Change("image_size", how="lower"),
            )
        encoded = {path: path.read_bytes() for path in sizes} if keep_in_memory else {}
        return cls(sizes, {path: names[path] for path in sizes}, report, encoded)

    @property
    def description(self) -> str:
        """The number of pictures, and a short digest of their names and sizes."""
        lines = [f"{self.names[path]} {size}" for path, size in self.sizes.items()]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]
        return f"{len(lines)} ({digest})"

    def crops(self, count: int, edge: int, generator: random.Random) -> Tensor:
        """Random square crops of random pictures, some mirrored, (count, 3, edge, edge), 0..1.

        Raises:
            TrainingError: all pictures turned out to be broken.
        """
        crops: list[Tensor] = []
        paths = list(self.sizes)
        while len(crops) < count:
            pixels = self._random_crop(generator.choice(paths), edge, generator)
            if pixels is not None:
                crops.append(pixels)
        return torch.stack(crops)

    def repeated_crops(
        self, count: int, edge: int, generator: random.Random, *, each: int
    ) -> tuple[Tensor, tuple[str, ...]]:
        """Random choices among ``each`` fixed crops per picture.

        Returns:
            The crops, (count, 3, edge, edge), and their names; crops with the same name are equal.

        Raises:
            TrainingError: all pictures turned out to be broken.
        """
        crops: list[Tensor] = []
        names: list[str] = []
        paths = list(self.sizes)
        while len(crops) < count:
            path, number = generator.choice(paths), generator.randrange(each)
            # Seeded with the name relative to the folder, so that folders can be moved.
            own = random.Random(f"{self.names[path]}:{number}")
            pixels = self._random_crop(path, edge, own)
            if pixels is not None:
                crops.append(pixels)
                names.append(f"{path}:{number}")
        return torch.stack(crops), tuple(names)

    def _random_crop(self, path: Path, edge: int, generator: random.Random) -> Tensor | None:
        shrinking = generator.random()
        place = (generator.random(), generator.random())
        mirrored = generator.random() < 0.5
        pixels = self._crop(path, edge, shrinking, place)
        return pixels.flip(-1) if pixels is not None and mirrored else pixels

    def _crop(
        self, path: Path, edge: int, shrinking: float, place: tuple[float, float]
    ) -> Tensor | None:
        """One crop, (3, edge, edge); None if the picture is broken, which is then skipped."""
        if path in self.broken:
            return None
        height, width = self.sizes[path]
        # Between the smallest size that contains the crop and LARGEST_SCALE times that.
        most = min(LARGEST_SCALE, min(height, width) / edge)
        scale = edge * most**shrinking / min(height, width)
        rows, columns = max(edge, round(height * scale)), max(edge, round(width * scale))
        top, left = (round(p * (side - edge)) for p, side in zip(place, (rows, columns)))
        try:
            picture = _decode_leniently(
                path,
                rows,
                columns,
                lambda error: self._report_damage(path, error),
                encoded=self.encoded.get(path),
            )
            pixels = picture.crop(left, top, edge, edge).numpy()
        except (vips().Error, OSError) as error:
            self._leave_out(path, error)
            return None
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255.0

    def _report_damage(self, path: Path, error: Exception) -> None:
        if path not in self.damaged:
            self.damaged.add(path)
            self.report(
                f"{path} is damaged ({cause(error)}), and some of its pixels may be wrong; "
                "get it again"
            )

    def _leave_out(self, path: Path, error: Exception) -> None:
        self.broken.add(path)
        self.report(f"skipping {path}: it is broken ({last_line(error)})")
        if len(self.broken) == len(self.sizes):
            raise TrainingError(
                f"all {len(self.sizes)} pictures are broken, {path} last; get them again"
            )


def load_style(path: Path, edge: int) -> Tensor:
    """Load a style picture, shrunk to a short side of ``edge`` px: (1, 3, H, W), 0..1.

    Raises:
        TrainingError: it is missing, broken or too small.
    """
    size = _size_of_file(path) if path.is_file() else None
    if size is None:
        raise TrainingError(f"style {path} is missing, or not a picture; name a picture file")
    if min(size) < edge:
        raise TrainingError(
            f"style {path} ({size[1]} x {size[0]} px) is smaller than {edge} px; use a larger one"
        )
    scale = edge / min(size)
    try:
        rows, columns = round(size[0] * scale), round(size[1] * scale)
        pixels = _decode_leniently(path, rows, columns, lambda e: warn_of_damage(path, e)).numpy()
    except vips().Error as error:
        raise TrainingError(f"style {path} is broken ({last_line(error)}); get it again") from error
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255.0


def _pictures_in(folder: Path) -> list[tuple[Path, str]]:
    """Paths of the pictures of a folder, and their names relative to it, ordered by name."""
    if not folder.is_dir():
        raise TrainingError(f"folder {folder} does not exist; name a folder of pictures")
    found = [
        (path.relative_to(folder).as_posix(), path)
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_ENDINGS and path.is_file()
    ]
    if not found:
        raise TrainingError(
            f"folder {folder} has no pictures; put some in it ({' '.join(IMAGE_ENDINGS)})"
        )
    return [(path, name) for name, path in sorted(found)]


def _size_of_file(path: Path) -> Size | None:
    """Height and width of the upright picture; None if it cannot be used."""
    try:
        image = vips().Image.new_from_file(str(path)).autorot()
    except vips().Error:
        return None
    return (image.height, image.width) if image.format in VIPS_TYPES else None


def _decode_leniently(
    path: Path,
    rows: int,
    columns: int,
    warn: Callable[[Exception], None],
    *,
    encoded: bytes | None = None,
) -> Any:
    """As :func:`_decode`, but also a picture whose decoder warns: as far as it can be decoded.

    Args:
        path, rows, columns, encoded: as for :func:`_decode`.
        warn: called with the warning, if there is one.

    Raises:
        pyvips.Error: it is truncated, or cannot be decoded.
    """
    try:
        return _decode(path, rows, columns, encoded=encoded)
    except vips().Error as error:
        # libvips only warns about missing parts of a TIFF, and leaves them black.
        if path.suffix.lower() in (".tif", ".tiff"):
            raise
        picture = _decode(path, rows, columns, encoded=encoded, fail_on="truncated")
        warn(error)
        return picture


def _decode(
    path: Path,
    rows: int,
    columns: int,
    *,
    encoded: bytes | None = None,
    fail_on: str = "warning",
) -> Any:
    """Decode an upright 8-bit sRGB picture of that size, without alpha, no larger than needed.

    Args:
        path: the file; not read if ``encoded`` is given.
        rows, columns: the size.
        encoded: contents of the file.
        fail_on: how bad damage has to be to be an error, as libvips names it.
    """
    options = {"height": rows, "size": "force", "export_profile": "srgb"}
    if encoded is None:
        image = vips().Image.thumbnail(str(path), columns, fail_on=fail_on, **options)
    else:
        # As a loader option, since thumbnail_buffer's own fail_on accepts truncated files.
        loader = f"[fail_on={fail_on}]"
        image = vips().Image.thumbnail_buffer(encoded, columns, option_string=loader, **options)
    if image.hasalpha():
        image = image.flatten(background=[255, 255, 255])
    if image.bands == 1:
        image = image.colourspace("srgb")
    if image.format != "uchar":
        image = image.colourspace("srgb").cast("uchar")
    return image.copy_memory()
