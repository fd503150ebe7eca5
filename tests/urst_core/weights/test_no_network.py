"""Everything works offline, and only huggingface_hub could access a network."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import urst_core

ROOT = Path(urst_core.__file__).parents[1]

SCRIPT = """
import socket, sys
def refuse(*_args, **_options):
    raise SystemExit("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from urst_core.cli import demo
from urst_core.cli.main import main
demo.DEMO_PAINTING_SIZE = (32, 32)
code = main(["demo", "--size", "48x32", "--output", sys.argv[1], "--device", "cpu"])
import torch
from urst_core.backbones import all_backbones
with torch.device("meta"):  # as where weights are recognized
    networks = [network() for network in all_backbones()]
loaded = {"huggingface_hub", "sympy"} & set(sys.modules)
sys.exit(code or " and ".join(loaded) or 0)
"""


@pytest.mark.slow
def test_the_demo_needs_no_network_and_loads_neither_the_client_of_the_hub_nor_a_compiler(tmp_path):
    """PyTorch's compiler, with sympy, takes seconds to load."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "stylized.jpg").stat().st_size > 0


def imported_names(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.slow
def test_no_module_speaks_http_itself():
    clients = ("requests", "urllib.request", "http.client", "httpx", "aiohttp", "urllib3", "ftplib")
    files = [*(ROOT / "urst_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")]
    assert len(files) > 40
    found = [
        (path.name, name)
        for path in files
        for name in imported_names(path)
        if name.startswith(clients)
    ]
    assert found == []
