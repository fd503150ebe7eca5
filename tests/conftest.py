"""Fixtures of several tests: the shared folder, backbones with random weights, pictures."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
import torch
from examples import random_backbone
from fake_hub import FakeHub, running_hub

from urst_core.backbones import find_backbone
from urst_core.networks.model import Backbone
from urst_core.weights.loading import load_backbone

# Machines differ in speed, which properties do not depend on.
hypothesis.settings.register_profile("all", deadline=None, max_examples=50)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=15)


def pytest_configure(config: pytest.Config) -> None:
    """Make the suite safe and fast for parallel workers (``-n auto``)."""
    quick = "not slow" in config.option.markexpr
    hypothesis.settings.load_profile("quick" if quick else "all")
    if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
        # Threads of several workers would wait for one another. The variable is for the processes
        # that tests start.
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        threads = max(1, (os.cpu_count() or 1) // workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        torch.set_num_threads(threads)


def pytest_collection_finish() -> None:
    """Let garbage collections pass over modules and tests, which stay until the end."""
    gc.collect()
    gc.freeze()


SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Nothing waits for the disk: no test cuts the power, and waits would be a tenth of the time.

    What is flushed, when, and what follows an error is tested; processes that tests start flush.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, lambda _descriptor: None, raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference outputs and pictures that lie beside a checkout and are not part of it."""
    if not SHARED.is_dir():
        pytest.skip("no folder ../shared beside the checkout: nothing to compare with")
    return SHARED


@pytest.fixture(scope="session")
def microast() -> Backbone:
    """The default backbone with its embedded weights."""
    return load_backbone()


@pytest.fixture(scope="session")
def random_backbones() -> RandomBackbones:
    """Every backbone in its published shape, with random weights that give pictures in 0..1."""
    return RandomBackbones()


class RandomBackbones(dict[str, Backbone]):
    """Made when they are asked for: the large ones take seconds."""

    def __missing__(self, name: str) -> Backbone:
        self[name] = random_backbone(find_backbone(name))
        return self[name]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A local server in the place of the Hugging Face hub, and an empty cache of its client.

    Nothing reaches the real hub, and no wait between two attempts takes time.
    """
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants, file_download, hf_api  # noqa: F401, PLC0415
    from huggingface_hub.utils import _http  # noqa: PLC0415

    home = tmp_path / "hf"
    with running_hub() as server:
        settings = {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_ASSETS_CACHE": str(home / "assets"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }
        # Some versions of the client copy settings from module to module.
        modules = [m for name, m in sys.modules.items() if name.startswith("huggingface_hub")]
        for module in modules:
            for name, value in settings.items():
                if module is constants or name in vars(module):
                    monkeypatch.setattr(module, name, value, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for module in (_http, file_download):
            monkeypatch.setattr(module, "time", SimpleNamespace(sleep=lambda _: None))
        _close_hub_sessions(_http)
        yield server
        _close_hub_sessions(_http)


def _close_hub_sessions(http: Any) -> None:
    """Have the client read proxies again; the function's name depends on its version."""
    close = getattr(http, "close_session", None) or http.reset_sessions
    close()
