"""The whole method: results and behavior."""

from __future__ import annotations

import pytest
import torch
from examples import picture

from urst_core.errors import DeviceError, ImageError, SettingsError, ShapeError, WeightsError
from urst_core.geometry import Rectangle, tile_around
from urst_core.method.pipeline import stylize
from urst_core.method.run import Run
from urst_core.networks.sites import collect
from urst_core.networks.tile_network import TileNetwork
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.pictures.thumbnail import make_thumbnail
from urst_core.tiling.device import is_out_of_memory
from urst_core.tiling.settings import Settings
from urst_core.weights.checkpoint import build_backbone

CONTENT = TensorSource(picture((200, 264)))
SMALL = TensorSource(picture((104, 136)))
STYLE = TensorSource(picture((96, 120), seed=3))


def run(backbone, content=CONTENT, styles=(STYLE,), *, listener=None, **settings):
    canvas = TensorCanvas(content.size, channels=content.channels, dtype=content.dtype)
    options = Settings(**{"thumbnail_size": 128, "tile_size": 64, "strokes": "fine", **settings})
    extra = {} if listener is None else {"listener": listener}
    stylize(content, list(styles), canvas, backbone, options, **extra)
    return canvas.pixels


@pytest.mark.slow
@pytest.mark.parametrize("name", ["microast", "adain"])
def test_thumbnail_as_the_only_tile_is_plain_instance_normalization(name, random_backbones):
    backbone = random_backbones[name]
    content = TensorSource(picture((64, 96)))
    whole = content.pixels.unsqueeze(0)
    with torch.inference_mode():
        code = backbone.encode_style([make_thumbnail(STYLE, 0)])
        _, plain = collect(backbone.network.stages(whole, code))
    stylized = run(backbone, content, thumbnail_size=0, tile_size=4096)
    assert float((stylized - plain[0].clamp(0, 1)).abs().max()) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("microast", (67, 131)),
        ("microast", (9, 13)),
        pytest.param("adain", (35, 99), marks=pytest.mark.slow),
        ("adain", (9, 13)),
    ],
)
def test_exact_statistics_reproduce_the_untiled_method(name, size, microast, random_backbones):
    """Tile by tile, against the network normalizing the whole (framed) image at once.

    Not at 1 x 1: a picture without any variance leaves only rounding errors, which the published
    method divides by sqrt(eps); no two ways to compute it agree there.
    """
    backbone = microast if name == "microast" else random_backbones[name]
    content = TensorSource(picture(size))
    with torch.inference_mode():
        code = backbone.encode_style([make_thumbnail(STYLE, 0)])
        height, width = backbone.traits.frame_of(size)
        rows = torch.arange(height).clamp(max=size[0] - 1)
        columns = torch.arange(width).clamp(max=size[1] - 1)
        framed = content.pixels[:, rows][:, :, columns].unsqueeze(0)
        _, plain = collect(backbone.network.stages(framed, code))
    plain = plain[0, :, : size[0], : size[1]].clamp(0, 1)
    stylized = run(backbone, content, stats="exact", thumbnail_size=64)
    assert float((stylized - plain).abs().max()) <= 1e-4
    if max(size) > 64:
        # A thumbnail is an approximation: were the two the same, this test would show nothing.
        assert float((run(backbone, content, thumbnail_size=64) - plain).abs().max()) > 1e-3


@pytest.mark.slow
def test_interleaved_runs_equal_separate_ones(microast):
    """No state: a listener of one run makes another run in the middle of it."""
    other = TensorSource(picture((72, 88), seed=7))
    alone, other_alone = run(microast, SMALL), run(microast, other, styles=[SMALL])
    inside = []

    def interrupt_with_other(progress):
        if progress.tiles_done == 3:
            inside.append(run(microast, other, styles=[SMALL]))

    interleaved = run(microast, SMALL, listener=interrupt_with_other)
    assert torch.equal(interleaved, alone)
    assert torch.equal(inside[0], other_alone)


