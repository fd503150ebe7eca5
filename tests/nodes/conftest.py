"""The pack as ComfyUI loads it, under a name made from its path, with a stub of ComfyUI.

The stub knows only what ComfyUI 0.3.64 knows: a schema that asks for more fails here. Inputs that
grow and choices with inputs of their own are the exception: nodes that need them are left out where
there are none.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PACK = "pack-under-test"


class Socket:
    """An input or output; the keywords are those of 0.3.64."""

    def __init__(
        self,
        id: str,  # noqa: A002
        *,
        io_type: str,
        allowed: Sequence[str],
        values: dict[str, Any],
    ) -> None:
        unknown = set(values) - {*allowed, "display_name", "tooltip"}
        assert not unknown, f"{id}: ComfyUI 0.3.64 has no {unknown}"
        self.id, self.io_type, self.values = id, io_type, values
        self.extra_dict: dict[str, Any] = {}
        self.nested: dict[str, list[Socket]] = {}

    @property
    def tooltip(self) -> str | None:
        return self.values.get("tooltip")

    @property
    def optional(self) -> bool:
        return self.values.get("optional", False)


INPUT = ("optional", "lazy")
NUMBER = (*INPUT, "default", "min", "max", "step", "display_mode")
TEXT = (
    *INPUT,
    "multiline",
    "placeholder",
    "default",
    "dynamic_prompts",
    "socketless",
    "force_input",
)
COMBO = (*INPUT, "default", "options", "upload")


def socket_type(io_type: str, allowed: Sequence[str] = INPUT) -> SimpleNamespace:
    def make(keywords: Sequence[str]) -> Callable[..., Socket]:
        return lambda id, **values: Socket(  # noqa: A006
            id, io_type=io_type, allowed=keywords, values=values
        )

    return SimpleNamespace(Input=make(allowed), Output=make(()))


def growing_socket(id: str, *, template: tuple[Socket, list[str], int], **values: Any) -> Socket:  # noqa: A002
    """An input that grows, of the type of its sockets."""
    socket, names, least = template
    assert names == [f"{socket.id}_{number}" for number in range(1, len(names) + 1)]
    assert least >= 0
    assert not socket.optional, "ComfyUI 0.8.0 cannot expand optional ones"
    return Socket(id, io_type=socket.io_type, allowed=INPUT, values=values)


GROWING = SimpleNamespace(
    Input=growing_socket,
    TemplateNames=lambda socket, names, min: (socket, names, min),  # noqa: A006
)


def nesting_choice(id: str, *, options: list[tuple[str, list[Socket]]], **values: Any) -> Socket:  # noqa: A002
    """A choice whose options have inputs of their own, by option in ``nested``."""
    assert options, "ComfyUI refuses an empty list"
    socket = Socket(id, io_type="COMFY_DYNAMICCOMBO_V3", allowed=INPUT, values=values)
    socket.nested = dict(options)
    return socket


NESTING = SimpleNamespace(Input=nesting_choice, Option=lambda key, inputs: (key, inputs))


def socket_of_types(id: str, types: Sequence[Any], **values: Any) -> Socket:  # noqa: A002
    io_type = ",".join(each.Input("").io_type for each in types)
    return Socket(id, io_type=io_type, allowed=INPUT, values=values)


@dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    inputs: list[Socket]
    outputs: list[Socket]
    description: str = ""
    is_output_node: bool = False
    hidden: list[str] | None = None


class ComfyNode:
    """What ComfyUI tells a node beside its inputs; a clone of the class holds it during a run."""

    hidden: Any = None


class NodeOutput(tuple):
    ui: Any

    def __new__(cls, *values: Any, ui: Any = None) -> NodeOutput:
        output = super().__new__(cls, values)
        output.ui = ui
        return output


class CancelledError(Exception):
    """Stands for ComfyUI's own, which is no error of the pack."""


