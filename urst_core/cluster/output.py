"""Where the tiles of a distributed run go: a Zarr store, and from there a picture file."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ..errors import Change, OutputError, URSTError
from ..formats.open import ImageFileCanvas, copy_picture
from ..formats.output_options import LABELS, OutputOptions
from ..formats.places import check_folder, check_name
from ..formats.zarr.canvas import ZarrCanvas, check_zarr_output, notes_at
from ..formats.zarr.source import ZarrPicture
from ..formats.zarr.store import Location, is_zarr
from ..pictures.source import FULL_SCALE, Source
from ..runs.file_lock import only_run
from ..tiling.settings import IfInterrupted


class OvertakenError(OutputError):
    """Another run took the store, which is its own from then on."""


class Target:
    """Where the tiles go, and what becomes of them.

    Args:
        store: the Zarr store for the tiles.
        source: the content.
        overwrite, if_interrupted: see :func:`urst_core.cluster.run.stylize_distributed`.

    Attributes:
        file: the picture file that the tiles are copied into; None where the store is the result.
        canvas: None until it is opened.
        notes: notes of an unfinished run that is resumed.

    Raises:
        OutputError: the store could not be written.
    """

    def __init__(
        self, store: Location, source: Source, *, overwrite: bool, if_interrupted: IfInterrupted
    ) -> None:
        self.store = store
        self.file: ImageFileCanvas | None = None
        self.canvas: ZarrCanvas | None = None
        self._source = source
        goes_on = check_zarr_output(
            store, source, overwrite=overwrite, if_interrupted=if_interrupted
        )
        self.notes: Mapping[str, Any] = notes_at(store) if goes_on else {}

    def open(self, edge: int) -> ZarrCanvas:
        """Make the store, or open the unfinished one; its names were checked."""
        self.canvas = ZarrCanvas(
            self.store,
            self._source,
            edge=edge,
            overwrite=True,
            if_interrupted=IfInterrupted.RESUME if self.notes else IfInterrupted.DISCARD,
            pyramid=self.file is None,
        )
        return self.canvas

    def finish(self) -> None:
        """Give the store its name, or copy it into the picture file."""
        assert self.canvas is not None  # opened before any tile
        if self.file is None:
            self.canvas.finish()
        else:
            copy_picture(ZarrPicture(self.canvas.working_location, unfinished=True), self.file)


def store_of(output: Location) -> Location:
    """The store of an output's tiles while it is made."""
    if is_zarr(output) or isinstance(output, str):
        return output
    return output.with_name(f"{output.name}.tiles.zarr")


@contextmanager
def open_target(
    output: Location,
    source: Source,
    options: OutputOptions,
    *,
    overwrite: bool,
    if_interrupted: IfInterrupted,
) -> Generator[Target, None, None]:
    """Check and open the output before any work; on errors keep tiles that are finished.

    Raises:
        OutputError: it could not be written.
    """
    if is_zarr(output):
        for name in options.chosen:
            raise OutputError(f"{output}: Zarr takes no {LABELS[name]}; leave it out")
        with _only_driver(output):
            target = Target(output, source, overwrite=overwrite, if_interrupted=if_interrupted)
            with _kept_or_dropped(target):
                yield target
        return
    if not isinstance(output, Path):
        raise OutputError(
            f"output {output} is a URL, behind which only Zarr can be written; end it with .zarr, "
            "or name a local file"
        )
    if source.dtype not in FULL_SCALE:
        raise OutputError(
            f"{output}: picture files get 8 or 16 bits a channel, the content has floating values; "
            "end it with .zarr"
        )
    store = store_of(output)
    with _only_driver(output):
        target = Target(store, source, overwrite=overwrite, if_interrupted=if_interrupted)
        file_canvas = ImageFileCanvas(output, source, options, overwrite=overwrite)
        with _kept_or_dropped(target), file_canvas as target.file:
            yield target
        if target.canvas is not None:
            target.canvas.drop()


def _only_driver(output: Location) -> AbstractContextManager[None]:
    """Keep other drivers from this output; behind a URL there are no locks, see FinishedTiles."""
    if isinstance(output, str):
        return nullcontext()
    check_name(output)
    check_folder(output.parent)
    return only_run(output)


def with_kept_tiles(error: URSTError, kept: str) -> URSTError:
    """The same error, which also says what was kept, and how to use or discard it.

    Args:
        error: what ended the run.
        kept: names the tiles and where they are.
    """
    return type(error)(
        f"{error.message}; {kept}",
        *error.remedies,
        Change("if_interrupted", "resume"),
        Change("if_interrupted", "restart"),
    )


@contextmanager
def _kept_or_dropped(target: Target) -> Generator[None, None, None]:
    try:
        yield
    except BaseException as error:
        canvas = target.canvas
        if canvas is None:
            raise
        if not canvas.keep_on_error:
            canvas.drop()
        elif isinstance(error, URSTError) and not isinstance(error, OvertakenError):
            kept = f"the finished tiles are kept in {canvas.working_location}"
            raise with_kept_tiles(error, kept) from error
        raise
