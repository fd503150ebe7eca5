"""Run a graph in ComfyUI, fetch its files: comfyui_script.py comfyui_graph.json [ADDRESS]"""

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

GRAPH, SERVER = [*sys.argv[1:], "http://127.0.0.1:8188"][:2]


def ask(path, content=None):
    with urlopen(SERVER + path, content) as answer:
        return answer.read()


prompt = json.dumps({"prompt": json.loads(Path(GRAPH).read_text(encoding="utf-8"))})
run = json.loads(ask("/prompt", prompt.encode()))["prompt_id"]
while not (history := json.loads(ask(f"/history/{run}"))):
    time.sleep(0.5)
for output in history[run]["outputs"].values():
    for file in output.get("files", []):
        Path(file["filename"]).write_bytes(ask("/view?" + urlencode(file)))
        print(file["filename"])
