"""Damages files that are read again, and counts the outcomes.

    python benchmarks/fuzz.py [--trials N] [--seconds S] [--seed N] [--kind KIND …]

Each trial damages one file: a flipped bit, a few changed bytes, a cut, zeros, more bytes, another
file's content; in work folders also a link or a foreign file, in JSON also odd values. Then it is
read, or the run resumed. Good are a refusal (one of our errors) and a right result; bad are a wrong
result without a word, a traceback, and a foreign file that is gone or changed. Exit code 1 if any
is bad. The same seed gives the same trials.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from urst_core.demo import DemoLandscape, demo_painting
from urst_core.durable import write_tensors
from urst_core.errors import URSTError
from urst_core.formats.numpy_file import NumpyPicture
from urst_core.formats.open import write_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource
from urst_core.runs.file_run import FileRun
from urst_core.runs.work_folder import WorkFolder
from urst_core.tiling.settings import IfInterrupted, Settings
from urst_core.training.checkpoint import KINDS, Checkpoint
from urst_core.weights.checkpoint import read_weights
from urst_core.weights.loading import load_backbone
from urst_core.weights.manifest import manifest_path, read_manifest

PRECIOUS = b"years of work"
UNFINISHED = ".out.7-0123456789abcdef.partial.dzi"

ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 1e308, "", "\0", "../x", "..\\x", "a" * 5000, [], {}, [None], 1 << 80),
]


class WrongError(Exception):
    """A wrong result without an error."""


class Subject(ABC):
    """One kind of file, in a folder of its own."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance

    @abstractmethod
    def damage(self) -> str:
        """Damage a fresh copy; returns how."""

    @abstractmethod
    def use(self) -> str:
        """Read it, and compare; says what came of it.

        Raises:
            URSTError: it is refused.
            WrongError: the result differs from the original.
        """


def damage_bytes(content: bytes, others: list[bytes], chance: random.Random) -> tuple[bytes, str]:
    """Damaged bytes, and how."""
    end = max(1, len(content))
    at = chance.randrange(end)
    length = chance.randrange(1, min(64, end) + 1)
    ways: dict[str, Callable[[], bytes]] = {
        "a flipped bit": lambda: flip(content, at, chance),
        "changed bytes": lambda: content[:at] + chance.randbytes(length) + content[at + length :],
        "zeros": lambda: content[:at] + bytes(length) + content[at + length :],
        "a cut": lambda: content[:at],
        "a gap": lambda: content[:at] + content[at + length :],
        "more bytes": lambda: content + chance.randbytes(length),
        "another file": lambda: chance.choice(others),
    }
    # Half of all trials: what memory and disks really do.
    way = chance.choice([*ways, *["a flipped bit"] * (len(ways) - 1)])
    return ways[way](), way


def flip(content: bytes, at: int, chance: random.Random) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


