"""Weights files: reading, refusals, and safety."""

from __future__ import annotations

import ast
import hashlib
import pickle
import struct
from pathlib import Path

import pytest
import torch
from examples import picture
from safetensors.torch import load_file, save, save_file

import urst_core
from urst_core.backbones.adain import AdaIN
from urst_core.backbones.microast import MicroAST
from urst_core.durable import write_tensors
from urst_core.errors import WeightsError
from urst_core.weights.checkpoint import build_backbone, fingerprint, read_weights
from urst_core.weights.loading import EMBEDDED_FILES, load_backbone

PACKAGE = Path(urst_core.__file__).parent
EMBEDDED = PACKAGE / "data" / EMBEDDED_FILES["microast"]


@pytest.fixture(scope="module")
def state():
    """The embedded weights by name; tests copy it before they change it."""
    return load_file(EMBEDDED)


@pytest.fixture(scope="module")
def adain_state(random_backbones):
    network = random_backbones["adain"].network
    return {name: value.clone() for name, value in network.state_dict().items()}


def refusal(state, network_class=MicroAST) -> str:
    with pytest.raises(WeightsError) as caught:
        build_backbone(network_class, state, origin="file.safetensors")
    return str(caught.value)


# What loads


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_load_as_float32(tmp_path, state, dtype):
    path = tmp_path / "stored.safetensors"
    stored = {name: value.to(dtype) for name, value in state.items()}
    save_file(stored, path)
    backbone = load_backbone("microast", path)
    for name, parameter in backbone.network.state_dict().items():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, stored[name].float())


@pytest.mark.slow
def test_published_files_with_the_longer_encoder(tmp_path, adain_state):
    """Layers after relu4_1 are there in the published file; they are not used."""
    longer = dict(adain_state)
    for layer in (32, 35, 38, 42, 45, 48, 51):
        longer[f"vgg.{layer}.weight"] = torch.zeros(512, 512, 3, 3, dtype=torch.float16)
        longer[f"vgg.{layer}.bias"] = torch.zeros(512)
    path = tmp_path / "adain.safetensors"
    save_file(longer, path)
    backbone = load_backbone("adain", path)
    assert backbone.fingerprint == fingerprint(adain_state)
    code = backbone.encode_style([picture((32, 32)).unsqueeze(0)])
    assert bool(code.tensors["relu4_1.mean"].isfinite().all())


@pytest.mark.parametrize("header_bytes", [640, 896, 1152, 1408])
def test_a_header_whose_length_looks_like_a_pickle(tmp_path, header_bytes):
    """640 = 0x0280 is stored as 80 02, like the beginning of a pickle of protocol 2."""
    tensors = {"weight": torch.arange(4.0)}
    for padding in range(header_bytes):
        encoded = save(tensors, {"comment": "x" * padding})
        if int.from_bytes(encoded[:8], "little") == header_bytes:
            break
    path = tmp_path / "unlucky.safetensors"
    path.write_bytes(encoded)
    assert encoded[0] == 0x80
    assert torch.equal(read_weights(path)["weight"], tensors["weight"])


# What is refused


def test_missing_file(tmp_path):
    path = tmp_path / "absent.safetensors"
    with pytest.raises(WeightsError) as caught:
        load_backbone("microast", path)
    assert str(caught.value) == f"weights file {path} does not exist; check the path"


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"\x00" * 64, b"GIF89a" * 100, b"\xff" * 8 + b"{}", b"\x08" + b"\x00" * 7],
    ids=["empty", "short", "zeros", "picture", "long-header", "cut"],
)
def test_garbage(tmp_path, content):
    path = tmp_path / "garbage.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        load_backbone("microast", path)
    message = str(caught.value)
    assert message.startswith(f"weights file {path} is not a readable safetensors file (")
    assert message.endswith("); get it again")


