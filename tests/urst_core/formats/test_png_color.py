"""Colors that a PNG describes by chunks become a profile, or cause a warning."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from examples import save_picture, stored_picture

from urst_core.formats.icc_profile import Curve, Primaries, rgb_profile
from urst_core.formats.image_file import ImageFile
from urst_core.formats.open import open_picture, write_picture
from urst_core.formats.png_color import BT_709, png_color
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource

SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
WIDE = (31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)
D65, P3 = (0.3127, 0.3290), ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


def gamma(value):
    return b"gAMA", struct.pack(">I", value)


def chromaticities(values):
    return b"cHRM", struct.pack(">8I", *values)


def cicp(*values):
    return b"cICP", bytes(values)


LINEAR = gamma(100_000)
PQ = cicp(9, 16, 0, 1)
WIDE_TOLD = "cHRM 0.3127 0.3290 0.7080 0.2920 0.1700 0.7970 0.1310 0.0460"


def with_chunks(path, *chunks):
    """The PNG with chunks behind its first."""
    stored = path.read_bytes()
    added = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    path.write_bytes(stored[:33] + added + stored[33:])
    return path


def picture(path, *chunks):
    return with_chunks(save_picture(path, stored_picture((8, 9))), *chunks)


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [gamma(45_455)],
        [gamma(45_455), chromaticities(SRGB)],
        [cicp(1, 13, 0, 1)],
        [cicp(1, 13, 0, 1), LINEAR],
        [(b"sRGB", b"\0"), LINEAR],
        [(b"gAMA", b"\0")],
        [LINEAR, (b"iCCP", bytes(300))],
        [PQ, (b"iCCP", bytes(300))],
    ],
)
def test_srgb_and_pictures_with_a_profile_stay_as_they_are(tmp_path, chunks):
    assert png_color(picture(tmp_path / "a.png", *chunks)) is None


@pytest.mark.parametrize(
    ("chunks", "described"),
    [
        ([PQ], "cICP 9/16"),
        ([cicp(9, 18, 0, 1)], "cICP 9/18"),
        ([cicp(1, 1, 0, 0)], "cICP 1/1"),  # not from 0 to 255
        ([cicp(22, 13, 0, 1)], "cICP 22/13"),
        ([(b"sRGB", b"\0"), PQ], "cICP 9/16"),
        ([chromaticities(WIDE)], WIDE_TOLD),  # of which curve?
        ([gamma(0)], "gAMA 0.00000"),
        ([gamma(1)], "gAMA 0.00001"),
        ([LINEAR, chromaticities([0] * 8)], "gAMA 1.00000 and cHRM" + 8 * " 0.0000"),
        ([LINEAR, chromaticities([31270, 32900] * 4)], "gAMA 1.00000 and cHRM"
            + 4 * " 0.3127 0.3290"),
    ],
)  # fmt: skip
def test_unsupported_colors_cause_a_warning(tmp_path, chunks, described, caplog):
    path = picture(tmp_path / "a.png", *chunks)
    assert ImageFile(path).profile is None
    assert [r.getMessage() for r in caplog.records if r.name.startswith("urst_core")] == [
        f"picture {path} describes its colors by {described}, which is not supported: they are "
        "taken for sRGB, and the result does not say it; convert the picture to one with an ICC "
        "profile"
    ]


def srgb_encoded(light):
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light.clip(1e-9) ** (1 / 2.4) - 0.055
    )


def srgb_decoded(stored):
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def bt_709_decoded(stored):
    """The inverse of H.273's function 1."""
    return np.where(stored < 0.081, stored / 4.5, ((stored + 0.099) / 1.099) ** (1 / 0.45))


TO_SRGB_FROM_P3 = np.array(
    [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]]
)
"""W3C, CSS Color 4, in four digits, for linear colors."""

COLORS = np.array([[0.5, 0.5, 0.5], [0.5, 0.4, 0.3], [0.25, 0.3, 0.35], [0.8, 0.75, 0.7]])


@pytest.mark.parametrize(
    ("chunks", "known"),
    [
        ([LINEAR], srgb_encoded(COLORS)),
        ([gamma(55_556)], srgb_encoded(COLORS**1.8)),
        ([LINEAR, chromaticities(SRGB)], srgb_encoded(COLORS)),
        ([cicp(1, 8, 0, 1)], srgb_encoded(COLORS)),
        ([cicp(1, 1, 0, 1)], srgb_encoded(bt_709_decoded(COLORS))),
        ([cicp(1, 4, 0, 1), LINEAR], srgb_encoded(COLORS**2.2)),
        ([cicp(12, 13, 0, 1)], srgb_encoded(srgb_decoded(COLORS) @ TO_SRGB_FROM_P3.T)),
        (
            [gamma(45_455), chromaticities([round(1e5 * v) for xy in (D65, *P3) for v in xy])],
            srgb_encoded(COLORS**2.2 @ TO_SRGB_FROM_P3.T),
        ),
    ],
)
@pytest.mark.parametrize(("dtype", "largest"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_styles_come_to_srgb_by_known_values(tmp_path, chunks, known, dtype, largest):
    stored = torch.tensor((COLORS * largest).round()).T.reshape(3, 2, 2).to(dtype)
    path = tmp_path / "a.png"
    write_picture(TensorSource(stored.contiguous()), path)
    with_chunks(path, *chunks)
    style = open_picture(path, flatten=True)
    values = style.read(Rectangle.of_size((2, 2))).reshape(3, 4).T.double() / largest
    # A step of 8 bits; libvips converts 16 bits in as many.
    assert np.abs(values.numpy() - known).max() <= 1.3 / 255
    if dtype == torch.uint16:
        assert np.abs(values.numpy() - known).max() <= 0.002


@pytest.mark.parametrize("name", ["b.png", "b.tif", "b.jpg", "b.webp", "b.avif"])
def test_contents_keep_their_values_and_results_say_what_they_mean(tmp_path, name):
    path = picture(tmp_path / "a.png", cicp(12, 13, 0, 1))
    content = ImageFile(path)
    assert torch.equal(content.read(Rectangle.of_size((8, 9))), stored_picture((8, 9)))
    assert content.profile is not None
    write_picture(content, tmp_path / name)
    assert ImageFile(tmp_path / name).profile == content.profile


def test_gray_with_a_gamma(tmp_path):
    gray = stored_picture((8, 9))[:1]
    path = with_chunks(save_picture(tmp_path / "a.png", gray), LINEAR)
    content = ImageFile(path)
    assert torch.equal(content.read(Rectangle.of_size((8, 9))), gray.expand(3, 8, 9))
    assert content.profile is not None


def test_profiles_are_the_same_for_the_same_colors_and_refuse_impossible_ones():
    linear = rgb_profile("linear", BT_709, Curve(1.0))
    assert linear == rgb_profile("linear", BT_709, Curve(1.0))
    assert len(linear) == struct.unpack(">I", linear[:4])[0]
    with pytest.raises(ValueError, match="are not colors"):
        rgb_profile("", Primaries(D65, (0.6, 0.0), *P3[1:]), Curve(1.0))
    with pytest.raises(ValueError, match="span no colors"):
        rgb_profile("", Primaries(D65, D65, D65, D65), Curve(1.0))


@pytest.mark.parametrize("length", [0, 5, 20, 40, 60])
def test_incomplete_png_files(tmp_path, length):
    path = picture(tmp_path / "a.png", LINEAR)
    path.write_bytes(path.read_bytes()[:length])
    color = png_color(path)
    assert color is None or color.described == "gAMA 1.00000"