@dataclass
class StubHost:
    """The nodes' requests to ComfyUI, and its answers."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    intermediate: torch.device = field(default_factory=lambda: torch.device("cpu"))
    folder: Path | None = None
    base: Path | None = None
    disable_metadata: bool = False
    preview_method: str = "none"
    freed_bytes: list[int] = field(default_factory=list)
    freed_devices: list[torch.device] = field(default_factory=list)
    emptied: int = 0
    at_empty: Callable[[], None] = lambda: None
    progress: list[tuple[int, int]] = field(default_factory=list)
    previews: list[Any] = field(default_factory=list)
    cancel_at: int | None = None
    cancelled: type[BaseException] = CancelledError
    registered: dict[str, list[str]] = field(default_factory=dict)


HOST = StubHost()


class ProgressBar:
    def __init__(self, total: int) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        HOST.progress.append((value, total or self.total))
        if preview is not None:
            HOST.previews.append(preview)
        if HOST.cancel_at is not None and len(HOST.progress) >= HOST.cancel_at:
            raise HOST.cancelled


def free_memory(size: int, device: torch.device, keep_loaded: Sequence[Any] = ()) -> list[Any]:
    assert size == size // 1 > 0
    HOST.freed_bytes.append(size)
    HOST.freed_devices.append(device)
    return list(keep_loaded)


def soft_empty_cache() -> None:
    HOST.emptied += 1
    HOST.at_empty()


class Arguments:
    """ComfyUI's command line."""

    @property
    def disable_metadata(self) -> bool:
        return HOST.disable_metadata

    @property
    def preview_method(self) -> SimpleNamespace:
        return SimpleNamespace(value=HOST.preview_method)


def stub_modules() -> dict[str, ModuleType]:
    names = ("comfy_api", "comfy_api.latest", "comfy", "comfy.utils", "comfy.cli_args")
    modules = {
        name: ModuleType(name) for name in (*names, "comfy.model_management", "folder_paths")
    }
    api, host = modules["comfy_api.latest"], modules["comfy.model_management"]
    api.ComfyExtension = object
    api.io = SimpleNamespace(
        ComfyNode=ComfyNode,
        Schema=Schema,
        NodeOutput=NodeOutput,
        Custom=socket_type,
        Input=Socket,
        NumberDisplay=SimpleNamespace(number="number", slider="slider"),
        Image=socket_type("IMAGE"),
        Int=socket_type("INT", NUMBER),
        Float=socket_type("FLOAT", (*NUMBER, "round")),
        String=socket_type("STRING", TEXT),
        Combo=socket_type("COMBO", COMBO),
        Boolean=socket_type("BOOLEAN", (*INPUT, "default", "label_on", "label_off")),
        Mask=socket_type("MASK"),
        Video=socket_type("VIDEO"),
        MultiType=SimpleNamespace(Input=socket_of_types),
        Autogrow=GROWING,
        DynamicCombo=NESTING,
        UploadType=SimpleNamespace(video="video_upload"),
        Hidden=SimpleNamespace(prompt="PROMPT", extra_pnginfo="EXTRA_PNGINFO"),
    )
    api.InputImpl = SimpleNamespace(VideoFromFile=lambda path: f"video {path}")
    modules["comfy.cli_args"].args = Arguments()
    modules["comfy"].cli_args = modules["comfy.cli_args"]
    modules["comfy_api"].latest = api
    modules["comfy"].model_management = host
    modules["comfy"].utils = modules["comfy.utils"]
    modules["comfy.utils"].ProgressBar = ProgressBar
    host.get_torch_device = lambda: HOST.device
    host.intermediate_device = lambda: HOST.intermediate
    host.free_memory = free_memory
    host.soft_empty_cache = soft_empty_cache
    fill_folder_paths(modules["folder_paths"])
    return modules