@pytest.mark.slow
def test_inputs_are_never_changed(microast):
    content, style = picture((72, 88), channels=4), picture((64, 64), seed=2)
    weights = [value.clone() for value in microast.network.state_dict().values()]
    copies = content.clone(), style.clone()
    run(microast, TensorSource(content), [TensorSource(style)], strength=0.5)
    run(microast, TensorSource(content), [TensorSource(style)], stats="exact")
    assert torch.equal(content, copies[0])
    assert torch.equal(style, copies[1])
    for before, after in zip(weights, microast.network.state_dict().values()):
        assert torch.equal(before, after)


@pytest.mark.slow
def test_strength_zero_is_the_content_and_every_value_between_is_sane(microast):
    full = run(microast, SMALL, strength=1.0, tile_size=512)
    distances = []
    for strength in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        stylized = run(microast, SMALL, strength=strength, tile_size=512)
        assert bool(stylized.isfinite().all())
        error = (stylized - SMALL.pixels).square().mean()
        distances.append(float(error))
        # Between content and full style, no channel mean may leave the span of the two by much.
        means = torch.stack([p.mean((1, 2)) for p in (SMALL.pixels, full)])
        mean = stylized.mean((1, 2))
        assert bool((mean > means.amin(0) - 0.06).all())
        assert bool((mean < means.amax(0) + 0.06).all())
    assert distances[0] <= 1e-3  # 30 dB
    assert distances == sorted(distances)
    assert torch.equal(run(microast, SMALL, tile_size=512), full)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_integer_pixels_equal_the_rounded_floating_picture(microast, dtype):
    full_scale = torch.iinfo(dtype).max
    stored = (SMALL.pixels * full_scale).round().to(torch.int32)
    integers = run(microast, TensorSource(stored.to(dtype)))
    floats = run(microast, TensorSource(stored.float() / full_scale))
    assert integers.dtype == dtype
    assert int((integers.int() - (floats * full_scale).round().int()).abs().max()) == 0


def test_alpha_is_carried_over_untouched(microast):
    pixels = picture((72, 90), channels=4)
    stylized = run(microast, TensorSource(pixels))
    assert torch.equal(stylized[3], pixels[3])
    assert torch.equal(stylized[:3], run(microast, TensorSource(pixels[:3])))


def test_an_image_smaller_than_the_halo(microast):
    stylized = run(microast, TensorSource(picture((5, 3))), tile_size=None)
    assert stylized.shape == (3, 5, 3)
    assert bool(stylized.isfinite().all())


def test_mixture_of_styles_is_between_them(microast):
    styles = [STYLE, TensorSource(picture((80, 80), seed=9))]
    pure = [run(microast, SMALL, styles=[style], tile_size=512) for style in styles]
    canvas = TensorCanvas(SMALL.size, dtype=torch.float32)
    settings = Settings(thumbnail_size=128, tile_size=512, strokes="fine")
    stylize(SMALL, styles, canvas, microast, settings, style_weights=[3, 0])
    assert torch.allclose(canvas.pixels, pure[0], atol=1e-6)
    stylize(SMALL, styles, canvas, microast, settings, style_weights=[1, 1])
    between = canvas.pixels
    assert not torch.allclose(between, pure[0], atol=1e-3)
    assert not torch.allclose(between, pure[1], atol=1e-3)


def limit_memory(monkeypatch, limit_pixels, error):
    """Let tile networks hold windows up to a number of pixels; returns the list of attempts."""
    forward, attempts = TileNetwork.forward, []

    def limited(network, window, **options):
        attempts.append(window.shape[2] * window.shape[3])
        if attempts[-1] > limit_pixels:
            raise error
        return forward(network, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", limited)
    return attempts


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        *(
            pytest.param(error, marks=pytest.mark.slow)
            for error in (
                RuntimeError(
                    "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"
                ),
                RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
                MemoryError(),
            )
        ),
    ],
    ids=["cuda", "cpu", "mps", "python"],
)
def test_out_of_memory_halves_tiles_without_repeating_work(microast, monkeypatch, error):
    content = TensorSource(picture((24, 200)))
    expected = run(microast, content, tile_size=128)
    written = []
    write = TensorCanvas.write
    monkeypatch.setattr(
        TensorCanvas,
        "write",
        lambda self, rectangle, pixels: (
            written.append(rectangle),
            write(self, rectangle, pixels),
        )[0],
    )
    # Windows are 24 px high. 180 px in width fail, so do 168 px; 136 px fit.
    attempts = limit_memory(monkeypatch, 24 * 140, error)
    totals = []
    pixels = run(
        microast,
        content,
        tile_size=128,
        listener=lambda p: totals.append((p.tiles_done, p.tiles_total)),
    )
    assert float((pixels - expected).abs().max()) <= 1e-5
    covered = torch.zeros(content.size, dtype=torch.int32)
    for rectangle in written:
        covered[rectangle.slices] += 1
    assert bool((covered == 1).all())
    assert len(attempts) > len(written)
    assert totals[-1] == (len(written), len(written))


