"""Paths stay inside ComfyUI's folders, and choices list their files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def folders(part):
    return part("nodes.folders")


OUTSIDE = [
    "../secret.png",
    "deep/../../secret.png",
    "..",
    "link.png",
    "links/secret.png",
    "circle/a.png",
    "null\0.png",
]


@pytest.fixture
def traps(base, tmp_path):
    """Files outside, and links to them in each of ComfyUI's folders."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    try:
        for kind in ("input", "output", "temp"):
            (base / kind / "link.png").symlink_to(tmp_path / "secret.png")
            (base / kind / "links").symlink_to(tmp_path, target_is_directory=True)
            (base / kind / "circle").symlink_to(base / kind / "circle")
    except OSError:
        pytest.skip("this system makes no links")
    return tmp_path


def test_choices_are_the_pictures_in_the_input_folder(folders, base):
    for name in ("b.png", "a.TIF", "c.jpg", "d.webp", "e.bmp", "notes.txt", "movie.mp4", "none"):
        (base / "input" / name).write_bytes(b"1")
    (base / "input" / "folder.png").mkdir()
    assert folders.picture_choices() == ["a.TIF", "b.png", "c.jpg", "d.webp"]


def test_no_choices_without_an_input_folder(folders, base):
    (base / "input").rmdir()
    assert folders.picture_choices() == []


def test_schemas_do_not_need_an_input_folder(nodes, base):
    (base / "input").rmdir()
    for node in nodes.values():
        assert node.define_schema().node_id


@pytest.mark.parametrize("kind", ["input", "output", "temp"])
def test_names_may_include_their_folder(folders, base, kind):
    path = base / kind / "sub" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"1")
    assert folders.picture_path(f"sub/a.png [{kind}]") == path
    assert folders.complaint_about(f"sub/a.png [{kind}]") is True


@pytest.mark.parametrize("suffix", ["", " [input]", " [output]", " [temp]"])
@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.usefixtures("traps")
def test_pictures_outside_are_refused(folders, errors, name, suffix):
    with pytest.raises(errors.ImageError, match=r"is outside the folder .*; put the file itself"):
        folders.picture_path(name + suffix)
    assert "is outside the folder" in folders.complaint_about(name + suffix)


def test_absolute_paths_are_refused_even_into_the_folder(folders, errors, traps, base):
    (base / "input" / "a.png").write_bytes(b"1")
    for path in (traps / "secret.png", base / "input" / "a.png"):
        with pytest.raises(errors.ImageError, match="is outside the folder"):
            folders.picture_path(str(path))


@pytest.mark.usefixtures("base")
def test_a_missing_picture_is_reported_with_its_folder(folders, errors):
    with pytest.raises(errors.ImageError, match=r"'gone\.png' is not in the folder .*input; put"):
        folders.picture_path("gone.png")
    assert "'gone.png' is not in the folder" in folders.complaint_about("gone.png")


def test_a_picture_from_another_node_is_looked_at_later(folders):
    assert folders.complaint_about(None) is True


def test_the_input_folder_itself_may_be_a_link(folders, host, base, tmp_path):
    (base / "input" / "a.png").write_bytes(b"1")
    (tmp_path / "linked").symlink_to(base, target_is_directory=True)
    host.base = tmp_path / "linked"
    assert folders.picture_path("a.png").read_bytes() == b"1"


def test_outputs_are_numbered_after_files_and_interrupted_runs(folders, base):
    output = base / "output" / "sub"
    numbered = folders.numbered_output("sub/a", (4, 6))
    assert numbered.path(".tif") == output / "a_00001_.tif"
    (output / "a_00003_.tif").write_bytes(b"1")
    for name in ("a_00007_.tif", "a_00002_.tif", "a_00009_.png", "b_00011_.tif", "a_x_.tif"):
        (output / f".{name}.urst").mkdir()
    numbered = folders.numbered_output("sub/a", (4, 6))
    assert numbered.path(".tif") == output / "a_00008_.tif"
    assert numbered.path(".jpg") == output / "a_00004_.jpg"
    assert numbered.interrupted(".tif") == [output / "a_00007_.tif", output / "a_00002_.tif"]


def test_extensions_of_all_formats_are_left_out_of_numbered_names(folders):
    names = ("a", "a.v2", "sub/a.JPEG", "a.tif", ".tif")
    assert [folders.without_ending(n) for n in names] == ["a", "a.v2", "sub/a", "a", ".tif"]


def test_results_are_named_as_the_page_asks_for_them(folders, base):
    view = folders.view_of(base / "output" / "sub" / "deep" / "a.tif")
    assert view == {"filename": "a.tif", "subfolder": "sub/deep", "type": "output"}
    assert folders.view_of(base / "output" / "a.tif")["subfolder"] == ""


@pytest.mark.parametrize("name", [*OUTSIDE, "/absolute/a.png"])
def test_outputs_outside_are_refused_and_not_created(folders, errors, traps, name):
    before = sorted(traps.iterdir())
    with pytest.raises(errors.OutputError, match=r"is outside the folder .*; give a name inside"):
        folders.check_output_prefix(name)
    with pytest.raises(errors.OutputError, match=r"is outside the folder .*; give a name inside"):
        folders.numbered_output(name, (4, 4))
    assert sorted(traps.iterdir()) == before


def test_replaced_parts_of_a_prefix_are_checked_too(folders, errors, traps, base):
    (base / "output" / "2024").symlink_to(traps, target_is_directory=True)
    with pytest.raises(errors.OutputError, match=r"'%year%/a' is outside the folder"):
        folders.numbered_output("%year%/a", (4, 4))


@pytest.mark.parametrize("name", ["", "  ", "sub/"])
@pytest.mark.usefixtures("base")
def test_an_output_needs_a_name(folders, errors, name):
    with pytest.raises(
        errors.OutputError, match=r"has no file name; give one, for example urst/painted"
    ):
        folders.numbered_output(name, (4, 4))


def test_a_folder_that_cannot_be_created_is_reported(folders, errors, base):
    (base / "output" / "file").write_bytes(b"1")
    with pytest.raises(
        errors.OutputError, match=r"the folder of output 'file/a' cannot be created .*choose"
    ):
        folders.numbered_output("file/a", (4, 4))


def test_fingerprint_changes_with_the_file(folders, base):
    path = Path(base / "input" / "a.png")
    path.write_bytes(b"1")
    first = folders.fingerprint(path)
    assert folders.fingerprint(path) == first
    os.utime(path, (1, 1))
    assert folders.fingerprint(path) != first
