"""Workflow metadata in saved files, from which ComfyUI can load the workflow again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from comfy.cli_args import args
from PIL import Image

if TYPE_CHECKING:
    from ..urst_core.pictures.metadata import PictureMetadata

LONGEST_EXIF = 65_000
"""In bytes; a whole EXIF block is limited to 64 KB."""

MODEL, MAKE = 0x0110, 0x010F
"""The EXIF tags that ComfyUI reads a prompt and a workflow from."""


def workflow_metadata(hidden: Any, format_name: str) -> PictureMetadata:
    """Metadata with the prompt and the workflow, as ComfyUI's own nodes save them.

    PNG stores them as texts, JPEG and WebP as EXIF, TIFF as XMP. Empty for other formats, and if
    the user turned metadata off (``--disable-metadata``).

    Args:
        hidden: ComfyUI's hidden inputs, with ``prompt`` and ``extra_pnginfo``; or None.
        format_name: the engine's name of the format.
    """
    from ..urst_core.pictures.metadata import PictureMetadata

    texts = _texts_of(hidden)
    if not texts or format_name not in CARRIERS:
        return PictureMetadata()
    return PictureMetadata(**CARRIERS[format_name](texts))


def _texts_of(hidden: Any) -> dict[str, str]:
    if args.disable_metadata or hidden is None:
        return {}
    values = {} if hidden.prompt is None else {"prompt": hidden.prompt}
    values.update(hidden.extra_pnginfo or {})
    return {name: json.dumps(value) for name, value in values.items()}


def _as_texts(texts: Mapping[str, str]) -> dict[str, Any]:
    return {"texts": texts}


def _as_exif(texts: Mapping[str, str]) -> dict[str, Any]:
    exif = Image.Exif()
    if "prompt" in texts:
        exif[MODEL] = f"prompt:{texts['prompt']}"
    others = [f"{name}:{text}" for name, text in texts.items() if name != "prompt"]
    for tag, text in zip(range(MAKE, 0, -1), others):
        exif[tag] = text
    block = exif.tobytes()
    if len(block) > LONGEST_EXIF:
        logging.warning(
            "URST: the workflow is left out of the picture: it takes %d bytes, and JPEG and WebP "
            "have room for %d; use PNG or TIFF to keep it",
            len(block),
            LONGEST_EXIF,
        )
        return {}
    return {"exif": block}


def _as_xmp(texts: Mapping[str, str]) -> dict[str, Any]:
    properties = "".join(
        f"<rdf:li>{escape(name)}:{escape(text)}</rdf:li>" for name, text in texts.items()
    )
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:comfyui="urn:comfyui:">'
        f"<comfyui:graph><rdf:Bag>{properties}</rdf:Bag></comfyui:graph>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    return {"xmp": packet.encode()}


CARRIERS: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
    "PNG": _as_texts,
    "JPEG": _as_exif,
    "WebP": _as_exif,
    "TIFF": _as_xmp,
}
"""How each format stores the texts: fields of the metadata."""
