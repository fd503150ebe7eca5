"""nodes.progress: the bar advances to its end, and the live preview fills up."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from examples import picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0}
SIZE = (72, 200)

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def backbone(call):
    """As a new graph has it."""
    [loaded] = call(
        "LoadBackbone", backbone="microast", weights="built-in", precision="auto", device="auto"
    )
    return loaded


@pytest.fixture
def always(part, monkeypatch):
    """Previews at every step."""
    monkeypatch.setattr(part("nodes.progress"), "SECONDS_BETWEEN_PREVIEWS", 0.0)


def image(size=SIZE, *, seed=1):
    return picture(size, seed=seed).permute(1, 2, 0).unsqueeze(0)


def looks(host) -> list[torch.Tensor]:
    """The previews, (h, w, 3), 0..1."""
    found = []
    for kind, shown, longest in host.previews:
        assert (kind, longest) == ("JPEG", None)
        assert max(shown.size) <= 1024
        pixels = torch.tensor(list(shown.tobytes()), dtype=torch.float32)
        found.append(pixels.reshape(shown.height, shown.width, 3) / 255)
    return found


def filled(look) -> float:
    return float((look.sum(-1) > 0).float().mean())


def shares_of(host) -> list[float]:
    return [value / total for value, total in host.progress]


@pytest.mark.slow
@pytest.mark.usefixtures("always")
def test_stylize_image_shows_the_picture_fill(call, backbone, host):
    inputs = {"backbone": backbone, "style": image(seed=2), "statistics": "thumbnail", **LOOK}
    contents = torch.cat([image(), image(seed=3)])
    [result] = call("StylizeImage", content=contents, tile_size=64, **inputs)
    shown = looks(host)
    fills = [filled(look) for look in shown]
    half = len(fills) // 2
    for picture_fills, look, expected in (
        (fills[:half], shown[half - 1], result[0]),
        (fills[half:], shown[-1], result[1]),
    ):
        assert picture_fills == sorted(picture_fills)
        assert picture_fills[0] < 0.3
        assert float((look - expected).abs().max()) <= 0.51 / 255 + 1e-4


@pytest.mark.usefixtures("always")
def test_passes_of_exact_statistics_show_the_content(call, backbone, host):
    content = image()
    inputs = {"backbone": backbone, "content": content, "style": image(seed=2), **LOOK}
    call("MakeThumbnailStats", statistics="exact", **inputs)
    shares = shares_of(host)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    sites = len(backbone.backbone.network.site_names)
    passes = sites + 1
    assert {round(share * passes, 6) for share in shares} >= set(range(passes))
    shown = looks(host)
    assert len(shown) >= sites
    assert all(float((look - content[0]).abs().max()) <= 0.51 / 255 for look in shown[:sites])


@pytest.mark.slow
@pytest.mark.usefixtures("always")
def test_stylize_patches_shows_each_window(call, backbone, host):
    content = image()
    stats, _ = call(
        "MakeThumbnailStats",
        backbone=backbone,
        content=content,
        style=image(seed=2),
        statistics="thumbnail",
        **LOOK,
    )
    tiles, _ = call("TileImage", image=content, tile_size=64, backbone=backbone)
    host.previews.clear()
    [windows] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
    shown = looks(host)
    assert len(shown) == len(windows) > 4
    for look, window in zip(shown, windows):
        assert float((look - window).abs().max()) <= 0.51 / 255 + 1e-4


@pytest.mark.slow
@pytest.mark.usefixtures("always")
def test_saving_and_loading_show_the_picture(call, host, base):
    content = image((300, 1300))
    options = {"file_format": "TIFF", "quality": 90, "bits": "8"}
    [path] = call("SaveImage", images=content, filename_prefix="a", **options)
    assert host.previews[-1][1].size == (650, 150)
    assert filled(looks(host)[-1]) == 1.0
    host.previews.clear()
    shutil.copy(path, base / "input")
    call("LoadImage", image=os.path.basename(path))
    assert filled(looks(host)[-1]) == 1.0
    assert shares_of(host)[-1] == 1.0


@pytest.mark.slow
def test_previews_come_once_a_second(call, backbone, host, part, monkeypatch):
    """Over all pictures of a node together."""
    now = [100.0]

    def later():
        now[0] += 0.125
        return now[0]

    monkeypatch.setattr(part("nodes.progress").time, "monotonic", later)
    contents = torch.cat([image()] * 3)
    inputs = {"backbone": backbone, "style": image(seed=2), "statistics": "thumbnail", **LOOK}
    call("StylizeImage", content=contents, tile_size=64, **inputs)
    steps = sum(1 for _ in host.progress)
    assert 2 <= len(host.previews) <= steps / 8 + 1


def test_a_large_picture_can_be_cancelled_before_its_first_tile(
    call, backbone, host, part, monkeypatch
):
    monkeypatch.setattr(part("urst_core.pictures.thumbnail"), "BAND_PIXELS", 4000)
    host.cancel_at = 2
    inputs = {"backbone": backbone, "style": image(seed=2), "statistics": "thumbnail", **LOOK}
    with pytest.raises(host.cancelled):
        call("StylizeImage", content=image(), tile_size=64, **inputs)
    assert [value for value, _ in host.progress] == [0, 0]
    assert host.previews == []


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("started_with", "shows"),
    [([], True), (["--preview-method", "none"], False), (["--preview-method=none"], False)],
)
def test_previews_can_be_turned_off(call, backbone, host, monkeypatch, started_with, shows):
    """``none`` is also the default, which only stops the previews of samplers."""
    monkeypatch.setattr("sys.argv", ["main.py", *started_with])
    call("StylizeImage", backbone=backbone, content=image((64, 64)), style=image(), tile_size=64,
         statistics="thumbnail", **LOOK)  # fmt: skip
    assert bool(host.previews) == shows
