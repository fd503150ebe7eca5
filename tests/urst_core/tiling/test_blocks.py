"""Blocks of an area, computed at the same time."""

from __future__ import annotations

import threading

import pytest
import torch

from urst_core.geometry import Rectangle
from urst_core.tiling.blocks import BLOCK, MOST_AT_ONCE, blocks, each_block
from urst_core.tiling.device import cpu_threads

CPU = torch.device("cpu")
AREA = Rectangle(BLOCK[0] - 3, 10, 3 * BLOCK[0] + 1, 2 * BLOCK[1] + 9)


def threads_of_blocks(count):
    """The thread of each block, and how many threads its operations have."""
    found = []
    with cpu_threads(count):
        each_block(
            AREA, CPU, lambda _: found.append((threading.get_ident(), torch.get_num_threads()))
        )
    return found


def test_blocks_cover_an_area_once():
    covered = torch.zeros(AREA.bottom, AREA.right)
    for block in blocks(AREA, CPU):
        assert block.height <= BLOCK[0]
        assert block.width <= BLOCK[1]
        covered[block.slices] += 1
    assert bool((covered[AREA.slices] == 1).all())
    assert covered.sum() == AREA.area
    assert [*blocks(AREA, torch.device("cuda"))] == [AREA]


def test_every_block_is_computed():
    computed = []
    with cpu_threads(3):
        each_block(AREA, CPU, computed.append)
    assert sorted(computed, key=str) == sorted(blocks(AREA, CPU), key=str)


@pytest.mark.parametrize("count", [2, MOST_AT_ONCE + 1])
def test_operations_of_blocks_have_no_helpers(count):
    found = threads_of_blocks(count)
    assert {helpers for _, helpers in found} == {1}
    assert threading.get_ident() not in {thread for thread, _ in found}
    assert len({thread for thread, _ in found}) <= MOST_AT_ONCE


def test_a_single_thread_computes_blocks_itself():
    assert threads_of_blocks(1) == [(threading.get_ident(), 1)] * len([*blocks(AREA, CPU)])


def test_other_threads_keep_their_helpers():
    with cpu_threads(2):
        each_block(AREA, CPU, lambda _: None)
        assert torch.get_num_threads() == 2
        new = []
        thread = threading.Thread(target=lambda: new.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert new == [2]


@pytest.mark.parametrize("is_inference", [False, True])
def test_blocks_are_computed_in_the_callers_mode(is_inference):
    modes = []
    with cpu_threads(2), torch.inference_mode(is_inference):
        each_block(AREA, CPU, lambda _: modes.append(torch.is_inference_mode_enabled()))
    assert set(modes) == {is_inference}


@pytest.mark.parametrize("count", [1, 2])
def test_errors_of_blocks_are_raised(count):
    def fail(block):
        raise ValueError(str(block))

    with cpu_threads(count), pytest.raises(ValueError, match="Rectangle"):
        each_block(AREA, CPU, fail)
