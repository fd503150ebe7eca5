"""Tensors in safetensors files, matched key by key with the network they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..backbones import all_backbones
from ..durable import check_tensors
from ..errors import Change, Command, WeightsError, abbreviated
from ..networks.model import Backbone
from ..networks.network import StylizationNetwork

PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: it is missing, damaged, a pickle (which could run any code), or not
            safetensors.
    """
    if not path.is_file():
        raise WeightsError(f"weights file {path} does not exist; check the path")
    with path.open("rb") as file:
        start = file.read(9)
    # A safetensors file begins with a length, of whatever bytes, and an opening brace.
    if start.startswith(PICKLE_STARTS) and start[8:] != b"{":
        raise WeightsError(
            f"weights file {path} is a pickle, which can run any code when it is loaded; "
            "use its safetensors version"
        )
    try:
        with safe_open(path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            check_tensors(state, file.metadata() or {})
            return state
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"weights file {path} is not a readable safetensors file ({error}); get it again"
        ) from error


def build_backbone(
    network_class: type[StylizationNetwork], state: Mapping[str, Tensor], *, origin: str
) -> Backbone:
    """A backbone from named tensors; ``origin`` names their source in errors.

    Raises:
        WeightsError: names or shapes are not those of the network, values are integers or bools,
            or a value is not finite.
    """
    # Nodes run in inference mode, where parameters could never be moved or copied again.
    with torch.inference_mode(False):
        wanted = used_weights(network_class, state)
        network = network_class.for_weights(wanted)
        _check_names(network, wanted, origin)
        _check_types(wanted, origin)
        values = {name: tensor.detach().float() for name, tensor in wanted.items()}
        _check_values(network, values, origin)
        network.load_state_dict(values)
        network.eval().requires_grad_(False)
    return Backbone(network, fingerprint(values))


def recognize(state: Mapping[str, Tensor], *, origin: str) -> type[StylizationNetwork]:
    """The network that has parameters of these names and shapes.

    Args:
        state: the content of a weights file.
        origin: names its source in errors.

    Raises:
        WeightsError: no network has, or several do.
    """
    fitting = [network for network in all_backbones() if _fits(network, state)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise WeightsError(
            f"weights {origin} do not have the parameter names of any network",
            Command(f"urst weights convert {origin} --backbone NAME -o OUT", how="convert with"),
        )
    names = ", ".join(network.traits.name for network in fitting)
    raise WeightsError(
        f"weights {origin} fit several networks", Change("backbone", how=f"name one of {names} as")
    )


def used_weights(
    network_class: type[StylizationNetwork], state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors without those of published files that the network does not use."""
    surplus = network_class.ignored_weights
    return {name: value for name, value in state.items() if not name.startswith(surplus)}


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and float32 values, in hexadecimal; the same on every machine."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().cpu().float().contiguous()
        digest.update(f"{name}:{tuple(values.shape)};".encode())
        digest.update(values.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def _check_names(network: StylizationNetwork, state: Mapping[str, Tensor], origin: str) -> None:
    expected = network.state_dict().keys()
    missing = sorted(expected - state.keys())
    extra = sorted(state.keys() - expected)
    if not missing and not extra:
        return
    title = network.traits.title
    for other in all_backbones():
        if other is not type(network) and _fits(other, state):
            raise WeightsError(
                f"weights {origin} are {other.traits.title}'s, not {title}'s; "
                f"choose backbone {other.traits.name!r} or another file"
            )
    problems = [
        f"{len(names)} {kind} ({abbreviated(names)})"
        for kind, names in (("missing", missing), ("extra", extra))
        if names
    ]
    raise WeightsError(
        f"weights {origin} do not fit {title}: {' and '.join(problems)} of "
        f"{len(expected)} keys; use a file under the published parameter names"
    )


def _check_types(state: Mapping[str, Tensor], origin: str) -> None:
    for name, value in state.items():
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise WeightsError(
                f"weights {origin}: {name} is {kind}, weights are floating-point numbers; "
                "use the file before it was quantized"
            )


def _check_values(network: StylizationNetwork, state: Mapping[str, Tensor], origin: str) -> None:
    for name, parameter in network.state_dict().items():
        if state[name].shape != parameter.shape:
            raise WeightsError(
                f"weights {origin}: {name} has shape {tuple(state[name].shape)}, "
                f"{network.traits.title} needs {tuple(parameter.shape)}; use the published width"
            )
        if not bool(torch.isfinite(state[name]).all()):
            raise WeightsError(
                f"weights {origin}: {name} holds NaN or infinite values; "
                "get the file again, or an earlier checkpoint"
            )


def _fits(network_class: type[StylizationNetwork], state: Mapping[str, Tensor]) -> bool:
    wanted = used_weights(network_class, state)
    with torch.device("meta"):
        expected = network_class.for_weights(wanted).state_dict()
    shapes = {name: value.shape for name, value in expected.items()}
    return shapes == {name: value.shape for name, value in wanted.items()}
