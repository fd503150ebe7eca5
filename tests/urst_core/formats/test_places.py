"""Results may replace earlier results, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from examples import save_picture, stored_picture

from urst_core.errors import OutputError
from urst_core.formats.encode import encode, is_partial_name, partial_name
from urst_core.formats.open import (
    ImageFileCanvas,
    check_apart,
    check_output,
    copy_picture,
    open_picture,
    write_picture,
)
from urst_core.formats.work_file import WorkFile
from urst_core.formats.zarr.canvas import ZarrCanvas
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource
from urst_core.tiling.settings import IfInterrupted

SOURCE = TensorSource(stored_picture((90, 120)))
LARGE = TensorSource(stored_picture((300, 500)))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refusal(path: Path, source=SOURCE, **options) -> str:
    """The message, given before any work, which leaves everything as it was."""
    before = tree(path.parent)
    with pytest.raises(OutputError) as caught:
        check_output(path, source, overwrite=True, **options)
    with pytest.raises(OutputError):
        write_picture(source, path)
    assert tree(path.parent) == before
    return str(caught.value)


# DeepZoom


@pytest.fixture
def pyramid(tmp_path) -> Path:
    write_picture(LARGE, tmp_path / "y.dzi")
    return tmp_path / "y.dzi"


def test_an_earlier_pyramid_is_replaced(pyramid):
    write_picture(SOURCE, pyramid)
    assert 'Width="120"' in pyramid.read_text()
    assert sorted(os.listdir(pyramid.parent)) == ["y.dzi", "y_files"]


def test_years_are_not_levels(tmp_path):
    year = tmp_path / "y_files" / "2024"
    year.mkdir(parents=True)
    (year / "thesis").write_text("years of work")
    (tmp_path / "y.dzi").touch()
    assert refusal(tmp_path / "y.dzi") == (
        f"{tmp_path / 'y_files'} exists, and {tmp_path / 'y.dzi'} does not describe it; "
        "move it, or choose another name"
    )


@pytest.mark.parametrize(
    "foreign",
    [
        "thesis",
        "vips-properties.xml",
        "2024/",
        "10/0_0.jpg",
        "9/thesis",
        "9/0_0.png",
        "9/2_0.jpg",
        "9/0_2.jpg",
        "9/00_0.jpg",
        "9/0_0.jpg.txt",
        "9/1_1.jpg/",
        "09/",
        "²/",
    ],
)
def test_only_the_tiles_that_are_described_are_replaced(pyramid, foreign):
    place = pyramid.with_name("y_files") / foreign
    if (place.is_file() or place.is_dir()) and foreign.endswith("/"):
        place.unlink()
    place.parent.mkdir(exist_ok=True)
    place.mkdir() if foreign.endswith("/") else place.write_text("precious")
    entry = place if place.parent.name in {"9", "y_files"} else place.parent
    assert refusal(pyramid) == (
        f"{entry} is not a tile that {pyramid} describes; move it, or choose another name"
    )


@pytest.mark.slow
def test_levels_have_no_gaps(pyramid):
    shutil.rmtree(pyramid.with_name("y_files") / "5")
    assert refusal(pyramid) == (
        f"{pyramid.with_name('y_files')} exists, and {pyramid} does not describe it; "
        "move it, or choose another name"
    )


@pytest.mark.parametrize("inside", ["9", "9/0_0.jpg"])
def test_a_link_among_the_tiles(pyramid, tmp_path, inside):
    link, kept = pyramid.with_name("y_files") / inside, tmp_path / "kept"
    link.rename(kept)
    link.symlink_to(kept)
    assert f"{link} is not a tile" in refusal(pyramid)


@pytest.mark.parametrize(
    "text",
    ["", "<", '<Image xmlns="x"/>', '<Image Format="../../x" Overlap="1" TileSize="254"/>'],
)
def test_a_description_that_makes_no_sense(pyramid, text):
    pyramid.write_text(text)
    assert f"{pyramid} does not describe it" in refusal(pyramid)


def test_a_pyramid_may_be_cut_off(pyramid):
    """Tiles that are missing are nobody's loss."""
    (pyramid.with_name("y_files") / "9" / "1_1.jpg").unlink()
    write_picture(SOURCE, pyramid)