def fill_folder_paths(folders: ModuleType) -> None:
    def full_path(kind: str, name: str) -> str | None:
        assert kind == "urst"
        path = HOST.folder / name if HOST.folder else None
        return str(path) if path and path.is_file() else None

    def file_names(kind: str) -> list[str]:
        assert kind == "urst"
        found = sorted(HOST.folder.rglob("*")) if HOST.folder else []
        return [path.relative_to(HOST.folder).as_posix() for path in found if path.is_file()]

    def directory(kind: str) -> Callable[[], str]:
        return lambda: str(HOST.base / kind) if HOST.base else f"no-{kind}-folder"

    def annotated(name: str) -> tuple[str, str | None]:
        for kind in ("output", "input", "temp"):
            if name.endswith(f"[{kind}]"):
                return name[: -len(kind) - 3], directory(kind)()
        return name, None

    def save_path(
        prefix: str, base: str, width: int, height: int
    ) -> tuple[str, str, int, str, str]:
        prefix = prefix.replace("%width%", str(width)).replace("%height%", str(height))
        prefix = prefix.replace("%year%", "2024")
        subfolder, name = os.path.split(os.path.normpath(prefix))
        folder = Path(base, subfolder)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [
            int(path.name[len(name) + 1 :].split("_")[0]) for path in folder.glob(f"{name}_*_*")
        ]
        return str(folder), name, max(numbers, default=0) + 1, subfolder, prefix

    for kind in ("input", "output", "temp"):
        setattr(folders, f"get_{kind}_directory", directory(kind))
    folders.annotated_filepath = annotated
    folders.get_save_image_path = save_path
    folders.models_dir = "models"
    folders.add_model_folder_path = lambda kind, path: HOST.registered.setdefault(kind, []).append(
        path
    )
    folders.get_full_path = full_path
    folders.get_folder_paths = lambda _kind: [str(HOST.folder)] if HOST.folder else []
    folders.get_filename_list = file_names


@pytest.fixture(scope="session")
def pack() -> Iterator[ModuleType]:
    """The root package, loaded by path over the stub."""
    before = set(sys.modules)
    stubs = stub_modules()
    displaced = {name: sys.modules[name] for name in stubs if name in sys.modules}
    sys.modules.update(stubs)
    spec = importlib.util.spec_from_file_location(
        PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[PACK] = module
    spec.loader.exec_module(module)
    yield module
    for name in set(sys.modules) - before:
        if name in stubs or name.split(".")[0] == PACK:
            del sys.modules[name]
    sys.modules.update(displaced)


@pytest.fixture
def part(pack: ModuleType) -> Callable[[str], ModuleType]:
    """Imports a module of the pack: ``part("nodes.convert")``."""
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture
def host() -> Iterator[StubHost]:
    """The stub's state, fresh for the test."""
    HOST.__init__()
    yield HOST
    HOST.__init__()


@pytest.fixture
def nodes(pack: ModuleType, host: StubHost) -> dict[str, type]:
    """The nodes by id, as ComfyUI gets them: through the entry point."""
    extension = asyncio.run(pack.comfy_entrypoint())
    found = asyncio.run(extension.get_node_list())
    assert host.registered
    return {node.define_schema().node_id: node for node in found}


@pytest.fixture
def base(host: StubHost, tmp_path: Path) -> Path:
    """ComfyUI's folders input, output and temp, empty."""
    for kind in ("input", "output", "temp"):
        (tmp_path / "comfyui" / kind).mkdir(parents=True)
    host.base = tmp_path / "comfyui"
    return host.base


@pytest.fixture
def shown(base: Path) -> Callable[[Any], torch.Tensor]:
    """The pictures that the page shows for a node's output, (B, H, W, 3), 0..1."""

    def read(output: Any) -> torch.Tensor:
        paths = [base / i["type"] / i["subfolder"] / i["filename"] for i in output.ui["images"]]
        pictures = [np.asarray(Image.open(path).convert("RGB"), np.float32) for path in paths]
        return torch.from_numpy(np.stack(pictures) / 255)

    return read


@pytest.fixture
def inference_mode() -> Iterator[None]:
    """Nodes run in it, in ComfyUI."""
    with torch.inference_mode():
        yield


@pytest.fixture
def call(nodes: dict[str, Any]) -> Callable[..., Any]:
    """Runs a node: ``call("StylizeImage", content=...)``; strokes are fine unless chosen."""
    defaults = {node_id: {"strokes": 1.0} for node_id in ("StylizeImage", "StylizeFile")}

    def run(node_id: str, **inputs: Any) -> Any:
        return nodes[f"URST{node_id}"].execute(**{**defaults.get(node_id, {}), **inputs})

    return run


@pytest.fixture
def backbone(call: Callable[..., Any]) -> Any:
    """The built-in one, in float32 on the CPU."""
    [loaded] = call(
        "LoadBackbone", backbone="microast", weights="built-in", precision="fp32", device="cpu"
    )
    return loaded


@pytest.fixture
def errors(part: Callable[[str], ModuleType]) -> ModuleType:
    """Of the pack under test; those of the package are other classes."""
    return part("urst_core.errors")
