from __future__ import annotations

import hashlib
import json
from pathlib import Path

from urst_core.backbones import BACKBONES
from urst_core.weights import EMBEDDED_FILES

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = json.loads((ROOT / "weights_manifest.json").read_text(encoding="utf-8"))["weights"]


def test_embedded_files_are_those_of_the_manifest():
    listed = {entry["backbone"]: Path(entry["embedded"]).name for entry in ENTRIES}
    assert listed == dict(EMBEDDED_FILES)
    for entry in ENTRIES:
        content = (ROOT / entry["embedded"]).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_entries_name_registered_backbones():
    names = {network.traits.name for network in BACKBONES}
    assert {entry["backbone"] for entry in ENTRIES} <= names
