"""Checkpoints: their content, refusals, and a full disk."""

from __future__ import annotations

import errno
import io
import os
import random
from pathlib import Path

import pytest
import torch
from damage import flip_bit
from safetensors.torch import save_file

from urst_core.durable import write_tensors
from urst_core.errors import TrainingError
from urst_core.training.checkpoint import KINDS, Checkpoint, restore


def checkpoint(step: int = 3, **run: str) -> Checkpoint:
    tensors = {
        kind: {"layer.weight": torch.full((2, 3), number + step / 8)}
        for number, kind in enumerate(KINDS)
    }
    return Checkpoint(step, 12.3456789012345, tensors, {"seed": "0", **run})


def test_saving_and_loading(tmp_path):
    path, saved = tmp_path / "checkpoint.safetensors", checkpoint()
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert (loaded.step, loaded.seconds, loaded.run) == (3, 12.3456789012345, {"seed": "0"})
    assert list(loaded.tensors) == list(KINDS)
    for kind in KINDS:
        assert torch.equal(
            loaded.tensors[kind]["layer.weight"], saved.tensors[kind]["layer.weight"]
        )
    assert os.listdir(tmp_path) == ["checkpoint.safetensors"]


def test_any_layout_of_memory(tmp_path):
    """Weights lie with channels last while they are trained."""
    values = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    saved = Checkpoint(0, 0.0, {kind: {"w": values} for kind in KINDS}, {})
    saved.save(tmp_path / "checkpoint.safetensors")
    loaded = Checkpoint.load(tmp_path / "checkpoint.safetensors")
    assert torch.equal(loaded.tensors["average"]["w"], values)


def test_loaded_tensors_do_not_keep_the_file_open(tmp_path):
    """A mapped file cannot be replaced on Windows, and loaded tensors would change with it."""
    path = tmp_path / "checkpoint.safetensors"
    checkpoint(3).save(path)
    loaded = Checkpoint.load(path).tensors["weights"]["layer.weight"]
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\xff" * 8)
    assert torch.equal(loaded, torch.full((2, 3), 3 / 8))
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(path) not in maps.read_text()


def test_restore():
    into = {"a": torch.zeros(2), "b": torch.zeros(1)}
    restore(into, {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0]), "c": torch.zeros(1)})
    assert into["a"].tolist() == [1.0, 2.0]
    assert into["b"].tolist() == [3.0]


# Refused


def refusal(path) -> str:
    with pytest.raises(TrainingError) as caught:
        Checkpoint.load(path)
    return str(caught.value)


def test_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    message = f"there is no checkpoint {path} to resume from; pass resume=False"
    assert refusal(path) == message


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_damaged(tmp_path, size):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint().save(path)
    path.write_bytes(path.read_bytes()[:size])
    message = refusal(path)
    assert message.startswith(f"checkpoint {path} is damaged (")
    assert message.endswith("); start over without it")


def test_other_files(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    for header in (None, {"format": "pt"}, {"format": "urst-training-1"}):
        save_file({"weight": torch.zeros(1)}, path, header)
        assert refusal(path) == (
            f"checkpoint {path} is damaged (without the header that urst writes); "
            "start over without it"
        )
    write_tensors(path, {"weight": torch.zeros(1)}, {"format": "urst-training-1"})
    assert refusal(path) == (f"{path} is not a checkpoint of this version; start over without it")


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint().save(path)
    whole, chance = path.read_bytes(), random.Random(1)
    for _ in range(30):
        path.write_bytes(whole)
        flip_bit(path, chance)
        assert refusal(path).startswith(f"checkpoint {path} is damaged (")


def test_the_same_state_gives_the_same_bytes(tmp_path):
    contents = set()
    for number in range(4):
        checkpoint().save(tmp_path / str(number))
        contents.add((tmp_path / str(number)).read_bytes())
    assert len(contents) == 1


def test_another_run_is_refused_with_every_change():
    saved = checkpoint(rate="0.1", style="a", old="1")
    saved.check_run({"style": "a", "old": "1", "seed": "0", "rate": "0.1"})
    with pytest.raises(TrainingError) as caught:
        saved.check_run({"seed": "1", "rate": "0.2", "style": "a", "new": "2"})
    assert str(caught.value) == (
        "the checkpoint belongs to another training run, it had: seed 0, not 1; rate 0.1, not "
        "0.2; old 1, not none; new none, not 2; use the same settings, or start another training "
        "run from its weights with start_from"
    )


# A full disk


class FullDisk(io.FileIO):
    """Writes only half of the data, like a disk that fills up."""

    def write(self, data):
        super().write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    def opened(path, mode):
        return FullDisk(path, mode)

    monkeypatch.setattr(Path, "open", opened)


def test_full_disk_keeps_the_checkpoint_before(tmp_path, request):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint(3).save(path)
    request.getfixturevalue("full_disk")
    with pytest.raises(TrainingError) as caught:
        checkpoint(4).save(path)
    assert str(caught.value) == (
        f"checkpoint {path} of step 4 cannot be written ([Errno 28] No space left on device); "
        "the previous one is kept; free some space, or pass resume=True"
    )
    assert Checkpoint.load(path).step == 3
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("full_disk")
def test_full_disk_at_the_first_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(TrainingError) as caught:
        checkpoint(0).save(path)
    assert str(caught.value) == (
        f"checkpoint {path} of step 0 cannot be written ([Errno 28] No space left on device); "
        "free some space"
    )
    assert os.listdir(tmp_path) == []
