"""Published weights files: detection, conversion, refusals."""

from __future__ import annotations

import ast
import json
import os
import struct
import sys
from pathlib import Path

import pytest
import torch
from examples import random_state, seeder, slow_where_large
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from urst_core.backbones import REGISTRY, find_backbone
from urst_core.backbones.adain import AdaIN
from urst_core.backbones.microast import MicroAST
from urst_core.cli import main as cli
from urst_core.errors import OutputError, SettingsError, WeightsError
from urst_core.weights.conversion import convert
from urst_core.weights.conversion.convert import convert_weights, read_published, save_conversion
from urst_core.weights.conversion.layouts import LAYOUTS
from urst_core.weights.conversion.torch7 import read_torch7
from urst_core.weights.loading import load_backbone


@pytest.fixture(scope="module")
def adain():
    return random_state(AdaIN(), 0)


@pytest.fixture(scope="module")
def microast():
    return random_state(MicroAST(), 0)


def part(state, prefix):
    """The tensors of one published file."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }


def stored(path, content, **options) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(files, backbone="adain") -> str:
    with pytest.raises(WeightsError) as caught:
        convert_weights(files, backbone)
    return str(caught.value)


def same(state, expected) -> bool:
    return state.keys() == expected.keys() and all(
        torch.equal(value, expected[name]) for name, value in state.items()
    )


# The published files of every method, made of the published keys and shapes


def golden_state(name, shared):
    """Each group of keys with seeded weights, as they were published."""
    recipe = json.loads((shared / "golden" / f"{name}.json").read_text())
    seeded_state_dict = seeder(shared)
    return {group: seeded_state_dict(shapes) for group, shapes in recipe["shapes"].items()}


def flat(state):
    """Normalizations as PyTorch's own layers store them."""
    return {
        name: value.flatten()
        if value.ndim == 4 and value.shape[0] == 1 != value.shape[1]
        else value
        for name, value in state.items()
    }


def adain_files(folder, groups):
    longer = {
        f"{n}.{kind}": torch.zeros(1) for n in range(32, 52, 3) for kind in ("weight", "bias")
    }
    return [
        stored(folder / "vgg_normalised.pth", groups["vgg"] | longer),
        stored(folder / "decoder_iter_160000.pth.tar", groups["decoder"]),
    ]


def linear_files(folder, groups):
    names = {"vgg": "vgg_r.pth", "decoder": "dec_r.pth", "matrix": "r.pth"}
    return [stored(folder / names[group], groups[group]) for group in names]


def johnson_files(folder, groups):
    wrapped = {f"module.{name}": value for name, value in flat(groups["model"]).items()}
    return [stored(folder / "mosaic.pth", wrapped)]


def msgnet_files(folder, groups):
    running = {"model1.1.running_mean": torch.zeros(64), "model.0.1.running_var": torch.ones(64)}
    content = groups["model"] | running
    return [stored(folder / "21styles.model", content, _use_new_zipfile_serialization=False)]


def multimodal_files(folder, groups):
    """As FeliMe stores the style subnet: other names for scale and shift, (C,) everywhere."""
    files = []
    for subnet in ("style_subnet", "enhance_subnet", "refine_subnet"):
        content = flat(part(groups["model"], f"{subnet}."))
        content["togray.weight"] = groups["model"]["style_subnet.togray.weight"]
        if subnet == "style_subnet":
            for name in ("in4", "in5", "rgb_in1", "l_in3"):
                content[f"{name}.scale"] = content.pop(f"{name}.weight")
                content[f"{name}.shift"] = content.pop(f"{name}.bias")
        else:
            del content["togray.weight"]
        files.append(stored(folder / f"{subnet}.pt", content))
    return files


def wct_files(folder, groups):
    return [
        stored(folder / f"{group}.pth", part(state, f"{group}.")) for group, state in groups.items()
    ]


def cd16x_files(folder, groups):
    files = []
    for group, state in groups.items():
        extra = {"aux21.weight": torch.zeros(3)} if group == "4SD" else {}
        content = {"model": state | extra, "epoch": 3} if group[0] in "24" else state
        files.append(stored(folder / f"{group}.pth", content))
    return files


def expected_state(name, groups):
    """What the network loads: all groups under their prefixes, without the unused."""
    if name == "wct":
        return {key: value for state in groups.values() for key, value in state.items()}
    prefix = {"johnson": "", "msgnet": "", "multimodal": ""}.get(name, "{group}.")
    state = {
        prefix.format(group=group) + key: value
        for group, tensors in groups.items()
        for key, value in tensors.items()
    }
    return {key: v for key, v in state.items() if not key.startswith(("model1.", "ins."))}


