"""Zarr stores as results and contents of ordinary runs."""

from __future__ import annotations

import pytest
import torch
from examples import picture, random_backbone, save_picture, stored_picture

from urst_core.backbones.microast import MicroAST
from urst_core.durable import file_hash
from urst_core.errors import OutputError
from urst_core.formats.disk_needs import disk_needs
from urst_core.formats.encode import encode
from urst_core.formats.open import open_picture
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.work_file import WorkFile
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource, from_unit
from urst_core.progress import Progress
from urst_core.runs.file_run import FileRun
from urst_core.tiling.settings import IfInterrupted, Settings

pytest.importorskip("zarr", reason="zarr is not installed")


@pytest.fixture
def source() -> TensorSource:
    return TensorSource(from_unit(picture((560, 70)), torch.uint8))


def pixels_of(path) -> torch.Tensor:
    stored = open_picture(path)
    return stored.read(Rectangle.of_size(stored.size))


def test_a_work_file_becomes_a_store_with_a_pyramid(tmp_path, source):
    with WorkFile.create(tmp_path / "work.tif", source) as work:
        work.write(Rectangle.of_size(source.size), source.pixels)
    shares: list[float] = []
    encode(tmp_path / "work.tif", tmp_path / "out.zarr", source, listener=shares.append)
    assert torch.equal(pixels_of(tmp_path / "out.zarr"), source.pixels)
    assert (tmp_path / "out.zarr" / "1" / "zarr.json").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.zarr", "work.tif"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_an_exception_in_the_listener_leaves_no_files(tmp_path, source):
    with WorkFile.create(tmp_path / "work.tif", source) as work:
        work.write(Rectangle.of_size(source.size), source.pixels)

    def cancel(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "work.tif", tmp_path / "out.zarr", source, listener=cancel)
    assert [p.name for p in tmp_path.iterdir()] == ["work.tif"]


def file_run(folder, output: str, **options) -> FileRun:
    return FileRun(
        folder / "content.zarr",
        [str(folder / "style.png")],
        folder / output,
        random_backbone(MicroAST),
        Settings(strokes="fine", thumbnail_size=64, tile_size=64, device="cpu"),
        **options,
    )


@pytest.fixture
def folder(tmp_path, source):
    with WorkFile.create(tmp_path / "work.tif", source) as work:
        work.write(Rectangle.of_size(source.size), source.pixels)
    encode(tmp_path / "work.tif", tmp_path / "content.zarr", source)
    save_picture(tmp_path / "style.png", stored_picture((64, 64)))
    return tmp_path


@pytest.mark.slow
def test_a_resumed_run_between_stores_gives_the_same_pixels(folder):
    file_run(folder, "whole.zarr").run()

    def stop(progress: Progress) -> None:
        if progress.stage == "tiles" and progress.tiles_done == 3:
            raise KeyboardInterrupt

    run = file_run(folder, "halves.zarr")
    with pytest.raises(KeyboardInterrupt):
        run.run(stop)
    assert not (folder / "halves.zarr").exists()
    run.run(if_interrupted=IfInterrupted.RESUME)
    assert torch.equal(pixels_of(folder / "halves.zarr"), pixels_of(folder / "whole.zarr"))


@pytest.mark.slow
def test_a_store_is_replaced_only_when_asked_to(folder):
    file_run(folder, "out.zarr").run()
    before = pixels_of(folder / "out.zarr")
    with pytest.raises(OutputError, match=r"out\.zarr exists; choose another name, or pass"):
        file_run(folder, "out.zarr").run()
    assert torch.equal(pixels_of(folder / "out.zarr"), before)
    file_run(folder, "out.zarr", overwrite=True).run()
    assert torch.equal(pixels_of(folder / "out.zarr"), before)


def test_a_store_is_not_its_own_result(folder):
    with pytest.raises(OutputError, match=r"content\.zarr is the content itself"):
        file_run(folder, "content.zarr", overwrite=True).run()


def test_options_of_other_formats_are_refused(folder):
    with pytest.raises(OutputError, match=r"Zarr takes no choice of quality; leave it out, or use"):
        file_run(folder, "out.zarr", options=OutputOptions(quality=80)).run()


def test_the_hash_of_a_store_follows_its_files(folder):
    before = file_hash(folder / "content.zarr")
    assert file_hash(folder / "content.zarr") == before
    (folder / "content.zarr" / "another").write_bytes(b"1")
    assert file_hash(folder / "content.zarr") != before


def test_disk_needs_count_the_pyramid(tmp_path):
    source = TensorSource(torch.zeros(3, 2048, 2048, dtype=torch.uint8))
    needed = disk_needs(tmp_path / "out.zarr", source).result
    assert needed > 4 / 3 * source.pixels.numel() * 0.98
