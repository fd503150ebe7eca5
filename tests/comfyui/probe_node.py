"""Nodes that only tests use.

One writes an IMAGE as float32, which no picture format of ComfyUI keeps; one spoils an IMAGE.
"""

from __future__ import annotations

from pathlib import Path

import folder_paths
import numpy as np


class Probe:
    """Saves ``image`` as output/NAME.npy."""

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "save"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"image": ("IMAGE",), "name": ("STRING", {"default": "probe"})}}

    def save(self, image, name):
        folder = Path(folder_paths.get_output_directory())
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{name}.npy", image.cpu().numpy())
        return {}


class Spoil:
    """The last pixel of ``image`` as NaN: an error that shows late."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "spoil"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"image": ("IMAGE",)}}

    def spoil(self, image):
        image = image.clone()
        image[-1, -1, -1] = float("nan")
        return (image,)


NODE_CLASS_MAPPINGS = {"URSTTestProbe": Probe, "URSTTestSpoil": Spoil}