FILES = {
    "adain": adain_files,
    "linear_r31": linear_files,
    "linear_r41": linear_files,
    "johnson": johnson_files,
    "msgnet": msgnet_files,
    "multimodal": multimodal_files,
    "wct": wct_files,
    "cd16x": cd16x_files,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(FILES))
def test_published_files(name, tmp_path, shared):
    groups = golden_state(name, shared)
    files = FILES[name](tmp_path, groups)
    conversion = convert_weights(list(reversed(files)), name)
    expected = expected_state(name, groups)
    if name == "cd16x":
        expected = {key: value for key, value in expected.items() if "_aux" not in key}
    network = find_backbone(name).for_weights(conversion.state)
    assert conversion.state.keys() == expected.keys() == network.state_dict().keys()
    for key, value in conversion.state.items():
        assert torch.equal(value.flatten(), expected[key].flatten()), key
    assert {key.new for key in conversion.mapped} == expected.keys()
    assert {key.file for key in conversion.mapped} == {path.name for path in files}
    assert conversion.filled == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adain", {"50.bias": "layers behind relu4_1, where AdaIN stops"}),
        (
            "msgnet",
            {
                "model1.0.conv2d.weight": "a second copy of the same layers' weights",
                "ins.weight": "a second copy of the same layers' weights",
                "model.0.1.running_var": "statistics of the training, which no instance "
                "normalization uses",
            },
        ),
        (
            "cd16x",
            dict.fromkeys(
                ("conv11_aux.weight", "aux21.weight"), "layers that only the distillation used"
            ),
        ),
    ],
    ids=["adain", "msgnet", "cd16x"],
)
def test_reasons_for_dropping(name, expected, tmp_path, shared):
    conversion = convert_weights(FILES[name](tmp_path, golden_state(name, shared)), name)
    for old, reason in expected.items():
        assert {key.reason for key in conversion.dropped if key.old == old} == {reason}


@pytest.mark.slow
def test_msgnet_without_scales(tmp_path, shared):
    """The original 21styles.model: normalizations without weights, which are 1 and 0 then."""
    weights = golden_state("msgnet", shared)["model"]
    norms = [name for name, value in weights.items() if flat({name: value})[name] is not value]
    plain = {name: value for name, value in weights.items() if name not in norms}
    path = stored(tmp_path / "21styles.model", plain)
    conversion = convert_weights([path], "msgnet")
    assert set(conversion.filled) == {n for n in norms if not n.startswith("model1.")}
    for name in conversion.filled:
        value = 1.0 if name.endswith("weight") else 0.0
        assert bool((conversion.state[name] == value).all())
    one = min(conversion.filled)
    message = refusal([stored(path, plain | {one: weights[one]})], "msgnet")
    assert f"{len(conversion.filled) - 1} missing" in message


def test_pytorch_examples(tmp_path, shared):
    candy = load_file(shared / "weights" / "johnson_candy.safetensors")
    running = {
        f"{site}.running_{kind}": torch.zeros(128)
        for site in ("in1", "res3.in2")
        for kind in ("mean", "var")
    }
    path = stored(tmp_path / "candy.pth", candy | running)
    conversion = convert_weights([path], "johnson_examples")
    assert same(conversion.state, candy)
    assert {key.old for key in conversion.dropped} == running.keys()
    assert {key.reason for key in conversion.dropped} == {
        "statistics of the training, which no instance normalization uses"
    }


def test_conditional_bank_in_safetensors_and_pth(tmp_path, shared):
    path = shared / "weights" / "cin26.safetensors"
    bank = load_file(path)
    assert same(convert_weights([path], "cin").state, bank)
    assert same(convert_weights([stored(tmp_path / "bank.pth", bank)], "cin").state, bank)


@pytest.mark.parametrize("new_format", [True, False])
def test_microast_files_are_identified_by_name(tmp_path, microast, new_format):
    files = [
        stored(
            tmp_path / f"{name}_iter_160000.pth.tar",
            part(microast, f"{name}."),
            _use_new_zipfile_serialization=new_format,
        )
        for name in ("style_encoder", "decoder", "content_encoder", "modulator")
    ]
    conversion = convert_weights(files, "microast")
    assert same(conversion.state, microast)
    assert conversion.backbone == "microast"
    assert conversion.files == tuple(path.name for path in files)
    assert conversion.dropped == ()


