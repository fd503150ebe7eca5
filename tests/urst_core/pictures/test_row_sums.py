"""Sums of rows in one go: what they are, and that every window has the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from examples import picture

from urst_core.pictures.row_sums import RowSums, are_quick

ROWS = np.array([[0, 1, 1], [2, 0, 3], [3, 3, 3]])
WEIGHTS = np.array([[0.5, 0.25, 0.125], [-0.1, 0.9, 0.2], [1 / 3, 1 / 3, 1 / 3]])


def test_rows_are_added_with_their_weights():
    pixels = picture((4, 5), seed=1)
    sums = RowSums.of(ROWS, WEIGHTS, (3, 4)).apply(pixels)
    weights = torch.from_numpy(WEIGHTS)[:, :, None]
    expected = (pixels.double()[:, ROWS] * weights).sum(dim=2)
    assert sums.shape == (3, 3, 5)
    # Three products near 1, each rounded to 24 bits.
    torch.testing.assert_close(sums.double(), expected, rtol=0.0, atol=3e-7)


def test_a_window_has_the_sums_of_the_whole():
    """All widths and places that a vector unit could treat apart."""
    pixels = picture((4, 150), seed=2)
    sums = RowSums.of(ROWS, WEIGHTS, (3, 4))
    if not are_quick(pixels):
        pytest.skip("this processor does not use these sums")
    whole = sums.apply(pixels)
    for left in range(40):
        for width in [*range(1, 40), 64, 97, 110]:
            window = slice(left, left + width)
            assert torch.equal(sums.apply(pixels[:, :, window]), whole[:, :, window])


def test_strides_do_not_matter():
    pixels = picture((4, 1), seed=3)
    sums = RowSums.of(ROWS, WEIGHTS, (3, 4))
    odd = torch.empty_strided((3, 4, 1), (4, 1, 7))
    odd.copy_(pixels)
    assert torch.equal(sums.apply(odd), sums.apply(pixels))
    transposed = picture((9, 4), seed=4).transpose(1, 2)
    assert torch.equal(sums.apply(transposed), sums.apply(transposed.contiguous()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_are_added_otherwise(dtype):
    assert not are_quick(torch.zeros(3, 4, 5, dtype=dtype))


def test_other_devices_are_added_otherwise():
    assert not are_quick(torch.zeros(3, 4, 5, device="meta"))


@pytest.mark.parametrize(
    ("capability", "quick"), [("AVX512", True), ("AVX2", True), ("DEFAULT", False), ("SVE", False)]
)
def test_only_processors_with_a_kernel_for_it_use_it(monkeypatch, capability, quick):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert are_quick(torch.zeros(3, 4, 5)) is quick
