"""Stylize a picture in a running ComfyUI and fetch the result: comfyui_script.py [ADDRESS]"""

import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8188"
LOAD = {"backbone": "auto", "weights": "built-in", "precision": "auto", "device": "auto"}
LOOK = {"thumbnail_size": 1024, "style_size": 1024, "strength": 1.0, "statistics": "thumbnail"}
FILE = {"output_name": "urst/script", "file_format": "JPEG", "quality": 92, "tile_size": 0}
PROMPT = {
    "1": {"class_type": "URSTLoadBackbone", "inputs": LOAD},
    "2": {"class_type": "LoadImage", "inputs": {"image": "urst_painting.jpg"}},
    "3": {
        "class_type": "URSTStylizeFile",
        "inputs": {"backbone": ["1", 0], "style": ["2", 0], "content": "urst_photograph.jpg"}
        | {**LOOK, **FILE, "resume": True, "overwrite": False},
    },
}


def ask(path, data=None):
    content = None if data is None else json.dumps(data).encode()
    with urllib.request.urlopen(SERVER + path, content) as answer:
        return answer.read()


run = json.loads(ask("/prompt", {"prompt": PROMPT}))["prompt_id"]
while not (history := json.loads(ask(f"/history/{run}"))):
    time.sleep(0.5)
for file in history[run]["outputs"]["3"]["files"]:
    Path(file["filename"]).write_bytes(ask("/view?" + urllib.parse.urlencode(file)))
    print(file["filename"])
