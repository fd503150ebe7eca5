"""How the pack behaves in a real ComfyUI: caching, cancel, errors, memory, previews."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import struct
import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

SECONDS_AT_MOST = 0.3
"""A cancel is answered within this share of the time that the whole run takes."""

GROWTH_BYTES = 100_000_000
"""More than this is no rest of an interrupted run, but a run that is still held."""


def executed(graph, entry) -> set[str]:
    """Classes of the nodes that ran."""
    messages = dict(entry["status"]["messages"])
    return {graph[n]["class_type"] for n in graph.keys() - messages["execution_cached"]["nodes"]}


def resident_bytes(server) -> int:
    return psutil.Process(server.process.pid).memory_info().rss


@pytest.fixture
def saving_graph(graph_of, tools):
    """The five nodes, with the pack's own node to save; and the number of that one."""

    def build(name="five_nodes", *, prefix, content="small.png"):
        graph = graph_of(name, content=content)
        [save] = tools["ids_of"](graph, "SaveImage")
        options = {"file_format": "TIFF", "quality": 90, "bits": "8", "filename_prefix": prefix}
        images = graph[save]["inputs"]["images"]
        graph[save] = {"class_type": "URSTSaveImage", "inputs": {"images": images, **options}}
        return graph, save

    return build


@pytest.mark.parametrize("name", ["five_nodes", "quick_start"])
def test_only_changed_nodes_run_again(server, saving_graph, name):
    graph, save = saving_graph(name, prefix=f"cached/{name}")
    server.run(graph)
    assert executed(graph, server.run(graph)) == set()
    graph[save]["inputs"]["filename_prefix"] = f"cached/{name}_again"
    assert executed(graph, server.run(graph)) == {"URSTSaveImage"}


def test_the_same_file_is_not_made_again(server, graph_of, tools):
    graph = graph_of("hundred_megapixels", content="small.png")
    [node] = tools["ids_of"](graph, "URSTStylizeFile")
    picture = server.base / "input" / "remade.png"
    shutil.copy(server.base / "input" / "small.png", picture)
    inputs = {"content": picture.name, "output_name": "remade", "overwrite": True}
    graph[node]["inputs"].update(inputs)
    server.run(graph)
    assert executed(graph, server.run(graph)) == set()
    shutil.copy(server.base / "input" / "example.png", picture)
    shows = {"PreviewAny", "PreviewImage"}
    assert executed(graph, server.run(graph)) - shows == {"URSTStylizeFile"}
    with Image.open(server.base / "output" / "remade.tif") as image:
        assert image.size == (1080, 720)


def test_changed_weights_are_read_again(server, saving_graph, tools):
    graph, _ = saving_graph(prefix="cached/weights")
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    path = server.base / "models" / "urst" / "changing.safetensors"
    shutil.copy(path.with_name("mine.safetensors"), path)
    graph[load]["inputs"]["weights"] = path.name
    server.run(graph)
    assert executed(graph, server.run(graph)) == set()
    os.utime(path, (1, 1))
    again = executed(graph, server.run(graph))
    assert again >= {"URSTLoadBackbone", "URSTStylizePatches", "URSTSaveImage"}
    assert "LoadImage" not in again


def test_a_changed_picture_is_loaded_again(server, tools):
    path = server.base / "input" / "swapped.png"
    shutil.copy(server.base / "input" / "small.png", path)
    graph = {"1": {"class_type": "URSTLoadImage", "inputs": {"image": path.name}}}
    tools["add_node"](graph, "URSTTestProbe", image=["1", 0], name="swapped")
    server.run(graph)
    assert executed(graph, server.run(graph)) == set()
    shutil.copy(server.base / "input" / "style.png", path)
    assert executed(graph, server.run(graph)) == {"URSTLoadImage", "URSTTestProbe"}


def slow_graph(graph_of, tools, node_type, statistics, seed):
    """A graph whose node works for some seconds, in small steps; other ``seed``, other work."""
    graph = graph_of("quick_start" if node_type == "URSTStylizeImage" else "five_nodes")
    for node in graph.values():
        inputs = node["inputs"]
        if "thumbnail_size" in inputs:
            inputs.update(statistics=statistics, strength=1 - seed / 1000, thumbnail_size=256)
        if "tile_size" in inputs:
            inputs["tile_size"] = 64
    [save] = tools["ids_of"](graph, "SaveImage")
    images = graph.pop(save)["inputs"]["images"]
    tools["add_node"](graph, "URSTTestProbe", image=images, name=f"{node_type}-{seed}")
    return graph


