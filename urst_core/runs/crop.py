"""One region of a file run, as a small file to try settings with."""

from __future__ import annotations

from ..errors import SettingsError
from ..formats.open import ImageFileCanvas
from ..geometry import Rectangle
from ..method.crop import CroppedSource, check_region, stylize_region
from ..progress import Listener, ignore
from .file_run import FileRun


def write_region(run: FileRun, region: Rectangle, listener: Listener = ignore) -> None:
    """Stylize one region of a run's content, and write it as the run's output.

    Nothing is kept if it is interrupted: a region takes little time.

    Args:
        run: the run of the whole picture.
        region: inside the picture.
        listener: called after each tile; if it raises, the work ends.

    Raises:
        SettingsError: the region is not inside the picture; or the run has a mask or regions.
        URSTError: as in :meth:`FileRun.run`.
    """
    for name in ("mask", "regions"):
        if getattr(run, name) is not None:
            raise SettingsError(f"a region to try has no {name}; leave out the {name} or the crop")
    try:
        check_region(region, run.source.size)
        run.check(overwrite=run.overwrite)
        part = CroppedSource(run.source, region)
        with ImageFileCanvas(run.output, part, run.options, overwrite=run.overwrite) as canvas:
            stylize_region(
                run.source,
                run.style_sources,
                region,
                canvas,
                run.backbone,
                run.settings,
                style_weights=run.style_weights,
                listener=listener,
            )
    finally:
        run.close()