def test_truncated_file(tmp_path):
    path = tmp_path / "truncated.safetensors"
    encoded = EMBEDDED.read_bytes()
    path.write_bytes(encoded[: len(encoded) // 2])
    with pytest.raises(WeightsError, match="is not a readable safetensors file"):
        load_backbone("microast", path)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["torch zip", "torch legacy", 2, 3, 4, 5])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_pickles_are_refused_unopened(tmp_path, kind, ending):
    path, crater = tmp_path / f"weights{ending}", tmp_path / "crater"
    content = {"weight": torch.zeros(2), "bomb": Bomb(crater)}
    if isinstance(kind, int):
        with path.open("wb") as file:
            pickle.dump(content, file, protocol=kind)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch zip")
    with pytest.raises(WeightsError) as caught:
        load_backbone("microast", path)
    assert str(caught.value) == (
        f"weights file {path} is a pickle, which can run any code when it is loaded; "
        "use its safetensors version"
    )
    assert not crater.exists()


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_pickles_do_not_run_either(tmp_path, protocol):
    path, crater = tmp_path / "weights.pkl", tmp_path / "crater"
    path.write_bytes(pickle.dumps(Bomb(crater), protocol=protocol))
    with pytest.raises(WeightsError, match="is not a readable safetensors file"):
        load_backbone("microast", path)
    assert not crater.exists()


@pytest.mark.slow
def test_engine_never_unpickles():
    """No import of a pickling module, no numpy.load, no torch.hub; torch.load once, for tensors."""
    modules = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    calls = {"torch.load", "torch.jit.load", "torch.package", "torch.hub", "np.load", "numpy.load"}
    nodes = PACKAGE.parent / "nodes"
    found, files = [], sorted([*PACKAGE.rglob("*.py"), *nodes.rglob("*.py")])
    assert len(files) > 40
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                names = [ast.unparse(node)]
            elif isinstance(node, ast.Name) and node.id in ("eval", "exec", "__import__"):
                found.append((path.name, node.id))
            found += [
                (path.name, name)
                for name in names
                if name in calls or name.split(".")[0] in modules or name.startswith("torch.hub")
            ]
    # tests/urst_core/weights/conversion/test_convert.py has what that one call refuses.
    assert found == [("convert.py", "torch.load")]


# Names, shapes, values


def test_file_of_another_backbone(tmp_path, state, adain_state):
    path = tmp_path / "other.safetensors"
    save_file(adain_state, path)
    with pytest.raises(WeightsError) as caught:
        load_backbone("microast", path)
    assert str(caught.value) == (
        f"weights {path} are AdaIN's, not MicroAST's; choose backbone 'adain' or another file"
    )
    assert refusal(state, AdaIN) == (
        "weights file.safetensors are MicroAST's, not AdaIN's; "
        "choose backbone 'microast' or another file"
    )


@pytest.mark.slow
def test_missing_keys(state):
    names = sorted(state)
    one = {name: value for name, value in state.items() if name != names[3]}
    assert refusal(one) == (
        f"weights file.safetensors do not fit MicroAST: 1 missing ({names[3]}) of {len(names)} "
        "keys; use a file under the published parameter names"
    )
    many = {name: state[name] for name in names[5:]}
    shown = ", ".join(names[:3])
    assert f"5 missing ({shown}, …) of {len(names)} keys" in refusal(many)


def test_extra_keys(state):
    message = refusal({**state, "decoder.dec4.weight": torch.zeros(1)})
    assert message == (
        "weights file.safetensors do not fit MicroAST: 1 extra (decoder.dec4.weight) of "
        f"{len(state)} keys; use a file under the published parameter names"
    )


def test_renamed_key(state):
    name = min(state)
    renamed = {("other" if key == name else key): value for key, value in state.items()}
    message = refusal(renamed)
    assert f"1 missing ({name}) and 1 extra (other) of {len(state)} keys" in message


@pytest.mark.slow
def test_superfluous_published_layers_are_ignored(adain_state):
    """Only vgg.31 to vgg.52 are ignored, not whatever begins alike."""
    message = refusal({**adain_state, "vgg.53.weight": torch.zeros(1)}, AdaIN)
    assert "1 extra (vgg.53.weight)" in message
    assert "1 extra (vgg.3.weight)" in refusal(
        {**adain_state, "vgg.3.weight": torch.zeros(1)}, AdaIN
    )


@pytest.mark.slow
def test_no_weights_at_all():
    assert "missing" in refusal({})


def test_wrong_shape(state):
    name = "decoder.dec1.conv1.conv_layer.weight"
    message = refusal({**state, name: torch.zeros(64, 32, 3, 3)})
    assert message == (
        f"weights file.safetensors: {name} has shape (64, 32, 3, 3), "
        "MicroAST needs (64, 64, 3, 3); use the published width"
    )


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.int64])
def test_values_that_are_not_floating(state, dtype):
    name = "decoder.dec1.conv1.conv_layer.weight"
    kind = str(dtype).removeprefix("torch.")
    assert refusal({**state, name: state[name].to(dtype)}) == (
        f"weights file.safetensors: {name} is {kind}, weights are floating-point numbers; "
        "use the file before it was quantized"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(state, value):
    name = "decoder.dec1.conv1.conv_layer.weight"
    broken = state[name].clone()
    broken[5, 6, 1, 2] = value
    assert refusal({**state, name: broken}) == (
        f"weights file.safetensors: {name} holds NaN or infinite values; "
        "get the file again, or an earlier checkpoint"
    )


def test_weights_given_are_not_changed_and_not_shared(state):
    copies = {name: value.clone() for name, value in state.items()}
    given = {name: value.clone() for name, value in state.items()}
    backbone = build_backbone(MicroAST, given, origin="memory")
    for value in given.values():
        value.zero_()
    for name, parameter in backbone.network.state_dict().items():
        assert torch.equal(parameter, copies[name])


def test_building_in_inference_mode(state):
    """As nodes do: the network can still be copied and moved."""
    with torch.inference_mode():
        backbone = build_backbone(MicroAST, state, origin="memory")
    assert not any(parameter.is_inference() for parameter in backbone.network.parameters())


# Fingerprints


def test_fingerprint_depends_on_values_alone(state):
    half = {name: value.half() for name, value in state.items()}
    full = {name: value.float() for name, value in half.items()}
    shuffled = dict(reversed(full.items()))
    turned = {
        n: v.to(memory_format=torch.channels_last) if v.ndim == 4 else v for n, v in full.items()
    }
    assert len(fingerprint(full)) == 64
    assert fingerprint(half) == fingerprint(full) == fingerprint(shuffled) == fingerprint(turned)


def test_fingerprint_by_hand():
    """Names, shapes and little-endian values, in the order of the names."""
    state = {"b": torch.tensor([1.0, -2.0]), "a": torch.zeros(1, 1)}
    stored = b"a:(1, 1);" + struct.pack("<f", 0) + b"b:(2,);" + struct.pack("<2f", 1, -2)
    assert fingerprint(state) == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {**s, "a": s["a"] + torch.tensor([0.0, 0.0, 1e-6])},
        lambda s: {**s, "a": s["a"].reshape(3, 1)},
        lambda s: {"b": s["b"], "c": s["a"]},
        lambda s: {"a": s["b"], "b": s["a"]},
        lambda s: {"a": s["a"]},
    ],
    ids=["value", "shape", "name", "swapped", "fewer"],
)
def test_fingerprint_differs_for_other_weights(change):
    state = {"a": torch.tensor([0.1, 0.2, 0.3]), "b": torch.tensor([0.3, 0.2, 0.1])}
    assert fingerprint(change(state)) != fingerprint(state)


def test_a_flipped_bit_in_weights_of_ours(tmp_path):
    """Files of others have no digest; those that urst writes, by training or converting, do."""
    path = tmp_path / "ours.safetensors"
    write_tensors(path, {"w": torch.arange(500.0)}, {"backbone": "microast"})
    assert torch.equal(read_weights(path)["w"], torch.arange(500.0))
    whole = bytearray(path.read_bytes())
    whole[-7] ^= 64
    path.write_bytes(whole)
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    assert str(caught.value) == (
        f"weights file {path} is not a readable safetensors file (changed after it was written); "
        "get it again"
    )