class WorkFolders(Subject):
    """Interrupted runs."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        write_picture(DemoLandscape((64, 72)), folder / "content.png")
        write_picture(TensorSource(demo_painting((48, 48))), folder / "style.png")
        settings = Settings(thumbnail_size=48, tile_size=32, device="cpu")
        styles = [str(folder / "style.png")]
        output = folder / "out.png"
        self.run = FileRun(folder / "content.png", styles, output, load_backbone(), settings)
        self.work, self.kept = WorkFolder(output).path, folder / "kept"
        with suppress(KeyboardInterrupt):
            self.run.run(interrupt)
        shutil.copytree(self.work, self.kept)
        self.run.run(if_interrupted=IfInterrupted.RESUME)
        self.expected = output.read_bytes()
        self.precious = folder / "precious"

    def damage(self) -> str:
        if self.work.is_symlink():
            self.work.unlink()
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.precious, ignore_errors=True)
        self.run.output.unlink(missing_ok=True)
        shutil.copytree(self.kept, self.work)
        self.precious.mkdir()
        (self.precious / "thesis").write_bytes(PRECIOUS)
        names = sorted(os.listdir(self.work))
        if self.chance.random() < 0.2:
            return self._plant(names)
        name = self.chance.choice([n for n in names if (self.work / n).stat().st_size])
        others = [(self.work / n).read_bytes() for n in names]
        content, how = damage_bytes((self.work / name).read_bytes(), others, self.chance)
        (self.work / name).write_bytes(content)
        return f"{name}: {how}"

    def _plant(self, names: list[str]) -> str:
        """Add a foreign file."""
        name = self.chance.choice([*names, "thesis", UNFINISHED, "reserve"])
        place = self.work / name
        kind = self.chance.choice(["link", "hard link", "folder", "link to a folder", "all a link"])
        if kind == "all a link":
            self.work.rename(self.precious / "work")
            self.work.symlink_to(self.precious / "work")
            return kind
        place.unlink(missing_ok=True)
        if kind == "folder":
            place.mkdir()
            (place / "thesis").write_bytes(PRECIOUS)
        elif kind == "hard link":
            os.link(self.precious / "thesis", place)
        else:
            target = self.precious / "thesis" if kind == "link" else self.precious
            place.symlink_to(target)
        return f"{name}: {kind}"

    def use(self) -> str:
        before = self._foreign()
        try:
            self.run.run(if_interrupted=IfInterrupted.RESUME)
        finally:
            if self._foreign() != before:
                raise WrongError("a foreign file is gone or changed")
        if self.run.output.read_bytes() != self.expected:
            raise WrongError("another picture")
        return "right"

    def _foreign(self) -> dict[str, bytes]:
        found = {}
        for folder in (self.precious, self.work):
            for path in filter(Path.is_file, folder.rglob("thesis")):
                found[str(path)] = path.read_bytes()
        return found


def interrupt(progress: Any) -> None:
    if progress.tiles_done >= 3:
        raise KeyboardInterrupt


class Checkpoints(Subject):
    """Trainings to be resumed."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.path = folder / "checkpoint.safetensors"
        tensors = {kind: {"w": torch.randn(40, 5), "b": torch.randn(40)} for kind in KINDS}
        self.saved = Checkpoint(7, 1.25, tensors, {"seed": "0", "batch size": "4"})
        self.saved.save(self.path)
        self.content = self.path.read_bytes()

    def damage(self) -> str:
        content, how = damage_bytes(self.content, [b"", b"{}"], self.chance)
        self.path.write_bytes(content)
        return how

    def use(self) -> str:
        loaded = Checkpoint.load(self.path)
        same = (loaded.step, loaded.seconds, loaded.run) == (7, 1.25, self.saved.run)
        for kind, values in self.saved.tensors.items():
            same &= loaded.tensors[kind].keys() == values.keys()
            same &= all(torch.equal(loaded.tensors[kind][name], values[name]) for name in values)
        if not same:
            raise WrongError("another state")
        return "right"


class OurWeights(Subject):
    """Weights that a training or a conversion wrote."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.path = folder / "weights.safetensors"
        self.values = {"w": torch.randn(40, 5), "b": torch.randn(40)}
        write_tensors(self.path, self.values, {"backbone": "microast"})
        self.content = self.path.read_bytes()

    def damage(self) -> str:
        content, how = damage_bytes(self.content, [b"", b"PK\x03\x04", b"\x80\x02}"], self.chance)
        self.path.write_bytes(content)
        return how

    def use(self) -> str:
        loaded = read_weights(self.path)
        same = loaded.keys() == self.values.keys()
        if not same or not all(torch.equal(loaded[n], v) for n, v in self.values.items()):
            raise WrongError("other weights")
        return "right"


class Manifests(Subject):
    """The manifest of downloads; a value changed into another valid one counts as right."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.path = folder / "manifest.json"
        self.content = manifest_path().read_bytes()

    def damage(self) -> str:
        if self.chance.random() < 0.6:
            values = json.loads(self.content)
            how = self._replace_one(values)
            self.path.write_text(json.dumps(values), encoding="utf-8")
            return how
        content, how = damage_bytes(self.content, [b"", b"[]", b"[" * 9000], self.chance)
        self.path.write_bytes(content)
        return how

    def _replace_one(self, values: Any) -> str:
        """One value anywhere becomes an odd one."""
        places: list[tuple[Any, Any]] = []

        def walk(node: Any) -> None:
            for key in node if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                if isinstance(node[key], (dict, list)):
                    walk(node[key])

        walk(values)
        node, key = self.chance.choice(places)
        node[key] = self.chance.choice(ODD_VALUES)
        return f"{key}: {node[key]!r:.20}"

    def use(self) -> str:
        for entry in read_manifest(self.path):
            texts = [entry.title, entry.license, entry.command, *entry.styles]
            texts += [file.path for file in entry.files] + (
                [entry.home.repo_id] if entry.home else []
            )
            if not all(isinstance(text, str) for text in texts):
                raise WrongError("no text")
            for file in entry.files:
                parts = file.path.split("/")
                if {"", "..", "."} & set(parts) or "\\" in file.path or "\0" in file.path:
                    raise WrongError(f"path {file.path!r}")
                if type(file.size_bytes) is not int:
                    raise WrongError(f"size {file.size_bytes!r}")
            if entry.home and entry.home.repo_id.count("/") != 1:
                raise WrongError(f"repository {entry.home.repo_id!r}")
        return "accepted"


