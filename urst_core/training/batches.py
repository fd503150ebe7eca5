"""Batches of training steps: thumbnails, patches in full size, styles."""

from __future__ import annotations

import random
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle
from ..method.brushwork import LARGEST_SEED, STRONGEST, flatness, noise
from ..tiling.device import io_thread
from .pictures import PictureFolder


@dataclass(frozen=True)
class Batch:
    """Pictures of one step, float32, 0..1.

    Attributes:
        thumbnails: (N, 3, T, T), whole pictures.
        patches: (N, 3, T, T), parts of the same pictures in full size.
        place: position of the patches in the pictures; the same for the whole batch.
        scale: edge of the pictures divided by T.
        styles: (N, 3, T, T); None if the recipe has a style of its own.
        style_names: names of styles that may recur, one each; None if they do not recur.
        brushed: (N, 3, T, T), the thumbnails, some with added noise, as the network's input; None
            without noise. Losses compare with the thumbnails.
    """

    thumbnails: Tensor
    patches: Tensor
    place: Rectangle
    scale: int
    styles: Tensor | None
    style_names: tuple[str, ...] | None = None
    brushed: Tensor | None = None

    @property
    def given(self) -> Tensor:
        """The network's input, (N, 3, T, T)."""
        return self.thumbnails if self.brushed is None else self.brushed

    def to(self, device: torch.device) -> Batch:
        def moved(pictures: Tensor) -> Tensor:
            pictures = pictures.contiguous(memory_format=torch.channels_last)
            return pictures.to(device, non_blocking=True)

        return replace(
            self,
            thumbnails=moved(self.thumbnails),
            patches=moved(self.patches),
            styles=None if self.styles is None else moved(self.styles),
            brushed=None if self.brushed is None else moved(self.brushed),
        )

    def patch_of(self, stylized_thumbnails: Tensor) -> Tensor:
        """The part of stylized thumbnails that shows the patches, enlarged to their scale."""
        enlarged = F.interpolate(
            stylized_thumbnails.float(), scale_factor=self.scale, mode="bilinear"
        )
        return enlarged[(..., *self.place.slices)]


@dataclass(frozen=True)
class Batches:
    """Batches by step. A batch depends only on the seed and the step, so resuming changes nothing.

    Attributes:
        contents: pictures to crop contents from.
        styles: pictures to crop styles from, or None.
        size: pictures per batch.
        image_size: edge of the pictures, in px.
        thumbnail_size: edge of thumbnails, patches and styles, in px; divides ``image_size``.
        seed: seed of all random choices.
        brushwork: strength, 0 to 1, of the noise on every other thumbnail; see
            :mod:`urst_core.method.brushwork`.
        style_crops: number of fixed crops per style; 0 draws new crops each time.
    """

    contents: PictureFolder
    styles: PictureFolder | None
    size: int
    image_size: int
    thumbnail_size: int
    seed: int
    brushwork: float = 0.0
    style_crops: int = 0

    def description(self) -> dict[str, str]:
        """Descriptions of the picture folders."""
        folders = {"content pictures": self.contents}
        if self.styles is not None:
            folders["style pictures"] = self.styles
        return {name: folder.description for name, folder in folders.items()}

    def at(self, step: int) -> Batch:
        """Make the batch of one step, on the CPU."""
        generator = random.Random(f"{self.seed}:{step}")
        edge = self.thumbnail_size
        pictures = self.contents.crops(self.size, self.image_size, generator)
        thumbnails = F.interpolate(pictures, (edge, edge), mode="bilinear", antialias=True)
        top, left = (generator.randrange(self.image_size - edge + 1) for _ in range(2))
        place = Rectangle(top, left, top + edge, left + edge)
        styles, names = self._styles_at(generator)
        patches = pictures[(..., *place.slices)]
        brushed = self._brushed(thumbnails, generator) if self.brushwork else None
        scale = self.image_size // edge
        return Batch(thumbnails, patches, place, scale, styles, names, brushed)

    def _styles_at(self, generator: random.Random) -> tuple[Tensor | None, tuple[str, ...] | None]:
        if self.styles is None:
            return None, None
        wanted = self.size, self.thumbnail_size, generator
        if self.style_crops:
            return self.styles.repeated_crops(*wanted, each=self.style_crops)
        return self.styles.crops(*wanted), None

    def _brushed(self, thumbnails: Tensor, generator: random.Random) -> Tensor:
        """Add noise of random seed and strength to every other thumbnail."""
        area = Rectangle(0, 0, self.thumbnail_size, self.thumbnail_size)
        brushed = list(thumbnails)
        for number in range(0, len(brushed), 2):
            deviation = STRONGEST * self.brushwork * generator.random()
            grains = noise(area, level=0, seed=generator.randrange(LARGEST_SEED + 1))
            plain = brushed[number]
            brushed[number] = plain + deviation * flatness(plain) * grains
        return torch.stack(brushed)


class Prefetched:
    """Prepares the next batch during the current training step.

    A context manager; batches are taken in order.

    Args:
        batches: what to prepare.
        first_step: number of the first step.
        on_cpu: whether the CPU trains.
    """

    def __init__(self, batches: Batches, first_step: int, *, on_cpu: bool = True) -> None:
        self._batches = batches
        self._executor = io_thread("urst-batches", on_cpu=on_cpu)
        self._next_step = first_step
        self._next: Future[Batch] = self._executor.submit(batches.at, first_step)

    def take(self) -> Batch:
        """The next step's batch, on the CPU.

        Raises:
            TrainingError: as in :meth:`PictureFolder.crops`.
        """
        batch = self._next.result()
        self._next_step += 1
        self._next = self._executor.submit(self._batches.at, self._next_step)
        return batch

    def __enter__(self) -> Prefetched:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
