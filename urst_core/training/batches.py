"""What one training step sees: thumbnails, patches in full size, styles."""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType

import torch
from torch import Tensor
from torch.nn import functional as F

from ..geometry import Rectangle
from ..method.brushwork import LARGEST_SEED, STRONGEST, flatness, noise
from .pictures import PictureFolder


@dataclass(frozen=True)
class Batch:
    """Pictures of one step, float32, 0..1.

    Attributes:
        thumbnails: (N, 3, T, T), of whole pictures.
        patches: (N, 3, T, T), parts of the same pictures in full size.
        place: position of the patches in the pictures; the same in all of a batch.
        scale: edge of the pictures over T.
        styles: (N, 3, T, T); None where the recipe has a style of its own.
        brushed: (N, 3, T, T), the thumbnails with noise on some, which the network is given instead
            of them; None where none has noise. Losses compare with the thumbnails.
    """

    thumbnails: Tensor
    patches: Tensor
    place: Rectangle
    scale: int
    styles: Tensor | None
    brushed: Tensor | None = None

    @property
    def given(self) -> Tensor:
        """What the network stylizes, (N, 3, T, T)."""
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
        """The patches' part of stylized thumbnails that are enlarged to the pictures' size."""
        enlarged = F.interpolate(
            stylized_thumbnails.float(), scale_factor=self.scale, mode="bilinear"
        )
        return enlarged[(..., *self.place.slices)]


@dataclass(frozen=True)
class Batches:
    """The batch of every step: it depends on the seed and the step's number alone.

    So a run that is resumed sees what it would have seen.

    Attributes:
        contents: to crop pictures from.
        styles: to crop styles from, or None.
        size: pictures in a batch.
        image_size: edge of the pictures, in px.
        thumbnail_size: edge of thumbnails, patches and styles, in px; divides the former.
        seed: of all choices.
        brushwork: strength, 0 to 1, of the noise that every other thumbnail gets; see
            :mod:`urst_core.method.brushwork`.
    """

    contents: PictureFolder
    styles: PictureFolder | None
    size: int
    image_size: int
    thumbnail_size: int
    seed: int
    brushwork: float = 0.0

    def description(self) -> dict[str, str]:
        """Which pictures there are to choose from."""
        folders = {"content pictures": self.contents}
        if self.styles is not None:
            folders["style pictures"] = self.styles
        return {name: folder.description for name, folder in folders.items()}

    def at(self, step: int) -> Batch:
        """The batch of one step, on the CPU."""
        generator = random.Random(f"{self.seed}:{step}")
        edge = self.thumbnail_size
        pictures = self.contents.crops(self.size, self.image_size, generator)
        thumbnails = F.interpolate(pictures, (edge, edge), mode="bilinear", antialias=True)
        top, left = (generator.randrange(self.image_size - edge + 1) for _ in range(2))
        place = Rectangle(top, left, top + edge, left + edge)
        styles = self.styles.crops(self.size, edge, generator) if self.styles else None
        patches = pictures[(..., *place.slices)]
        brushed = self._brushed(thumbnails, generator) if self.brushwork else None
        return Batch(thumbnails, patches, place, self.image_size // edge, styles, brushed)

    def _brushed(self, thumbnails: Tensor, generator: random.Random) -> Tensor:
        """The thumbnails, every other one with noise of a seed and a strength of its own."""
        area = Rectangle(0, 0, self.thumbnail_size, self.thumbnail_size)
        brushed = list(thumbnails)
        for number in range(0, len(brushed), 2):
            deviation = STRONGEST * self.brushwork * generator.random()
            grains = noise(area, level=0, seed=generator.randrange(LARGEST_SEED + 1))
            plain = brushed[number]
            brushed[number] = plain + deviation * flatness(plain) * grains
        return torch.stack(brushed)


class Prefetched:
    """Prepares the next batch while the present one is learned from.

    Used as a context manager; batches are asked for in order.
    """

    def __init__(self, batches: Batches, first_step: int) -> None:
        self._batches = batches
        self._executor = ThreadPoolExecutor(1)
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