class Arrays(Subject):
    """NumPy pictures; the result is compared with NumPy's own reading."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        super().__init__(folder, chance)
        self.path = folder / "a.npy"
        values = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
        np.save(self.path, values)
        self.content = self.path.read_bytes()

    def damage(self) -> str:
        content, how = damage_bytes(self.content, [b"", b"\x93NUMPY"], self.chance)
        if self.chance.random() < 0.7:
            head, how = damage_bytes(
                self.content[:128], [b"\x93NUMPY\x01\x00\xff\xff"], self.chance
            )
            content = head + self.content[128:]
            how = f"header: {how}"
        self.path.write_bytes(content)
        return how

    def use(self) -> str:
        with NumpyPicture(self.path) as picture:
            pixels = picture.read(Rectangle.of_size(picture.size)).permute(1, 2, 0).numpy()
        expected = np.load(self.path)
        if expected.ndim == 2 or expected.shape[2] == 1:
            expected = np.broadcast_to(expected.reshape(*expected.shape[:2], 1), pixels.shape)
        if not np.array_equal(pixels, expected, equal_nan=expected.dtype.kind == "f"):
            raise WrongError("other pixels")
        return "as NumPy reads it"


SUBJECTS: dict[str, type[Subject]] = {
    "work folders": WorkFolders,
    "checkpoints": Checkpoints,
    "weights": OurWeights,
    "manifests": Manifests,
    "arrays": Arrays,
}


def main() -> int:
    options = parse_options()
    torch.manual_seed(options.seed)
    bad = 0
    began = time.monotonic()
    print("kind           trials  refused  right  accepted  wrong  tracebacks")
    kinds = options.kind or list(SUBJECTS)
    for number, kind in enumerate(kinds, start=1):
        # What is left of the time goes to the kinds that are left, in equal shares.
        until = began + options.seconds * number / len(kinds)
        counts = fuzz(kind, options, until)
        wrong, traces = counts["wrong"], counts["traceback"]
        bad += wrong + traces
        trials = sum(counts.values())
        accepted = counts["accepted"] + counts["as NumPy reads it"]
        print(
            f"{kind:13s} {trials:7d} {counts['refused']:8d} {counts['right']:6d} {accepted:9d} "
            f"{wrong:6d} {traces:11d}",
            flush=True,
        )
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s, {bad} bad")
    return 1 if bad else 0


def fuzz(kind: str, options: argparse.Namespace, until: float) -> Counter[str]:
    """All trials of one kind, or as many as there is time for."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="urst-fuzz-") as name:
        subject = SUBJECTS[kind](Path(name), random.Random(f"{options.seed} {kind}"))
        for trial in range(options.trials):
            if time.monotonic() > until:
                break
            how = subject.damage()
            try:
                counts[subject.use()] += 1
            except URSTError:
                counts["refused"] += 1
            except WrongError as error:
                counts["wrong"] += 1
                print(f"  WRONG, {kind} {trial}, {how}: {error}")
            except Exception:
                counts["traceback"] += 1
                print(f"  TRACEBACK, {kind} {trial}, {how}:\n{traceback.format_exc(limit=-3)}")
    return counts


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300, help="of each kind")
    parser.add_argument("--seconds", type=float, default=300.0, help="for everything")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(SUBJECTS), action="append")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
