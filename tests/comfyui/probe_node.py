"""A node for tests alone: writes an IMAGE as float32, which no picture format of ComfyUI keeps."""

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


NODE_CLASS_MAPPINGS = {"URSTTestProbe": Probe}