def test_a_foreign_file_that_comes_during_a_run_stays(pyramid):
    thesis = pyramid.with_name("y_files") / "thesis"

    def write_meanwhile() -> None:
        with ImageFileCanvas(pyramid, SOURCE, overwrite=True) as canvas:
            copy_picture(SOURCE, canvas)
            thesis.write_text("precious")

    with pytest.raises(OutputError, match="thesis is not a tile"):
        write_meanwhile()
    assert thesis.read_text() == "precious"
    assert sorted(os.listdir(pyramid.parent)) == ["y.dzi", "y_files"]


def test_content_among_the_tiles(pyramid):
    tile = pyramid.with_name("y_files") / "9" / "0_0.jpg"
    assert refusal(pyramid, open_picture(tile)) == (
        f"output {pyramid} would replace the content {tile}; choose another name"
    )


# Zarr


@pytest.fixture
def store(tmp_path) -> Path:
    pytest.importorskip("zarr", reason="zarr is not installed")
    write_picture(LARGE, tmp_path / "x.zarr")
    return tmp_path / "x.zarr"


def test_an_earlier_store_is_replaced(store):
    write_picture(SOURCE, store)
    assert open_picture(store).size == SOURCE.size
    assert os.listdir(store.parent) == ["x.zarr"]


@pytest.mark.parametrize("kind", ["empty", "thesis", "file"])
def test_invalid_stores_are_refused(tmp_path, kind):
    pytest.importorskip("zarr", reason="zarr is not installed")
    path = tmp_path / "x.zarr"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
        if kind == "thesis":
            (path / "thesis").write_text("precious")
    assert refusal(path) == f"{path} exists and is not a Zarr store; choose another name"


@pytest.mark.parametrize("text", ["precious", "[]", '{"node_type": "thesis"}', "[" * 100_000])
def test_metadata_that_makes_no_sense(tmp_path, text):
    pytest.importorskip("zarr", reason="zarr is not installed")
    path = tmp_path / "x.zarr"
    path.mkdir()
    (path / "zarr.json").write_text(text)
    assert refusal(path) == (
        f"{path} exists, and {path / 'zarr.json'} is not part of a Zarr store; "
        "move it, or choose another name"
    )


@pytest.mark.parametrize(
    "foreign", ["thesis", "0/thesis", "0/c/0/thesis", "0/c/2024.txt", "2024/5", "letters/"]
)
def test_a_foreign_file_in_a_store(store, foreign):
    place = store / foreign
    place.parent.mkdir(exist_ok=True)
    place.mkdir() if foreign.endswith("/") else place.write_text("precious")
    shown = place.parent if foreign == "2024/5" else place
    message = refusal(store)
    assert message.startswith(f"{store} exists, and {shown}")
    assert message.endswith(" is not part of a Zarr store; move it, or choose another name")


def test_a_link_in_a_store(store, tmp_path):
    (tmp_path / "precious").mkdir()
    (store / "0" / "c" / "7").symlink_to(tmp_path / "precious")
    assert f"{store / '0' / 'c' / '7'} is not part of a Zarr store" in refusal(store)


def test_stores_of_others_are_stores(tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=(3, 90, 120), chunks=(3, 32, 32), dtype="uint8")[:] = 1
    nested = group.create_group("labels").create_array("a", shape=(4,), chunks=(1,), dtype="uint8")
    nested[:] = 1
    zarr.consolidate_metadata(str(tmp_path / "x.zarr"))
    write_picture(SOURCE, tmp_path / "x.zarr")
    assert open_picture(tmp_path / "x.zarr").size == SOURCE.size


@pytest.mark.parametrize("name", ["photo.png", "0/photo.png"])
def test_content_in_the_folder_of_the_result(tmp_path, name):
    pytest.importorskip("zarr", reason="zarr is not installed")
    (tmp_path / "x.zarr" / "0").mkdir(parents=True)
    photo = save_picture(tmp_path / "x.zarr" / name, SOURCE.pixels)
    assert refusal(tmp_path / "x.zarr", open_picture(photo)) == (
        f"output {tmp_path / 'x.zarr'} would replace the content {photo}; choose another name"
    )
    with pytest.raises(OutputError, match="would replace the content"):
        ZarrCanvas(tmp_path / "x.zarr", open_picture(photo), overwrite=True)


def test_content_that_is_part_of_the_store(store):
    picture = open_picture(store / "0")
    with pytest.raises(OutputError, match="would replace the content"):
        ZarrCanvas(store, picture, overwrite=True)
    assert "would replace the content" in refusal(store, picture)


