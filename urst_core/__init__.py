"""URST: stylize photographs of any size in tiles, exactly (arXiv:2103.11784).

::

    import urst_core as urst

    painted = urst.stylize(photo, painting)

All names below are loaded on use: importing the package itself loads neither torch nor Pillow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        color_regions,
        list_backbones,
        load_backbone,
        mask_regions,
        mix_along_map,
        open_picture,
        stylize,
    )
    from .api_files import stylize_file, stylize_video
    from .errors import URSTError
    from .method.regions import Regions
    from .networks.frozen_stats import FrozenStats
    from .networks.saved_style import SavedStyle
    from .networks.style import StyleCode
    from .pictures.mask import Mask
    from .pictures.source import Canvas, Source, TensorCanvas, TensorSource
    from .progress import Progress
    from .tiling.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "Canvas",
    "FrozenStats",
    "Mask",
    "Progress",
    "Regions",
    "SavedStyle",
    "Settings",
    "Source",
    "StyleCode",
    "TensorCanvas",
    "TensorSource",
    "URSTError",
    "color_regions",
    "list_backbones",
    "load_backbone",
    "mask_regions",
    "mix_along_map",
    "open_picture",
    "stylize",
    "stylize_file",
    "stylize_video",
]

_MODULES = {
    "Canvas": ".pictures.source",
    "FrozenStats": ".networks.frozen_stats",
    "Mask": ".pictures.mask",
    "Progress": ".progress",
    "Regions": ".method.regions",
    "SavedStyle": ".networks.saved_style",
    "Settings": ".tiling.settings",
    "Source": ".pictures.source",
    "StyleCode": ".networks.style",
    "TensorCanvas": ".pictures.source",
    "TensorSource": ".pictures.source",
    "URSTError": ".errors",
    "color_regions": ".api",
    "list_backbones": ".api",
    "load_backbone": ".api",
    "mask_regions": ".api",
    "mix_along_map": ".api",
    "open_picture": ".api",
    "stylize": ".api",
    "stylize_file": ".api_files",
    "stylize_video": ".api_files",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name], __name__), name)
    globals()[name] = value  # found there the next time, without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