def test_a_training_checkpoint_contains_all_parts(tmp_path, microast):
    content = {"net": microast, "optimizer": {"state": {}}, "epoch": 7}
    conversion = convert_weights([stored(tmp_path / "checkpoints.pth.tar", content)], "microast")
    assert same(conversion.state, microast)
    old_and_new = {(key.old, key.new) for key in conversion.mapped}
    assert old_and_new == {(name, name) for name in microast}
    assert {key.old for key in conversion.dropped} == {"optimizer", "epoch"}


@pytest.mark.slow
def test_converted_file_converts_to_itself(tmp_path, adain):
    path = tmp_path / "adain.safetensors"
    save_file(adain, path)
    assert same(convert_weights([path], "adain").state, adain)


def test_every_layout_is_of_a_backbone():
    assert set(LAYOUTS) <= set(REGISTRY)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_precision_is_kept_and_double_becomes_single(tmp_path, adain, dtype):
    files = [
        stored(tmp_path / f"{prefix}pth", {k: v.to(dtype) for k, v in part(adain, prefix).items()})
        for prefix in ("vgg.", "decoder.")
    ]
    conversion = convert_weights(files, "adain")
    kept = torch.float32 if dtype == torch.float64 else dtype
    for name, value in conversion.state.items():
        assert value.dtype == kept
        assert torch.equal(value, adain[name].to(dtype).to(kept))


# What is written


@pytest.fixture
def files(tmp_path, adain):
    return [
        stored(tmp_path / "vgg_normalised.pth", part(adain, "vgg.")),
        stored(tmp_path / "decoder.pth", part(adain, "decoder.")),
    ]


@pytest.mark.slow
def test_written_file_loads_and_names_its_source(tmp_path, adain, files):
    path = tmp_path / "adain.safetensors"
    save_conversion(convert_weights(files, "adain"), path)
    assert same(load_backbone("adain", path).network.state_dict(), adain)
    with safe_open(path, "pt") as file:
        header = file.metadata()
    facts = json.loads(header["urst"])
    assert len(facts.pop("sha256")) == 64
    assert facts == {
        "backbone": "adain",
        "converted_from": ["vgg_normalised.pth", "decoder.pth"],
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["adain.safetensors", "vgg_normalised.pth", "decoder.pth"]
    )


@pytest.mark.slow
def test_existing_file_is_replaced_only_when_asked(tmp_path, files):
    path = tmp_path / "adain.safetensors"
    path.write_text("mine")
    conversion = convert_weights(files, "adain")
    with pytest.raises(OutputError) as caught:
        save_conversion(conversion, path)
    assert str(caught.value) == f"{path} exists; choose another name, or pass overwrite=True"
    assert path.read_text() == "mine"
    save_conversion(conversion, path, overwrite=True)
    assert same(load_file(path), conversion.state)


@pytest.mark.slow
def test_other_ending(tmp_path, files):
    path = tmp_path / "adain.pth"
    with pytest.raises(OutputError) as caught:
        save_conversion(convert_weights(files, "adain"), path)
    assert str(caught.value) == (
        f"{path} is not a name for safetensors; use one that ends in .safetensors"
    )


@pytest.mark.slow
def test_place_that_cannot_be_written(tmp_path, files):
    path = tmp_path / "absent" / "adain.safetensors"
    with pytest.raises(OutputError) as caught:
        save_conversion(convert_weights(files, "adain"), path)
    assert str(caught.value).startswith(f"{path} cannot be written (")
    assert str(caught.value).endswith("); choose another place")


# What is refused


def test_no_file():
    assert refusal([]) == "no file to convert; give AdaIN's encoder or decoder"


def test_missing_file(tmp_path):
    path = tmp_path / "absent.pth"
    assert refusal([path]) == f"weights file {path} does not exist; check the path"


def test_unknown_backbone(files):
    with pytest.raises(SettingsError, match="backbone 'vgg' is unknown; use one of: microast"):
        convert_weights(files, "vgg")


def test_missing_part(files):
    assert refusal(files[:1]) == "AdaIN lacks its decoder; give that file too"


def test_level_without_its_decoder(tmp_path):
    """WCT runs with the levels that there are, but only with whole ones."""
    content = {"0.weight": (3, 3, 1, 1), "0.bias": (3,), "2.weight": (64, 3, 3, 3), "2.bias": (64,)}
    path = stored(tmp_path / "encoder.pth", {n: torch.ones(shape) for n, shape in content.items()})
    assert refusal([path], "wct") == "WCT lacks its decoder of level 1; give that file too"


