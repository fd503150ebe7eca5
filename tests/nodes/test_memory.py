"""nodes.memory: any device and memory that ComfyUI reports, all of it released."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from examples import picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
SIZE = (120, 200)

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def management(part):
    """The stand-in of comfy.model_management."""
    return part("nodes.memory").model_management


@pytest.fixture
def backbone(nodes):
    [loaded] = nodes["URSTLoadBackbone"].execute(
        backbone="microast", weights="built-in", precision="auto", device="auto"
    )
    return loaded


def image(size=SIZE, *, seed=1, dtype=torch.float32):
    return picture(size, seed=seed).permute(1, 2, 0).unsqueeze(0).to(dtype)


@pytest.fixture
def stylize(nodes, backbone):
    def run(content=None, **inputs):
        given = {"tile_size": 64, "strokes": 1.0, **LOOK, **inputs}
        content = image() if content is None else content
        [result] = nodes["URSTStylizeImage"].execute(
            backbone=backbone, style=image(seed=2), content=content, **given
        )
        return result

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["privateuseone", "xpu", "hpu"])
def test_devices_without_support_fall_back_to_the_cpu(stylize, host, caplog, kind):
    expected = stylize()
    host.device = torch.device(kind, 0)
    assert torch.equal(stylize(), expected)
    assert set(host.freed_devices) == {torch.device("cpu")}
    assert f"device {kind}:0 is not supported; computing on the CPU" in caplog.text


@pytest.mark.parametrize(
    ("device", "available"),
    [("mps", torch.backends.mps.is_available()), ("cuda:9", torch.cuda.device_count() > 9)],
)
def test_a_device_that_is_not_there_after_all_is_named(stylize, part, host, device, available):
    if available:
        pytest.skip(f"{device} is there")
    host.device = torch.device(device)
    with pytest.raises(part("urst_core.errors").DeviceError, match=f"device '{device}' is not av"):
        stylize()
    assert host.emptied == len(host.freed_bytes)


@pytest.mark.slow
def test_images_go_where_comfyui_keeps_them(stylize, nodes, backbone, host):
    """As with --gpu-only; meta tensors hold nothing, but know where they are."""
    elsewhere = host.intermediate = torch.device("meta")
    assert stylize().device == elsewhere
    stats, preview = nodes["URSTMakeThumbnailStats"].execute(
        backbone=backbone, content=image(), style=image(seed=2), **LOOK
    )
    tiles, _ = nodes["URSTTileImage"].execute(image=image(), tile_size=64, backbone=backbone)
    [windows] = nodes["URSTStylizePatches"].execute(backbone=backbone, stats=stats, tiles=image())
    assert preview.device == tiles.device == windows.device == elsewhere


@pytest.mark.slow
def test_half_precision_between_nodes(stylize, nodes, backbone, management, monkeypatch):
    """As with --fp16-intermediates, in versions that have it."""
    expected = stylize()
    assert expected.dtype == torch.float32
    monkeypatch.setattr(management, "intermediate_dtype", lambda: torch.float16, raising=False)
    content = image()
    before = content.half()
    result = stylize(before)
    assert result.dtype == torch.float16
    assert float((result.float() - expected).abs().max()) < 0.02
    assert torch.equal(before, content.half())
    tiles, layout = nodes["URSTTileImage"].execute(image=before, tile_size=64, backbone=backbone)
    stats, preview = nodes["URSTMakeThumbnailStats"].execute(
        backbone=backbone, content=before, style=image(seed=2).half(), **LOOK
    )
    [windows] = nodes["URSTStylizePatches"].execute(backbone=backbone, stats=stats, tiles=tiles)
    [joined] = nodes["URSTAssembleTiles"].execute(tiles=windows, layout=layout, feather=0)
    kinds = {tensor.dtype for tensor in (tiles, preview, windows, joined)}
    assert kinds == {torch.float16}
    assert float((joined.float() - expected).abs().max()) < 0.02


def test_a_picture_in_half_precision_is_widened_where_it_is_read(part):
    half = image().half()
    [source] = part("nodes.convert").sources_of(half)
    rectangle = part("urst_core.geometry").Rectangle(3, 5, 20, 9)
    assert source.pixels.untyped_storage().data_ptr() == half.untyped_storage().data_ptr()
    read = source.read(rectangle)
    assert source.dtype == read.dtype == torch.float32
    assert torch.equal(read, half[0, 3:20, 5:9].permute(2, 0, 1).float())


@pytest.mark.slow
def test_all_that_will_be_needed_is_asked_for(stylize, backbone, host):
    stylize(tile_size=64)
    traits, network = backbone.backbone.traits, backbone.backbone.network
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    window = min(64 + 2 * traits.halo, 120) * min(64 + 2 * traits.halo, 200)
    result = 120 * 200 * 3 * 4
    assert host.freed_bytes == [window * traits.bytes_per_pixel + weights + result]
    host.intermediate = torch.device("meta")
    stylize(tile_size=64)
    assert host.freed_bytes[0] - host.freed_bytes[1] == result


@pytest.mark.slow
def test_windows_of_levels_are_larger(part, backbone):
    """Or a GPU would have too little memory made free for large strokes."""
    memory, settings = part("nodes.memory"), part("urst_core.tiling.settings").Settings
    traits = backbone.backbone.traits
    chosen = {"thumbnail_size": 256, "tile_size": 64}
    fine, *_ = memory.run_areas(backbone, (1000, 1000), [], settings(strokes="fine", **chosen))
    large, *_ = memory.run_areas(backbone, (1000, 1000), [], settings(**chosen))
    assert fine == (64 + 2 * traits.halo,) * 2
    assert large[0] >= fine[0] + 2 * traits.stride
    assert large[0] % traits.stride == 0


class Interrupt(BaseException):
    """ComfyUI's may become one."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RuntimeError, Interrupt])
def test_working_memory_is_released_before_the_cache_is_emptied(
    stylize, part, host, monkeypatch, kind
):
    work, alive = [], []
    stylizer = part("urst_core.tiling.stylize_tile").TileStylizer
    begin = stylizer.__init__

    def remember(self, *args, **options):
        work.append(weakref.ref(self))
        begin(self, *args, **options)

    monkeypatch.setattr(stylizer, "__init__", remember)
    host.at_empty = lambda: alive.extend(ref for ref in work if ref() is not None)
    host.cancelled, host.cancel_at = kind, 3
    gc.disable()
    try:
        with pytest.raises(kind):
            stylize()
    finally:
        gc.enable()
    assert len(work) == host.emptied == 1
    assert alive == []
    host.cancel_at = None
    assert float(stylize().std()) > 0


def test_causes_of_an_error_are_released_too(part, backbone, host):
    held, alive = [], []

    def fail(error, cause=None):
        pixels = torch.zeros(3)
        held.append(weakref.ref(pixels))
        raise error from cause

    def fail_twice():
        try:
            fail(ValueError("first"))
        except ValueError as error:
            fail(RuntimeError("second"), error)

    host.at_empty = lambda: alive.extend(ref() for ref in held)
    with (
        pytest.raises(RuntimeError, match="second"),
        part("nodes.memory").working_memory(backbone, SIZE),
    ):
        fail_twice()
    assert alive == [None, None]
