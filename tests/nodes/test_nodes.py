"""The nodes with the stub: the same graphs as in ComfyUI, without a server."""

from __future__ import annotations

import os

import pytest
import torch

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
INNER_WINDOW = (186, 190)
"""The smallest size with a window of a tile of 64 px that does not touch the border."""

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def backbone(call):
    """As a new graph has it."""
    [loaded] = call(
        "LoadBackbone", backbone="microast", weights="built-in", precision="auto", device="auto"
    )
    return loaded


def picture(height: int, width: int, *, seed: int, channels: int = 3) -> torch.Tensor:
    """Soft random colors, so that networks see something like a picture."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, height // 8 + 2, width // 8 + 2, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return fine.permute(0, 2, 3, 1).contiguous()


def five_nodes(call, backbone, content, style, *, tile_size=64, **look):
    stats, preview = call(
        "MakeThumbnailStats", backbone=backbone, content=content, style=style, **(LOOK | look)
    )
    tiles, layout = call("TileImage", image=content, tile_size=tile_size, backbone=backbone)
    [stylized] = call("StylizePatches", backbone=backbone, stats=stats, tiles=tiles)
    [image] = call("AssembleTiles", tiles=stylized, layout=layout, feather=0)
    return image, preview


def test_values_of_sockets_take_one_line_in_errors(call, backbone):
    """ComfyUI prints all inputs of a node that fails."""
    content = picture(64, 96, seed=1)
    stats, _ = call("MakeThumbnailStats", backbone=backbone, content=content, style=content, **LOOK)
    _, layout = call("TileImage", image=content, tile_size=64, backbone=backbone)
    _, level = call("JoinDetail", image=content, strokes=2.0, thumbnail_size=64)
    [region] = call("StyleRegion", style=content, mask=content[..., 0])
    for value in (backbone, stats, layout, level, region):
        assert len(repr(value)) < 100
        assert "tensor(" not in repr(value)
    assert repr(backbone).startswith("Backbone(microast, weights ")
    assert repr(layout) == "Layout(2 windows of 96 x 64 px of 96 x 64)"


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(INNER_WINDOW, marks=pytest.mark.slow),
        (37, 41),
        pytest.param((8, 500), marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("look", [{}, {"strength": 0.5}, {"statistics": "exact"}], ids=str)
def test_five_nodes_equal_the_one(call, backbone, size, look):
    content, style = picture(*size, seed=1), picture(90, 70, seed=2)
    before = content.clone(), style.clone()
    five, preview = five_nodes(call, backbone, content, style, **look)
    [one] = call(
        "StylizeImage",
        backbone=backbone,
        content=content,
        style=style,
        tile_size=96,
        **(LOOK | look),
    )
    assert five.shape == one.shape == (1, *size, 3)
    assert five.dtype == one.dtype == preview.dtype == torch.float32
    # Exact statistics are sums over tiles, and the two graphs may choose other tiles for them.
    tolerance = 1e-4 if "statistics" in look else 1e-5
    torch.testing.assert_close(five, one, rtol=0, atol=tolerance)
    assert max(preview.shape[1:3]) == min(64, max(size))
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])


@pytest.mark.slow
def test_alpha_passes_through_windows_and_the_streaming_node(call, backbone):
    content, style = picture(100, 150, seed=1, channels=4), picture(64, 64, seed=2)
    five, preview = five_nodes(call, backbone, content, style)
    [one] = call(
        "StylizeImage", backbone=backbone, content=content, style=style, tile_size=0, **LOOK
    )
    assert preview.shape[-1] == 3
    assert torch.equal(five[..., 3], content[..., 3])
    assert torch.equal(one[..., 3], content[..., 3])
    torch.testing.assert_close(five, one, rtol=0, atol=1e-5)


def test_pictures_of_a_batch_do_not_influence_each_other(call, backbone):
    first, second = picture(80, 96, seed=1), picture(80, 96, seed=3)
    style = picture(64, 64, seed=2)
    inputs = {"backbone": backbone, "style": style, "tile_size": 0, **LOOK}
    [both] = call("StylizeImage", content=torch.cat([first, second]), **inputs)
    [alone] = call("StylizeImage", content=second, **inputs)
    assert torch.equal(both[1:], alone)


def test_a_second_style_of_full_weight_is_that_style_alone(call, backbone):
    content, first, second = (picture(64, 64, seed=seed) for seed in (1, 2, 3))
    inputs = {"backbone": backbone, "content": content, "tile_size": 0, **LOOK}
    [mixed] = call("StylizeImage", style=first, style_2=second, style_2_weight=1.0, **inputs)
    [alone] = call("StylizeImage", style=second, **inputs)
    torch.testing.assert_close(mixed, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("feather", [0, 16])
def test_windows_scaled_between_cut_and_join_make_a_larger_picture(call, feather):
    image = picture(100, 140, seed=1)
    tiles, layout = call("TileImage", image=image, tile_size=64, halo=16, stride=8)
    larger = tiles.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    [joined] = call("AssembleTiles", tiles=larger, layout=layout, feather=feather)
    expected = image.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    torch.testing.assert_close(joined, expected, rtol=0, atol=1e-6 if feather else 0)


@pytest.mark.slow
def test_memory_is_asked_for_and_given_back_and_progress_ends_at_the_total(call, backbone, host):
    content, style = picture(120, 200, seed=1), picture(64, 64, seed=2)
    five_nodes(call, backbone, content, style)
    assert len(host.freed_bytes) == host.emptied == 2
    assert min(host.freed_bytes) > 0
    shares = [value / total for value, total in host.progress]
    measured = shares.index(1.0) + 1
    for node in (shares[:measured], shares[measured:]):
        assert node == sorted(node)
        assert (node[0], node[-1]) == (0.0, 1.0)
    host.progress.clear()
    contents = torch.cat([content, content])
    call("StylizeImage", backbone=backbone, content=contents, style=style, tile_size=64, **LOOK)
    shares = [value / total for value, total in host.progress]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) == 1 + 2 * 2 * 4


@pytest.mark.slow
def test_cancel_ends_the_run_and_gives_memory_back(call, backbone, host):
    content, style = picture(120, 200, seed=1), picture(64, 64, seed=2)
    inputs = {"backbone": backbone, "content": content, "style": style, "tile_size": 64, **LOOK}
    host.cancel_at = 3
    with pytest.raises(host.cancelled):
        call("StylizeImage", **inputs)
    assert host.emptied == 1
    host.cancel_at = None
    call("StylizeImage", **inputs)


def test_refusals_name_the_remedy(call, backbone, errors):
    batch, style = torch.cat([picture(64, 64, seed=1)] * 2), picture(64, 64, seed=2)
    with pytest.raises(errors.ShapeError, match="batch of 2; pick one with ImageFromBatch"):
        call("TileImage", image=batch, tile_size=64, backbone=backbone)
    with pytest.raises(errors.ShapeError, match="Make Thumbnail Stats takes one picture"):
        call("MakeThumbnailStats", backbone=backbone, content=batch, style=style, **LOOK)
    with pytest.raises(errors.SettingsError, match="MicroAST's stride 4; use 60 or 64"):
        call("TileImage", image=style, tile_size=62, backbone=backbone)
    unknown = "'median' are unknown; use thumbnail, exact or local"
    with pytest.raises(errors.SettingsError, match=unknown):
        call(
            "MakeThumbnailStats",
            backbone=backbone,
            content=style,
            style=style,
            **(LOOK | {"statistics": "median"}),
        )
    stats, _ = call("MakeThumbnailStats", backbone=backbone, content=style, style=style, **LOOK)
    with pytest.raises(errors.ShapeError, match=r"windows of 63 x 64 px.*stride 4; cut them"):
        call("StylizePatches", backbone=backbone, stats=stats, tiles=style[:, :63])
    broken = style.clone()
    broken[0, 5, 6, 0] = float("nan")
    with pytest.raises(errors.ImageError, match=r"window 1: pixel at row 5, column 6 is NaN"):
        call("StylizePatches", backbone=backbone, stats=stats, tiles=torch.cat([style, broken]))


def test_weights_are_found_by_name_and_changes_are_noticed(nodes, host, tmp_path, errors):
    load = nodes["URSTLoadBackbone"]
    host.folder = tmp_path
    (tmp_path / "mine.safetensors").write_bytes(b"1")
    (tmp_path / "notes.txt").write_bytes(b"1")
    weights = next(s for s in load.define_schema().inputs if s.id == "weights")
    assert weights.values["options"] == ["built-in", "mine.safetensors"]
    inputs = {"backbone": "microast", "precision": "auto", "device": "auto"}
    first = load.fingerprint_inputs(weights="mine.safetensors", **inputs)
    assert first == load.fingerprint_inputs(weights="mine.safetensors", **inputs)
    os.utime(tmp_path / "mine.safetensors", (1, 1))
    assert first != load.fingerprint_inputs(weights="mine.safetensors", **inputs)
    assert load.fingerprint_inputs(weights="built-in", **inputs) == "built-in"
    with pytest.raises(errors.WeightsError, match=r"'gone\.safetensors' are not in .*models/urst"):
        load.execute(weights="gone.safetensors", **inputs)


def test_devices_that_the_engine_lacks_fall_back_to_the_cpu(part, host, caplog):
    device_of = part("nodes.host").device_of
    host.device = torch.device("cuda", 1)
    assert device_of("auto") == torch.device("cuda", 1)
    assert device_of("cpu") == torch.device("cpu")
    host.device = torch.device("xpu", 0)
    assert device_of("auto") == torch.device("cpu")
    assert "xpu:0 is not supported; computing on the CPU" in caplog.text


def test_another_strength_encodes_nothing_again(call, backbone, part, monkeypatch):
    network = part("urst_core.backbones.microast").MicroAST
    encoded = []
    for name in ("style_code", "content_features"):
        real = getattr(network, name)

        def counting(*values, name=name, real=real):
            encoded.append(name)
            return real(*values)

        monkeypatch.setattr(network, name, counting)
    content, style = picture(48, 64, seed=1), picture(40, 56, seed=2)

    def stylized(strength):
        look = LOOK | {"strength": strength, "strokes": "fine", "brushwork": 0.0}
        [image] = call(
            "StylizeImage", backbone=backbone, content=content, style=style, tile_size=0, **look
        )
        return image

    faint = stylized(0.4)
    assert sorted(encoded) == ["content_features", "style_code", "style_code"]
    assert not torch.equal(stylized(0.8), faint)
    assert torch.equal(stylized(0.4), faint)
    assert len(encoded) == 3