@pytest.mark.parametrize("kind", ["folder", "finished store", "file", "link"])
def test_a_foreign_folder_under_the_name_of_an_unfinished_store(tmp_path, kind):
    pytest.importorskip("zarr", reason="zarr is not installed")
    unfinished = tmp_path / "x.zarr.unfinished"
    if kind == "finished store":
        write_picture(SOURCE, tmp_path / "y.zarr")
        (tmp_path / "y.zarr").rename(unfinished)
    elif kind == "file":
        unfinished.write_text("precious")
    else:
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "thesis").write_text("precious")
        if kind == "link":
            unfinished.symlink_to(tmp_path / "precious")
        else:
            (tmp_path / "precious").rename(unfinished)
    before = tree(tmp_path)
    for choice in IfInterrupted:
        with pytest.raises(OutputError) as caught:
            ZarrCanvas(tmp_path / "x.zarr", SOURCE, if_interrupted=choice)
        assert str(caught.value) == (
            f"{unfinished} exists and is not of an earlier run; move it, or choose another name"
        )
    assert tree(tmp_path) == before


def test_a_store_that_comes_during_a_run_stays(tmp_path):
    pytest.importorskip("zarr", reason="zarr is not installed")
    path = tmp_path / "x.zarr"
    canvas = ZarrCanvas(path, LARGE)
    with pytest.raises(OutputError, match=r"x\.zarr exists"), canvas:
        write_picture(SOURCE, path)
    assert open_picture(path).size == SOURCE.size


def test_a_url_with_other_things_behind_it():
    pytest.importorskip("zarr", reason="zarr is not installed")
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    with fsspec.open("memory://places/x.zarr/thesis", "wb") as file:
        file.write(b"precious")
    url = "memory://places/x.zarr"
    with pytest.raises(OutputError) as caught:
        ZarrCanvas(url, SOURCE, overwrite=True)
    assert str(caught.value) == f"{url} exists and is not a Zarr store; choose another name"
    with fsspec.open("memory://places/x.zarr/thesis", "rb") as file:
        assert file.read() == b"precious"


# Links and names


@pytest.mark.parametrize("ending", [".png", ".npy", ".zarr", ".dzi"])
def test_a_link_under_the_temporary_name_is_not_followed(tmp_path, monkeypatch, ending):
    if ending == ".zarr":
        pytest.importorskip("zarr", reason="zarr is not installed")
    work_file, folder = tmp_path / "work.tif", tmp_path / "results"
    folder.mkdir()
    with WorkFile.create(work_file, SOURCE) as work:
        work.write(Rectangle.of_size(SOURCE.size), SOURCE.pixels)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    # As another user of the folder might guess it.
    monkeypatch.setattr("secrets.token_hex", lambda _bytes=None: "00")
    link = folder / partial_name(folder / f"a{ending}")
    link.symlink_to(precious)
    with pytest.raises(OutputError) as caught:
        encode(work_file, folder / f"a{ending}", SOURCE)
    assert str(caught.value) == (
        f"{link}, the temporary name of {folder / f'a{ending}'}, exists; remove it"
    )
    assert precious.read_text() == "precious"


def test_temporary_names_cannot_be_guessed(tmp_path):
    names = {partial_name(tmp_path / f"a{ending}") for ending in (".png", ".png", ".dzi")}
    assert len(names) == 3
    assert all(is_partial_name(name) for name in names)
    assert not any(is_partial_name(name) for name in ("a.png", ".a.1-2.partial", ".a.partial.png"))


def test_other_inputs_are_not_replaced(store, tmp_path):
    style = save_picture(tmp_path / "style.png", stored_picture((9, 9)))
    check_apart(tmp_path / "new.png", "style", style)
    check_apart(store, "style", style)
    with pytest.raises(OutputError) as caught:
        check_apart(style, "style", style)
    assert str(caught.value) == f"output {style} is the style itself; choose another name"
    inside = save_picture(store / "mask.png", stored_picture((9, 9)))
    with pytest.raises(OutputError) as caught:
        check_apart(store, "mask", inside)
    assert str(caught.value) == (
        f"output {store} would replace the mask {inside}; choose another name"
    )


@pytest.mark.parametrize("name", ["a\0b.png", "a\udcff.png", "a\0b.zarr", "a\0b.dzi"])
def test_names_that_cannot_be(tmp_path, name):
    with pytest.raises(OutputError) as caught:
        check_output(tmp_path / name, SOURCE)
    rule = "a NUL" if "\0" in name else "bytes that are not Unicode"
    assert str(caught.value) == (
        f"{str(tmp_path / name)!r} has {rule} in its name; choose another name"
    )
    assert os.listdir(tmp_path) == []
