"""The workflow inside the files that it made, so that it can be had back from them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from comfy.cli_args import args
from PIL import Image

from ..urst_core.pictures.metadata import PictureMetadata

LONGEST_EXIF = 65_000
"""In bytes; EXIF blocks end at 64 KB with all else that they hold."""

MODEL, MAKE = 0x0110, 0x010F
"""The EXIF tags in which ComfyUI looks for a prompt, and for a workflow."""


def workflow_metadata(hidden: Any, format_name: str) -> PictureMetadata:
    """The prompt and the workflow, where a format holds them as ComfyUI's own nodes do.

    PNG holds them as texts, JPEG and WebP as EXIF, TIFF as XMP; other formats do not. Nothing
    where the user wants none (``--disable-metadata``).

    Args:
        hidden: what ComfyUI tells a node: ``prompt`` and ``extra_pnginfo``; or None.
        format_name: as the engine calls the format.
    """
    texts = _texts_of(hidden)
    if not texts or format_name not in CARRIERS:
        return PictureMetadata()
    return CARRIERS[format_name](texts)


def _texts_of(hidden: Any) -> dict[str, str]:
    if args.disable_metadata or hidden is None:
        return {}
    values = {} if hidden.prompt is None else {"prompt": hidden.prompt}
    values.update(hidden.extra_pnginfo or {})
    return {name: json.dumps(value) for name, value in values.items()}


def _as_texts(texts: Mapping[str, str]) -> PictureMetadata:
    return PictureMetadata(texts=texts)


def _as_exif(texts: Mapping[str, str]) -> PictureMetadata:
    exif = Image.Exif()
    if "prompt" in texts:
        exif[MODEL] = f"prompt:{texts['prompt']}"
    others = [f"{name}:{text}" for name, text in texts.items() if name != "prompt"]
    for tag, text in zip(range(MAKE, 0, -1), others):
        exif[tag] = text
    block = exif.tobytes()
    if len(block) > LONGEST_EXIF:
        logging.warning(
            "URST: the workflow takes %d bytes, more than the %d that JPEG and WebP hold, and is "
            "left out of the picture; use PNG or TIFF to keep it",
            len(block),
            LONGEST_EXIF,
        )
        return PictureMetadata()
    return PictureMetadata(exif=block)


def _as_xmp(texts: Mapping[str, str]) -> PictureMetadata:
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
    return PictureMetadata(xmp=packet.encode())


CARRIERS: dict[str, Callable[[Mapping[str, str]], PictureMetadata]] = {
    "PNG": _as_texts,
    "JPEG": _as_exif,
    "WebP": _as_exif,
    "TIFF": _as_xmp,
}
"""By format, what becomes of the texts."""
