"""URST for ComfyUI: style transfer of any size, in tiles.

ComfyUI imports this file and calls :func:`comfy_entrypoint`. ComfyUI's modules are imported only
then, so that tests and tools can import the pack without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes.extension import URSTExtension

WEB_DIRECTORY = "./web"
"""Where ComfyUI finds the help pages, ``docs/NODE_ID/LANGUAGE.md``."""


async def comfy_entrypoint() -> URSTExtension:
    """Return this pack's nodes to ComfyUI."""
    from .nodes.extension import URSTExtension  # noqa: PLC0415
    from .nodes.host import quiet_libvips, register_model_folder  # noqa: PLC0415
    from .nodes.sample_pictures import offer_sample_pictures  # noqa: PLC0415

    register_model_folder()
    quiet_libvips()
    offer_sample_pictures()
    return URSTExtension()