@pytest.mark.slow
def test_out_of_memory_continues_with_the_failed_tile(microast, monkeypatch):
    content = TensorSource(picture((128, 264)))
    expected = run(microast, content, tile_size=64)
    forward, calls = TileNetwork.forward, []

    def failing_once(self, window, **options):
        calls.append(tuple(window.shape[2:]))
        if len(calls) == 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, window, **options)

    monkeypatch.setattr(TileNetwork, "forward", failing_once)
    cores = []
    pixels = run(microast, content, tile_size=64, listener=lambda p: cores.append(p.core))
    assert torch.equal(pixels, expected)
    assert cores[1:6] == [Rectangle(0, left, 64, min(left + 64, 264)) for left in range(0, 264, 64)]
    assert cores[6:10] == [
        Rectangle(64, 0, 96, 32),
        Rectangle(64, 32, 96, 64),
        Rectangle(96, 0, 128, 32),
        Rectangle(96, 32, 128, 64),
    ]


def test_memory_for_not_even_one_stride(microast, monkeypatch):
    limit_memory(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    edge = microast.traits.stride + 2 * microast.traits.halo
    message = f"cpu has too little free memory for even {edge} x {edge} px"
    with pytest.raises(DeviceError, match=message):
        run(microast)


def test_other_errors_are_not_taken_for_lack_of_memory(microast, monkeypatch):
    def broken(*_args, **_options):
        raise RuntimeError("a defect")

    monkeypatch.setattr(TileNetwork, "forward", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        run(microast)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_too_little_memory_for_the_thumbnail(microast, monkeypatch):
    def starved(*_args, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(microast.network), "style_code", starved)
    with pytest.raises(DeviceError, match="cpu has too little free memory for the thumbnail and"):
        run(microast)


@pytest.mark.slow
def test_listener_is_called_for_every_tile_and_can_cancel(microast):
    class Cancelled(BaseException):
        """As ComfyUI's may be: not an Exception."""

    steps = []
    run(microast, SMALL, listener=steps.append)
    assert [step.tiles_done for step in steps] == list(range(len(steps)))
    assert steps[0].core is None
    assert steps[-1].tiles_done == steps[-1].tiles_total == 2 * 3
    assert steps[-1].pixels_done == steps[-1].pixels_total == 104 * 136
    assert steps[1].pixels.shape == (3, 64, 64)

    def cancel(progress):
        if progress.tiles_done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(microast, SMALL, listener=cancel)
    run(microast, SMALL)


@pytest.mark.slow
def test_exact_statistics_report_their_stages(microast):
    steps = []
    run(microast, SMALL, stats="exact", listener=steps.append)
    assert list(dict.fromkeys(step.stage for step in steps)) == [
        "statistics dec1",
        "statistics dec2",
        "tiles",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite(microast, value):
    pixels = picture((100, 120))
    pixels[1, 90, 17] = value
    with pytest.raises(ImageError) as caught:
        run(microast, TensorSource(pixels))
    assert str(caught.value) == (
        "pixel at row 90, column 17 is NaN or infinite; pictures have values from 0 to 1"
    )


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 100)])
def test_style_too_small(microast, size):
    with pytest.raises(ShapeError) as caught:
        run(microast, styles=[TensorSource(picture(size))])
    assert str(caught.value) == (
        f"style of {size[0]} x {size[1]} px is too small for MicroAST; "
        "use a picture of at least 8 x 8 px"
    )


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"tile_size": 66},
            SettingsError,
            "tile size 66 is not a positive multiple of MicroAST's stride 4; use 64 or 68",
        ),
        (
            {"thumbnail_size": 4},
            SettingsError,
            "thumbnail size 4 is too small for MicroAST; "
            "use 8 or more, or 0 to keep the picture's own",
        ),
        (
            {"style_size": -1},
            SettingsError,
            "style size -1 is too small for MicroAST; "
            "use 8 or more, or 0 to keep the picture's own",
        ),
        (
            {"stats": "median"},
            SettingsError,
            "statistics 'median' are unknown; use thumbnail, exact or local",
        ),
        ({"strength": 1.5}, SettingsError, "strength 1.5 is out of range; use 0 to 1"),
        ({"strength": float("nan")}, SettingsError, "strength nan is out of range; use 0 to 1"),
        (
            {"precision": "fp8"},
            DeviceError,
            "precision 'fp8' is unknown; use auto, fp32, fp16, bf16",
        ),
        (
            {"device": "tpu"},
            DeviceError,
            "device 'tpu' is unknown; use auto, cpu, cuda, cuda:N or mps",
        ),
    ],
)
def test_invalid_strokes_are_refused(microast, settings, error, message):
    with pytest.raises(error) as caught:
        run(microast, **settings)
    assert str(caught.value) == message