def when_running(server, prompt, node, events) -> None:
    """Wait until a node has reported progress."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(e.get("node") == node and e["value"] for e in events if e["prompt_id"] == prompt):
            return
        time.sleep(0.02)
    raise AssertionError(f"no progress of node {node}:\n{server.log()[-2000:]}")


CANCELS = [
    ("URSTStylizeImage", "thumbnail"),
    ("URSTStylizeImage", "exact"),
    ("URSTMakeThumbnailStats", "exact"),
    ("URSTStylizePatches", "thumbnail"),
]


@pytest.mark.parametrize(("node_type", "statistics"), CANCELS)
def test_a_cancel_is_quick_and_leaves_no_memory_behind(
    server, listening, graph_of, tools, node_type, statistics
):
    seed = 1 + CANCELS.index((node_type, statistics))
    graph = slow_graph(graph_of, tools, node_type, statistics, seed)
    [node] = tools["ids_of"](graph, node_type)
    waits, sizes = [], []
    for _ in range(3):
        prompt = server.queue(graph)
        when_running(server, prompt, node, listening.progress)
        asked = time.time()
        server.ask("/interrupt", {})
        messages = dict(server.wait(prompt)["status"]["messages"])
        assert messages["execution_interrupted"]["node_type"] == node_type
        waits.append(messages["execution_interrupted"]["timestamp"] / 1000 - asked)
        sizes.append(resident_bytes(server))
    start = time.perf_counter()
    server.run(graph)
    whole = time.perf_counter() - start
    result = server.probed(f"{node_type}-{seed}")
    print(
        f"{node_type}, {statistics}: cancels answered after "
        f"{', '.join(f'{wait:.2f}' for wait in waits)} s of {whole:.1f} s; "
        f"resident {', '.join(f'{size / 1e6:.0f}' for size in sizes)} MB"
    )
    assert max(waits) < SECONDS_AT_MOST * whole
    assert sizes[-1] - sizes[0] < GROWTH_BYTES
    # The same computation for us, another one for ComfyUI.
    [load] = tools["ids_of"](graph, "URSTLoadBackbone")
    graph[load]["inputs"]["device"] = "cpu"
    assert node_type in executed(graph, server.run(graph))
    assert np.array_equal(server.probed(f"{node_type}-{seed}"), result)


def test_errors_leave_no_memory_behind(server, graph_of, tools):
    graph = slow_graph(graph_of, tools, "URSTStylizePatches", "thumbnail", seed=90)
    [node] = tools["ids_of"](graph, "URSTStylizePatches")
    server.run(graph)
    result = server.probed("URSTStylizePatches-90")
    tiles = graph[node]["inputs"]["tiles"]
    sizes = []
    for _ in range(3):
        graph[node]["inputs"]["tiles"] = tools["add_node"](graph, "URSTTestSpoil", image=tiles)
        messages = dict(server.wait(server.queue(graph))["status"]["messages"])
        assert "is NaN or infinite" in messages["execution_error"]["exception_message"]
        sizes.append(resident_bytes(server))
    print(f"resident {', '.join(f'{size / 1e6:.0f}' for size in sizes)} MB")
    assert sizes[-1] - sizes[0] < GROWTH_BYTES
    graph[node]["inputs"]["tiles"] = tiles
    server.run(graph)
    assert np.array_equal(server.probed("URSTStylizePatches-90"), result)


def test_the_page_sees_the_picture_fill(server, listening, graph_of, tools):
    graph = slow_graph(graph_of, tools, "URSTStylizeImage", "thumbnail", seed=91)
    start = time.monotonic()
    server.run(graph)
    seconds = time.monotonic() - start
    looks = [np.asarray(Image.open(io.BytesIO(jpeg))) for jpeg in listening.previews]
    result = server.probed("URSTStylizeImage-91")[0]
    print(f"{len(looks)} previews in {seconds:.1f} s, {max(map(len, listening.previews))} bytes")
    # One a second; the first and the last as soon as they are there.
    assert 1 < len(looks) <= seconds + 2
    # JPEG is not quite black where nothing is yet.
    fills = [float((look.max(-1) > 40).mean()) for look in looks]
    assert fills == sorted(fills)
    assert fills[0] < 0.5 * fills[-1]
    height, width = looks[-1].shape[:2]
    assert max(height, width) <= 1024
    step = 1080 / width
    rows = ((np.arange(height) + 0.5) * step).astype(int)
    columns = ((np.arange(width) + 0.5) * step).astype(int)
    finished = looks[-1].max(-1) > 40
    difference = np.abs(looks[-1] / 255 - result[rows][:, columns])[finished].mean()
    assert difference < 0.1
    steps = [event["value"] for event in listening.progress]
    assert steps == sorted(steps)


class Listening:
    """What the server tells every page: progress, and previews as JPEG."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("http", "ws", 1) + "/ws?clientId=tests"
        self.progress: list[dict] = []
        self.previews: list[bytes] = []
        self.ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._hear(),))
        self._thread.start()

    async def _hear(self) -> None:
        import aiohttp  # noqa: PLC0415

        self._end = asyncio.Event()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(self.url, max_msg_size=0) as socket,
        ):
            self.ready.set()
            hearing = asyncio.ensure_future(self._take(socket))
            await self._end.wait()
            hearing.cancel()

    async def _take(self, socket) -> None:
        async for message in socket:
            if isinstance(message.data, bytes):
                kind, form = struct.unpack(">II", message.data[:8])
                assert (kind, form) == (1, 1), "a preview, as JPEG"
                self.previews.append(message.data[8:])
            elif (event := message.json())["type"] == "progress":
                self.progress.append(event["data"])

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


@pytest.fixture
def listening(server):
    pytest.importorskip("aiohttp")
    page = Listening(server.url)
    assert page.ready.wait(30)
    yield page
    page.stop()
