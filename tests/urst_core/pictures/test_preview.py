"""urst_core.pictures.preview: a small copy, made from parts."""

from __future__ import annotations

import pytest
import torch
from examples import picture, stored_picture

from urst_core.errors import OutputError
from urst_core.formats.work_file import WorkFile
from urst_core.geometry import Rectangle, cut
from urst_core.pictures.preview import LayeredPreview, Preview, SampledPreview
from urst_core.pictures.source import TensorSource, to_unit
from urst_core.runs.checked_pixels import CheckedPixels
from urst_core.runs.interrupted_preview import add_finished_cores
from urst_core.runs.journal import Journal
from urst_core.runs.record import RunRecord
from urst_core.runs.work_folder import WorkFolder


def preview_in_parts(pixels, longest_side, edge):
    preview = Preview(tuple(pixels.shape[1:]), longest_side)
    for part in cut(Rectangle.of_size(preview.size), edge):
        preview.add(part, pixels[(..., *part.slices)])
    return preview


@pytest.mark.slow
@pytest.mark.parametrize("size", [(120, 200), (97, 41), (1, 300), (300, 1)])
def test_parts_do_not_show(size):
    pixels = picture(size, seed=4)
    whole = preview_in_parts(pixels, 37, 1000).pixels
    assert max(whole.shape[1:]) == 37
    for edge in (7, 64):
        in_parts = preview_in_parts(pixels, 37, edge).pixels
        torch.testing.assert_close(in_parts, whole, rtol=0, atol=1e-5)


def test_a_preview_pixel_is_the_mean_of_its_area():
    pixels = picture((60, 90), seed=4)
    expected = torch.nn.functional.avg_pool2d(pixels, 3)
    torch.testing.assert_close(preview_in_parts(pixels, 30, 16).pixels, expected)


def test_small_pictures_stay_and_alpha_is_left_out():
    pixels = stored_picture((20, 30), torch.uint16, channels=4)
    preview = preview_in_parts(pixels, 64, 8).pixels
    torch.testing.assert_close(preview, to_unit(pixels[:3]), rtol=0, atol=1e-6)


def test_unfinished_parts_are_black():
    preview = Preview((64, 64), 16)
    preview.add(Rectangle(0, 0, 32, 80), torch.ones(3, 32, 64))
    assert preview.pixels[:, 8:].count_nonzero() == 0
    assert preview.pixels[:, :8].min() > 0.99


def test_finished_cores_of_an_earlier_run_are_shown(tmp_path):
    content = TensorSource(stored_picture((70, 90), seed=5))
    folder = WorkFolder(tmp_path / "out.tif")
    folder.path.mkdir()
    RunRecord({}, (72, 96), 32, threads=1).save(folder.path / "run.json")
    finished, unfinished = Rectangle(64, 64, 72, 96), Rectangle(0, 0, 32, 32)
    with WorkFile.create(folder.pixels, content) as work:
        pixels = CheckedPixels(work)
        for core in (finished, unfinished):
            inside = core.clipped(content.size)
            pixels.write(inside, content.read(inside))
        journal = Journal(folder.journal, pixels)
        journal.add_core(finished)
        journal.add_core(Rectangle(70, 0, 72, 32))
        journal.save()
        journal.close()
    preview = Preview(content.size, 90)
    add_finished_cores(preview, folder, content)
    expected = torch.zeros(3, 70, 90)
    expected[:, 64:, 64:] = to_unit(content.pixels)[:, 64:, 64:]
    torch.testing.assert_close(preview.pixels, expected, rtol=0, atol=1e-6)
    other = TensorSource(stored_picture((70, 91)))
    with pytest.raises(OutputError, match="is not that of a picture of 70 x 91 px"):
        add_finished_cores(Preview(other.size, 90), folder, other)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(120, 200), (97, 41), (1, 300), (400, 37), (20, 30)])
@pytest.mark.parametrize("edge", [7, 64, 1000])
@pytest.mark.parametrize("samples", [1, 2, 4])
def test_a_sampled_preview_takes_a_few_pixels(size, edge, samples):
    pixels = picture(size, seed=4)
    sampled, whole = SampledPreview(size, 37, samples=samples), Preview(size, 37)
    for part in cut(Rectangle.of_size(size), edge):
        sampled.add(part, pixels[(..., *part.slices)])
        whole.add(part, pixels[(..., *part.slices)])
    assert max(sampled.pixels.shape[1:]) <= 37
    step = -(-max(size) // (37 * samples))
    expected = preview_in_parts(pixels[:, ::step, ::step], 37, 1000).pixels
    torch.testing.assert_close(sampled.pixels, expected, rtol=0, atol=1e-5)
    if step == 1:
        torch.testing.assert_close(sampled.pixels, whole.pixels, rtol=0, atol=1e-5)


def test_a_sampled_preview_of_parts_beyond_the_picture():
    sampled = SampledPreview((30, 30), 10)
    sampled.add(Rectangle(0, 16, 32, 32), torch.ones(3, 30, 14))
    sampled.add(Rectangle(31, 0, 32, 16), torch.ones(3, 1, 16))
    assert sampled.pixels[:, :, 6:].min() > 0.99
    assert sampled.pixels[:, :, :5].count_nonzero() == 0


def test_finer_layers_are_painted_over_coarser_ones():
    preview = LayeredPreview((80, 120), 60)
    assert preview.pixels.shape == (3, 40, 60)
    coarse, fine = torch.full((3, 20, 30), 0.25), torch.full((3, 80, 60), 0.75)
    preview.add(Rectangle(0, 0, 20, 30), coarse, (20, 30))
    assert torch.allclose(preview.pixels, torch.tensor(0.25))
    preview.add(Rectangle(0, 0, 80, 60), fine)
    assert torch.allclose(preview.pixels[:, :, :30], torch.tensor(0.75))
    assert torch.allclose(preview.pixels[:, :, 30:], torch.tensor(0.25))
    preview.add(Rectangle(0, 60, 80, 120), fine, (80, 120))
    assert torch.allclose(preview.pixels, torch.tensor(0.75))
