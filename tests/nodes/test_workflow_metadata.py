"""Workflow metadata in saved files."""

from __future__ import annotations

import json
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from PIL import Image

PROMPT = {"1": {"inputs": {"text": 'é → "<&>"'}}}
WORKFLOW = {"nodes": [1, 2, 3]}
pytestmark = pytest.mark.usefixtures("host")
HIDDEN = SimpleNamespace(prompt=PROMPT, extra_pnginfo={"workflow": WORKFLOW, "other": [1]})


@pytest.fixture
def metadata(part):
    return part("nodes.workflow_metadata").workflow_metadata


def test_png_stores_texts(metadata):
    texts = metadata(HIDDEN, "PNG").texts
    assert {name: json.loads(text) for name, text in texts.items()} == {
        "prompt": PROMPT,
        "workflow": WORKFLOW,
        "other": [1],
    }


@pytest.mark.parametrize("format_name", ["JPEG", "WebP"])
def test_jpeg_and_webp_store_exif_for_comfyui(metadata, format_name):
    exif = Image.Exif()
    exif.load(metadata(HIDDEN, format_name).exif)
    assert json.loads(exif[0x0110].removeprefix("prompt:")) == PROMPT
    assert json.loads(exif[0x010F].removeprefix("workflow:")) == WORKFLOW
    assert json.loads(exif[0x010E].removeprefix("other:")) == [1]


def test_tiff_stores_xmp(metadata):
    root = ElementTree.fromstring(metadata(HIDDEN, "TIFF").xmp)
    entries = [element.text for element in root.iter() if element.tag.endswith("}li")]
    found = dict(entry.split(":", 1) for entry in entries)
    assert json.loads(found["prompt"]) == PROMPT
    assert json.loads(found["workflow"]) == WORKFLOW


def test_a_workflow_too_long_for_exif_is_logged(metadata, caplog):
    long = SimpleNamespace(prompt=None, extra_pnginfo={"workflow": "x" * 70_000})
    assert metadata(long, "JPEG").exif is None
    assert "JPEG and WebP have room for 65000" in caplog.text
    assert "use PNG or TIFF to keep it" in caplog.text
    assert len(metadata(long, "PNG").texts["workflow"]) == 70_002


def test_no_metadata_if_disabled_unavailable_or_unsupported(metadata, host, part):
    nothing = part("urst_core.pictures.metadata").PictureMetadata()
    assert metadata(None, "PNG") == nothing
    assert metadata(SimpleNamespace(prompt=None, extra_pnginfo=None), "TIFF") == nothing
    assert metadata(HIDDEN, "DeepZoom") == nothing
    host.disable_metadata = True
    for format_name in ("PNG", "JPEG", "WebP", "TIFF"):
        assert metadata(HIDDEN, format_name) == nothing