def test_weights_of_another_number_of_styles(microast):
    with pytest.raises(
        SettingsError, match="1 styles with 2 weights; give one weight for each style"
    ):
        Run.of(CONTENT, microast, Settings()).measure([STYLE], style_weights=[1, 2])
    with pytest.raises(SettingsError, match=r"style weights \[-1\] cannot be used"):
        Run.of(CONTENT, microast, Settings()).measure([STYLE], style_weights=[-1])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near_float32(microast, precision):
    stats = Run.of(CONTENT, microast, Settings(thumbnail_size=128)).measure([STYLE])
    pictures = {}
    for name in ("fp32", precision):
        canvas = TensorCanvas(CONTENT.size, dtype=torch.float32)
        run = Run.of(CONTENT, microast, Settings(precision=name))
        run.stylize(run.network(stats), canvas)
        pictures[name] = canvas.pixels
    error = float((pictures["fp32"] - pictures[precision]).square().mean())
    assert 0 < error <= (1e-3 if precision == "bf16" else 1e-4)


def test_half_precision_that_overflows(microast, monkeypatch):
    forward = TileNetwork.forward
    monkeypatch.setattr(
        TileNetwork, "forward", lambda self, window, **o: forward(self, window, **o) * float("inf")
    )
    with pytest.raises(DeviceError) as caught:
        run(microast, precision="fp16")
    assert str(caught.value) == (
        "the tile at row 0, column 0 (64 x 64 px) is NaN or infinite: "
        "float16 is too narrow for this picture and style; use precision fp32 or auto"
    )


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_tile_that_is_not_finite_is_named_and_not_written(microast, monkeypatch, value):
    """One pixel of the last tile of the second row of tiles, whose window has a size of its own."""
    frame = (136, 160)
    tile = tile_around(Rectangle(64, 128, 128, 160), microast.traits.halo, frame)
    first = tile.core_in_window
    forward = TileNetwork.forward

    def broken(network, window, **options):
        stylized = forward(network, window, **options)
        if window.shape[2:] == tile.window.size:
            stylized[0, 1, first.top, first.left] = value
        return stylized

    monkeypatch.setattr(TileNetwork, "forward", broken)
    content = TensorSource(picture(frame))
    canvas = TensorCanvas(frame, dtype=content.dtype)
    with pytest.raises(WeightsError) as caught:
        stylize(
            content,
            [STYLE],
            canvas,
            microast,
            Settings(thumbnail_size=64, tile_size=64, strokes="fine"),
        )
    assert str(caught.value) == (
        "the tile at row 64, column 128 (64 x 32 px) is NaN or infinite: "
        "the network's values overflowed; use other weights, or get the weights file again"
    )


def test_weights_that_overflow_end_the_run(microast):
    state = {name: value * 1e30 for name, value in microast.network.state_dict().items()}
    with pytest.raises(WeightsError, match=r"the tile at row 0, column 0 .* is NaN or infinite"):
        run(build_backbone(type(microast.network), state, origin="huge"))