def test_one_part_twice(tmp_path, files):
    again = tmp_path / "again.pth"
    again.write_bytes(files[1].read_bytes())
    assert refusal([*files, again]) == (
        f"{files[1]} and {again} both hold AdaIN's decoder; give one of them"
    )


@pytest.mark.slow
def test_file_of_another_backbone(tmp_path, microast, files):
    message = refusal(files, "microast")
    assert message.startswith(f"{files[0]} holds AdaIN's encoder")
    assert message.endswith(
        ", not MicroAST's content encoder or style encoder or modulator or decoder; "
        "give another file, or choose the backbone that it belongs to"
    )
    encoder = stored(tmp_path / "encoder.pth", part(microast, "style_encoder."))
    assert f"{encoder} holds MicroAST's content encoder or style encoder, not" in refusal([encoder])
    modulator = stored(tmp_path / "modulator.pth", part(microast, "modulator."))
    assert refusal([modulator]) == (
        f"{modulator} holds MicroAST's modulator, not AdaIN's encoder or decoder; "
        "give another file, or choose the backbone that it belongs to"
    )


def test_encoders_with_ambiguous_names(tmp_path, microast):
    path = stored(tmp_path / "encoder.pth", part(microast, "style_encoder."))
    assert refusal([path], "microast") == (
        f"{path} may be MicroAST's content encoder or style encoder, which have equal keys; "
        "put 'content' or 'style' into the file's name"
    )
    both = stored(tmp_path / "content_and_style.pth", part(microast, "style_encoder."))
    assert "may be MicroAST's content encoder or style encoder" in refusal([both], "microast")


@pytest.mark.slow
def test_file_that_almost_fits(tmp_path, adain):
    content = part(adain, "decoder.")
    del content["5.bias"]
    content["8.weight"] = torch.zeros(256, 256, 5, 5)
    content["99.weight"] = torch.zeros(2)
    path = stored(tmp_path / "decoder.pth", content)
    assert refusal([path]) == (
        f"{path} does not fit AdaIN: as its decoder, 1 missing (decoder.5.bias), "
        "1 extra (99.weight), decoder.8.weight has shape (256, 256, 5, 5), "
        "not (256, 256, 3, 3); use the published file"
    )


def test_file_with_foreign_content(tmp_path):
    path = stored(tmp_path / "lamp.pth", {f"lamp.{n}": torch.zeros(2) for n in range(4)})
    assert refusal([path]) == (
        f"{path} holds nothing of AdaIN, but lamp.0, lamp.1, lamp.2, …; "
        "give AdaIN's encoder or decoder"
    )


@pytest.mark.parametrize("content", [torch.zeros(3), [torch.zeros(3)], {"epoch": 3}, {}])
def test_no_named_tensors(tmp_path, content):
    path = stored(tmp_path / "other.pth", content)
    assert refusal([path]) == (
        f"{path} holds no named tensors; give a file of a network's state_dict()"
    )


@pytest.mark.slow
def test_values_that_are_not_finite(adain, files):
    content = part(adain, "decoder.")
    content["5.bias"] = torch.full((256,), float("nan"))
    message = refusal([files[0], stored(files[1], content)])
    assert message == (
        "weights vgg_normalised.pth, decoder.pth: decoder.5.bias holds NaN or infinite values; "
        "get the file again, or an earlier checkpoint"
    )


@pytest.mark.slow
def test_things_that_are_no_tensors_are_dropped(adain, files):
    content = {**part(adain, "decoder."), "epoch": 3, "counts": torch.zeros(2, dtype=torch.int64)}
    conversion = convert_weights([files[0], stored(files[1], content)], "adain")
    assert [(key.file, key.old, key.reason) for key in conversion.dropped] == [
        ("decoder.pth", "epoch", "no tensor of numbers"),
        ("decoder.pth", "counts", "no tensor of numbers"),
    ]


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.makedirs, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("ending", [".pth", ".pth.tar", ".model", ".safetensors"])
def test_pickles_that_need_more_are_refused_without_running(tmp_path, ending, new_format):
    path, crater = tmp_path / f"weights{ending}", tmp_path / "crater"
    stored(
        path,
        {"weight": torch.zeros(2), "bomb": Bomb(crater)},
        _use_new_zipfile_serialization=new_format,
    )
    assert refusal([path]) == (
        f"{path} holds more than tensors (os.makedirs), and reading that could run any "
        "code; where you trust it, load it in its own project, save its state_dict() alone with "
        "torch.save, and convert that"
    )
    assert not crater.exists()
    with path.open("rb") as file:
        torch.load(file, weights_only=False)
    assert crater.exists(), "the bomb is none, so the test above shows nothing"


