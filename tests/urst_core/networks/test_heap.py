"""Freed memory that is returned to the operating system."""

from __future__ import annotations

import ctypes

import psutil
import pytest
import torch

from urst_core.geometry import Rectangle
from urst_core.networks import heap, tile_network
from urst_core.networks.heap import LEAST_AREA, return_free_memory

CPU = torch.device("cpu")
LARGE = Rectangle(0, 0, LEAST_AREA, 1)


@pytest.fixture
def returned(monkeypatch):
    """Calls of the C library's function."""
    calls: list[int] = []
    monkeypatch.setattr(heap, "_trim", lambda: calls.append)
    return calls


def test_memory_is_returned_before_large_windows_of_a_cpu(returned):
    return_free_memory(CPU, LARGE)
    assert returned == [0]
    return_free_memory(CPU, Rectangle(0, 0, LEAST_AREA - 1, 1))
    return_free_memory(torch.device("cuda"), LARGE)
    assert returned == [0]


@pytest.mark.parametrize(("rows", "middle"), [([8], 8), ([4, 4], 8), ([1] * 8, 5), ([3, 3, 2], 6)])
def test_memory_is_returned_once_in_the_middle_of_a_network(rows, middle, monkeypatch):
    picture = torch.rand(1, 3, 8, 6)
    area, window = Rectangle(2, 1, 10, 7), (12, 8)
    done, returned = [], []

    def bands():
        for band in picture.split(rows, 2):
            done.append(band.shape[2])
            yield band

    monkeypatch.setattr(
        tile_network, "return_free_memory", lambda _, window: returned.append((sum(done), window))
    )
    whole = tile_network._placed(bands(), area, window, torch.float32)
    assert torch.equal(whole[:, :, 2:10, 1:7], picture)
    assert returned == [(middle, Rectangle.of_size(window))]


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_other_c_libraries_are_left_alone(monkeypatch, error):
    class Library:
        def __init__(self, _name):
            if error is not AttributeError:
                raise error

    monkeypatch.setattr(ctypes, "CDLL", Library)
    heap._trim.cache_clear()
    try:
        assert heap._trim() is None
        return_free_memory(CPU, LARGE)
    finally:
        heap._trim.cache_clear()


@pytest.mark.slow
def test_holes_in_the_heap_are_returned():
    if heap._trim() is None:
        pytest.skip("this C library has no malloc_trim")
    # Small ones stay at the end of each large one, so the heap cannot shrink by itself.
    pieces = [(torch.ones(25_000), torch.ones(8)) for _ in range(2000)]
    kept = [small for _, small in pieces]
    del pieces
    before = psutil.Process().memory_info().rss
    return_free_memory(CPU, LARGE)
    assert psutil.Process().memory_info().rss < before - 100_000_000
    assert all(small.sum() == 8 for small in kept)
