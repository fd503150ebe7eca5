"""Remembers how pictures were encoded, for programs that stylize the same ones again and again.

In a graph that a user plays with, most runs differ in one setting from the run before, seldom in
the pictures. Pictures are recognized by their pixels, so that nothing has to tell of a change.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from .model import Backbone
from .network import ContentEncodingNetwork
from .style import StyleCode

LIMIT_BYTES = 100_000_000
"""Features of a thumbnail of 1024 x 1024 px take 17 MB with MicroAST, 34 MB with AdaIN."""

Tensors = Mapping[str, Tensor]


class Memory:
    """Tensors by key, on the CPU; those that were not used for longest are forgotten first.

    Args:
        limit_bytes: most memory that they take together; what is larger by itself is not kept.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, Tensors] = OrderedDict()
        self._taken_bytes = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Memory({len(self._kept)} results, {self.taken_bytes / 1e6:.1f} MB)"

    @property
    def taken_bytes(self) -> int:
        """Memory that the tensors take, in bytes."""
        return self._taken_bytes

    def recall(self, key: Hashable, compute: Callable[[], Tensors]) -> Tensors:
        """The tensors of a key, computed if they are not kept; nobody may change them."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        tensors = {name: tensor.cpu() for name, tensor in compute().items()}
        if _bytes_of(tensors) <= self.limit_bytes:
            self._keep(key, tensors)
        return tensors

    def _keep(self, key: Hashable, tensors: Tensors) -> None:
        with self._lock:
            # Another thread may have computed the same meanwhile.
            self._taken_bytes += _bytes_of(tensors) - _bytes_of(self._kept.get(key, {}))
            self._kept[key] = tensors
            while self._taken_bytes > self.limit_bytes:
                _, forgotten = self._kept.popitem(last=False)
                self._taken_bytes -= _bytes_of(forgotten)


@dataclass(frozen=True, repr=False)
class RememberingBackbone(Backbone):
    """A backbone that encodes no picture twice, as long as its memory lasts.

    Statistics behind the style, which depend on the strength, are measured each time; what comes
    before them is remembered. Copies on other devices share the memory.
    """

    memory: Memory = field(default_factory=Memory)

    def encode_picture(self, style: Tensor, match: str) -> StyleCode:
        encode = super().encode_picture
        key = self._key(match, style)
        tensors = self.memory.recall(key, lambda: encode(style, match).tensors)
        return StyleCode(tensors).to(self.device)

    def content_features(self, thumbnail: Tensor) -> Tensor:
        compute = super().content_features
        if not isinstance(self.network, ContentEncodingNetwork):
            return compute(thumbnail)
        key = self._key("content", thumbnail)
        tensors = self.memory.recall(key, lambda: {"features": compute(thumbnail)})
        return tensors["features"].to(self.device)

    def _key(self, kind: str, picture: Tensor) -> Hashable:
        return kind, self.fingerprint, self.device.type, self.dtype, digest(picture)


def digest(picture: Tensor) -> Hashable:
    """Tells pictures apart: shape, type and a hash of the values."""
    values = picture.detach().cpu().contiguous()
    hashed = hashlib.blake2b(values.numpy().data, digest_size=16)
    return tuple(values.shape), values.dtype, hashed.digest()


def _bytes_of(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
