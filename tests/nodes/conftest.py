"""The pack as ComfyUI loads it, under a name made of its path, over a stub of ComfyUI.

The stub knows only what ComfyUI 0.3.64 knows: a schema that asks for more fails here.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

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
COMBO = (*INPUT, "default", "options")


def socket_type(io_type: str, allowed: Sequence[str] = INPUT) -> SimpleNamespace:
    def make(keywords: Sequence[str]) -> Callable[..., Socket]:
        return lambda id, **values: Socket(  # noqa: A006
            id, io_type=io_type, allowed=keywords, values=values
        )

    return SimpleNamespace(Input=make(allowed), Output=make(()))


@dataclass
class Schema:
    node_id: str
    display_name: str
    category: str
    inputs: list[Socket]
    outputs: list[Socket]
    description: str = ""
    is_output_node: bool = False


class NodeOutput(tuple):
    __slots__ = ()

    def __new__(cls, *values: Any) -> NodeOutput:
        return super().__new__(cls, values)


class CancelledError(Exception):
    """Stands for ComfyUI's own, which is no error of the pack."""


@dataclass
class StubHost:
    """What the nodes asked of ComfyUI, and what it answers."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    folder: Path | None = None
    freed_bytes: list[int] = field(default_factory=list)
    emptied: int = 0
    progress: list[tuple[int, int]] = field(default_factory=list)
    cancel_at: int | None = None
    cancelled: type[Exception] = CancelledError
    registered: dict[str, list[str]] = field(default_factory=dict)


HOST = StubHost()


class ProgressBar:
    def __init__(self, total: int) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None) -> None:
        HOST.progress.append((value, total or self.total))
        if HOST.cancel_at is not None and len(HOST.progress) >= HOST.cancel_at:
            raise CancelledError


def stub_modules() -> dict[str, ModuleType]:
    names = ("comfy_api", "comfy_api.latest", "comfy", "comfy.utils", "folder_paths")
    modules = {name: ModuleType(name) for name in (*names, "comfy.model_management")}
    api, host = modules["comfy_api.latest"], modules["comfy.model_management"]
    api.ComfyExtension = object
    api.io = SimpleNamespace(
        ComfyNode=object,
        Schema=Schema,
        NodeOutput=NodeOutput,
        Custom=socket_type,
        Input=Socket,
        Image=socket_type("IMAGE"),
        Int=socket_type("INT", NUMBER),
        Float=socket_type("FLOAT", (*NUMBER, "round")),
        String=socket_type("STRING", TEXT),
        Combo=socket_type("COMBO", COMBO),
    )
    modules["comfy_api"].latest = api
    modules["comfy"].model_management = host
    modules["comfy"].utils = modules["comfy.utils"]
    modules["comfy.utils"].ProgressBar = ProgressBar
    host.get_torch_device = lambda: HOST.device
    host.intermediate_device = lambda: torch.device("cpu")
    host.free_memory = lambda size, _device: HOST.freed_bytes.append(size)
    host.soft_empty_cache = lambda: setattr(HOST, "emptied", HOST.emptied + 1)
    fill_folder_paths(modules["folder_paths"])
    return modules


def fill_folder_paths(folders: ModuleType) -> None:
    def full_path(kind: str, name: str) -> str | None:
        assert kind == "urst"
        path = HOST.folder / name if HOST.folder else None
        return str(path) if path and path.is_file() else None

    def file_names(kind: str) -> list[str]:
        assert kind == "urst"
        return [path.name for path in HOST.folder.iterdir()] if HOST.folder else []

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