def test_whole_modules_are_refused(tmp_path):
    """Multimodal Transfer was published so."""
    path = stored(tmp_path / "style_subnet.pt", nn.Sequential(nn.Conv2d(3, 3, 1)))
    message = refusal([path], "adain")
    assert "holds more than tensors (torch.nn.modules.container.Sequential)" in message


def test_damaged_pytorch_file(files):
    files[1].write_bytes(files[1].read_bytes()[:5000])
    message = refusal(files)
    assert message.startswith(f"{files[1]} cannot be read as a PyTorch file of tensors (")
    assert message.endswith("); get it again")


def test_file_of_unknown_format(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"GIF89a" * 50)
    assert f"{path} is not a readable safetensors file" in refusal([path])


def test_pytorch_in_which_tensors_alone_are_not_safe(files, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu121")
    assert refusal(files) == (
        f"{files[0]} could run code in PyTorch 2.5.1+cu121 even if only tensors are read "
        "(CVE-2025-32434); convert it with PyTorch 2.6 or later"
    )


def test_torch_load_is_asked_for_tensors_alone():
    tree = ast.parse(Path(convert.__file__).read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert len(calls) == 1
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in calls[0].keywords}
    assert options == {"map_location": "'cpu'", "weights_only": "True"}


# Torch7


class Torch7Writer:
    """Torch7's binary format, as far as networks of convolutions need it."""

    def __init__(self) -> None:
        self.content = b""
        self.objects = 0

    def integer(self, value):
        self.content += struct.pack("<i", value)

    def longs(self, *values):
        self.content += struct.pack(f"<{len(values)}q", *values)

    def string(self, text):
        self.integer(len(text))
        self.content += text.encode()

    def value(self, value):
        match value:
            case str():
                self.integer(2)
                self.string(value)
            case int():
                self.integer(1)
                self.content += struct.pack("<d", value)
            case dict():
                self.begin(3)
                self.integer(len(value))
                for key, item in value.items():
                    self.value(key)
                    self.value(item)

    def begin(self, kind):
        self.objects += 1
        self.integer(kind)
        self.integer(self.objects)

    def instance(self, name):
        self.begin(4)
        self.string("V 1")
        self.string(name)

    def tensor(self, tensor, *, sizes=None):
        self.instance("torch.FloatTensor")
        self.integer(tensor.ndim)
        self.longs(*(sizes or tensor.shape))
        self.longs(*tensor.stride())
        self.longs(1)
        self.instance("torch.FloatStorage")
        self.longs(tensor.numel())
        self.content += tensor.contiguous().numpy().tobytes()

    def network(self, layers, *, flat_kernels=False, sizes=None):
        """nn.Sequential; a layer is None or the weight and bias of a convolution."""
        self.instance("nn.Sequential")
        self.begin(3)
        self.integer(1)
        self.value("modules")
        self.begin(3)
        self.integer(len(layers))
        for number, layer in enumerate(layers, start=1):
            self.value(number)
            if layer is None:
                self.instance("nn.ReLU")
                self.value({"inplace": 1})
                continue
            weight, bias = layer
            self.instance("nn.SpatialConvolutionMM" if flat_kernels else "nn.SpatialConvolution")
            self.begin(3)
            self.integer(4)
            self.value("kW")
            self.value(weight.shape[3])
            self.value("kH")
            self.value(weight.shape[2])
            self.value("weight")
            self.tensor(weight.flatten(1) if flat_kernels else weight, sizes=sizes)
            self.value("bias")
            self.tensor(bias)


def torch7_file(path, layers, **options) -> Path:
    writer = Torch7Writer()
    writer.network(layers, **options)
    path.write_bytes(writer.content)
    return path


def kernel(*shape):
    return torch.rand(shape), torch.rand(shape[0])


@pytest.mark.parametrize("flat_kernels", [False, True])
def test_torch7_networks(tmp_path, flat_kernels):
    pytest.importorskip("torchfile")
    first, second = kernel(3, 3, 1, 1), kernel(64, 3, 3, 3)
    path = torch7_file(tmp_path / "vgg.t7", [first, None, second, None], flat_kernels=flat_kernels)
    state = read_torch7(path)
    expected = {
        "0.weight": first[0],
        "0.bias": first[1],
        "2.weight": second[0],
        "2.bias": second[1],
    }
    assert same(state, expected)


def test_wct_in_torch7_files(tmp_path):
    """One level; which files belong to it is in their layers."""
    pytest.importorskip("torchfile")
    color, encoder, decoder = kernel(3, 3, 1, 1), kernel(64, 3, 3, 3), kernel(3, 64, 3, 3)
    files = [
        torch7_file(tmp_path / "vgg_normalised_conv1_1.t7", [color, None, encoder, None]),
        torch7_file(tmp_path / "feature_invertor_conv1_1.t7", [None, decoder]),
    ]
    conversion = convert_weights(files, "wct")
    assert torch.equal(conversion.state["vgg1.2.weight"], encoder[0])
    assert torch.equal(conversion.state["decoder1.1.bias"], decoder[1])
    assert {(key.file, key.old, key.new) for key in conversion.mapped} >= {
        ("feature_invertor_conv1_1.t7", "1.weight", "decoder1.1.weight")
    }


def test_torch7_tensor_beyond_its_storage(tmp_path):
    """Such a file would make memory next to its values readable."""
    pytest.importorskip("torchfile")
    path = torch7_file(tmp_path / "vgg.t7", [kernel(3, 3, 1, 1)], sizes=(3, 300, 1, 1))
    with pytest.raises(WeightsError) as caught:
        read_torch7(path)
    assert str(caught.value) == (
        f"{path} is not a readable Torch7 network (ValueError: a tensor reaches beyond its "
        "storage); get it again"
    )


@pytest.mark.parametrize("content", [b"", b"\x04\x00\x00\x00", b"GIF89a" * 50])
def test_damaged_torch7_file(tmp_path, content):
    pytest.importorskip("torchfile")
    path = tmp_path / "vgg.t7"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_published(path)
    assert str(caught.value).startswith(f"{path} is not a readable Torch7 network (")
    assert str(caught.value).endswith("); get it again")


def test_torch7_without_torchfile(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchfile", None)
    path = torch7_file(tmp_path / "vgg.t7", [kernel(3, 3, 1, 1)])
    assert refusal([path]) == (
        f"{path} is a Torch7 file, which needs the library torchfile; pip install torchfile"
    )


# The command


@pytest.mark.slow
def test_command(tmp_path, adain, files, capsys):
    longer = {"32.weight": torch.zeros(1), "32.bias": torch.zeros(1)}
    stored(files[0], part(adain, "vgg.") | longer)
    output = tmp_path / "adain.safetensors"
    arguments = ["weights", "convert", *map(str, files), "--backbone", "adain", "-o", str(output)]
    assert cli.main(arguments) == 0
    assert same(load_file(output), adain)
    assert capsys.readouterr().out.splitlines() == [
        f"{output}: adain, 38 tensors",
        "  vgg.: 20 from vgg_normalised.pth",
        "  decoder.: 18 from decoder.pth",
        "  dropped: 2 of vgg_normalised.pth (32.weight, 32.bias): "
        "layers behind relu4_1, where AdaIN stops",
    ]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err == (
        f"urst: {output} exists; choose another name, or replace it with --overwrite\n"
    )
    assert cli.main([*arguments, "--overwrite"]) == 0


def test_command_refuses_before_it_reads(tmp_path, capsys):
    output = tmp_path / "adain.pth"
    absent = str(tmp_path / "absent.pth")
    assert cli.main(["weights", "convert", absent, "--backbone", "adain", "-o", str(output)]) == 1
    assert "is not a name for safetensors" in capsys.readouterr().err


@pytest.mark.slow
def test_command_reports_filled_in_tensors(tmp_path, shared, capsys):
    weights = golden_state("msgnet", shared)["model"]
    plain = {name: value for name, value in weights.items() if flat({name: value})[name] is value}
    path = stored(tmp_path / "21styles.model", plain)
    output = tmp_path / "msgnet.safetensors"
    assert (
        cli.main(["weights", "convert", str(path), "--backbone", "msgnet", "-o", str(output)]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("  all: ")
    assert lines[-1].startswith("  filled in: 64 (model.0.1.bias, ")
    assert lines[-1].endswith("): scales of 1 and shifts of 0, which the file leaves out")


@pytest.mark.parametrize("arguments", [["weights"], ["weights", "convert", "a.pth", "-o", "b"]])
def test_command_that_is_not_complete(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "required" in capsys.readouterr().err
