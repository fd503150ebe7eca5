"""The loop: the same weights however often it stops, and nothing lost if it fails."""

from __future__ import annotations

import dataclasses
import errno
import functools
import gc
import json
import os
import re
import threading
from types import SimpleNamespace

import pytest
import torch
from examples import picture, save_picture, slow_where_large, stored_picture
from safetensors import safe_open
from torch import nn
from training_examples import (
    EDGE,
    IMAGE_SIZE,
    TinyRecipe,
    ignore,
    made_up_batch,
    make_trainer,
    microast_recipe,
    open_batches,
    open_folder,
    random_vgg,
    save_pictures,
    settings,
)

from urst_core.errors import DeviceError, OutputError, SettingsError, TrainingError
from urst_core.training import trainer as trainer_module
from urst_core.training.batches import Batches
from urst_core.training.checkpoint import Checkpoint
from urst_core.training.pictures import PictureFolder
from urst_core.training.recipe import LossWeights
from urst_core.training.recipes.adain import AdaINRecipe
from urst_core.training.recipes.johnson import JohnsonRecipe
from urst_core.training.trainer import Trainer
from urst_core.weights.loading import load_backbone


@pytest.fixture
def path(tmp_path):
    """Where the checkpoint goes."""
    return tmp_path / "run.checkpoint.safetensors"


def learned(trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.recipe.learned_parameters()}


def farthest(first, second) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


class StopError(Exception):
    """What a listener raises."""


def stop_at(step: int):
    def listen(progress):
        if progress.step == step:
            raise StopError

    return listen


# Learning


@pytest.mark.slow
def test_losses_fall(pictures, path):
    """The same two pictures again and again."""
    trainer = make_trainer(pictures, path, steps=40, learning_rate=2e-2)
    batch = made_up_batch(2)
    trainer._batches = SimpleNamespace(at=lambda _step: batch, description=dict)
    totals = []
    trainer.run(lambda progress: totals.append(sum(progress.losses.values())))
    assert totals[-1] < 0.8 * totals[0]


def test_progress(pictures, path):
    trainer = make_trainer(pictures, path, steps=4, learning_rate=0.001, final_share=1)
    seen = []
    trainer.run(seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert [progress.done for progress in seen] == [0.25, 0.5, 0.75, 1.0]
    assert [progress.learning_rate for progress in seen] == [0.0005, 0.001, 0.001, 0.001]
    assert sorted(seen[0].losses) == ["content", "contrastive", "stroke", "style"]
    seconds = [progress.seconds for progress in seen]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert trainer.seconds == seconds[-1]


@pytest.mark.slow
def test_only_trained_parameters_change(vgg, pictures, path):
    recipe = AdaINRecipe(vgg)
    trainer = make_trainer(pictures, path, recipe=recipe, steps=2, weights=LossWeights())
    before = {name: value.clone() for name, value in recipe.network.state_dict().items()}
    vgg = {name: value.clone() for name, value in recipe.vgg.state_dict().items()}
    trainer.run(ignore)
    for name, value in recipe.network.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("vgg."), name
    assert farthest(dict(recipe.vgg.state_dict()), vgg) == 0
    weights = trainer.averaged_weights()
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[n], before[n]) for n in weights if n.startswith("vgg."))


def test_the_step_of_adam_by_hand(pictures, path):
    """Adam's first step is the learning rate against each gradient's sign, here a quarter."""
    trainer = make_trainer(pictures, path, steps=9, learning_rate=0.004, warmup=4, final_share=1)
    before = learned(trainer)
    trainer.run(ignore, stop_after=1)
    checked = 0
    for name, parameter in trainer.recipe.learned_parameters():
        felt = parameter.grad.abs() > 1e-5  # much more than Adam's epsilon
        step = (parameter.detach() - before[name])[felt]
        assert torch.allclose(step, -0.001 * parameter.grad[felt].sign(), rtol=1e-2)
        checked += len(step)
    assert checked > 300


def test_long_gradients_are_shortened(pictures, path, monkeypatch):
    norms = []
    clip = nn.utils.clip_grad_norm_

    def seen(parameters, most):
        parameters = list(parameters)
        norm = clip(parameters, most)
        norms.append((float(norm), float(torch.cat([p.grad.flatten() for p in parameters]).norm())))
        return norm

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", seen)
    make_trainer(pictures, path, steps=2, clip_norm=0.01).run(ignore)
    for before, after in norms:
        assert before > 0.01
        assert after == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_where_large(["microast", "adain", "johnson"]))
def test_bfloat16_on_the_processor(vgg, pictures, path, name):
    style = picture((EDGE, EDGE + 9))[None]
    recipe = {
        "microast": microast_recipe,
        "adain": lambda: AdaINRecipe(vgg),
        "johnson": lambda: JohnsonRecipe(random_vgg(thinness=16), style),
    }[name]()
    weights = recipe.default_weights
    trainer = make_trainer(
        pictures, path, recipe=recipe, steps=2, precision="bf16", weights=weights
    )
    before = learned(trainer)
    trainer.run(ignore)
    after = learned(trainer)
    assert farthest(before, after) > 0
    for value in after.values():
        assert value.dtype == torch.float32
        assert bool(value.isfinite().all())
    assert Checkpoint.load(path).run["precision"] == "torch.bfloat16"


# The average


@pytest.mark.slow
def test_average_by_hand(pictures, path):
    """decay = min(0.25, 1/10), then min(0.25, 2/11), 3/12, 4/13: 0.1, 0.1818, 0.25, 0.25."""
    trainer = make_trainer(pictures, path, steps=4, ema_decay=0.25)
    name = next(iter(learned(trainer)))
    seen = [learned(trainer)[name]]
    trainer.run(lambda _: seen.append(learned(trainer)[name]))
    expected = seen[0]
    for decay, value in zip((1 / 10, 2 / 11, 0.25, 0.25), seen[1:]):
        expected = decay * expected + (1 - decay) * value
    average = trainer.averaged_weights()[name]
    assert torch.allclose(average, expected, atol=1e-7)
    assert not torch.allclose(average, seen[-1], atol=1e-7)


def test_no_average(pictures, path):
    trainer = make_trainer(pictures, path, steps=3, ema_decay=0.0)
    trainer.run(ignore)
    assert farthest(trainer.averaged_weights(), learned(trainer)) == 0


# Stopped and resumed


class Remembered:
    """Batches that are made once; other tests show that they are always the same."""

    def __init__(self, batches):
        self.at = functools.cache(batches.at)
        self.description = batches.description


@pytest.mark.slow
def test_resumed_training_gives_the_same_weights(pictures, tmp_path):
    """40 steps in one go; and parted by a listener's error at 20, and by a limit at 30."""
    batches = Remembered(open_batches(pictures))
    chosen = settings(steps=40, learning_rate=1e-3)

    def make(name):
        return Trainer(TinyRecipe(), batches, chosen, tmp_path / name)

    def resumed(before):
        trainer = make("parted")
        trainer.resume()
        assert trainer.step == trainer.saved_step == before.step == before.saved_step
        assert trainer.seconds == before.seconds
        assert farthest(learned(trainer), learned(before)) == 0
        assert farthest(trainer.averaged_weights(), before.averaged_weights()) == 0
        return trainer

    at_once = make("at_once")
    at_once.run(ignore)
    first = make("parted")
    with pytest.raises(StopError):
        first.run(stop_at(20))
    assert first.step == 20
    second = resumed(first)
    second.run(ignore, stop_after=30)
    assert second.step == 30
    third = resumed(second)
    third.run(ignore)
    assert third.step == 40
    assert farthest(learned(third), learned(at_once)) <= 1e-6
    assert farthest(third.averaged_weights(), at_once.averaged_weights()) <= 1e-6
    # They have changed, so the comparison means something.
    assert farthest(learned(first), learned(at_once)) > 1e-3


@pytest.mark.slow
def test_resumed_training_with_kept_styles_and_shallow_steps(pictures, tmp_path):
    """Stopped in the middle of a cycle; statistics of styles are measured again."""
    chosen = {"steps": 9, "style_crops": 2, "deep_every": 4}

    def make(name):
        batches = dataclasses.replace(open_batches(pictures), style_crops=2)
        return Trainer(TinyRecipe(), batches, settings(**chosen), tmp_path / name)

    at_once = make("at_once")
    at_once.run(ignore)
    make("parted").run(ignore, stop_after=6)
    resumed = make("parted")
    resumed.resume()
    resumed.run(ignore)
    assert farthest(learned(at_once), learned(resumed)) <= 1e-6


@pytest.mark.slow
def test_losses_of_deep_and_shallow_steps(pictures, path):
    trainer = make_trainer(pictures, path, steps=5, deep_every=3)
    seen = []
    trainer.run(lambda progress: seen.append(sorted(progress.losses)))
    deep = ["content", "contrastive", "stroke", "style"]
    shallow = ["contrastive", "style"]
    assert seen == [deep, shallow, shallow, deep, shallow]


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 3, 7])
def test_stopped_anywhere(pictures, path, steps):
    trainer = make_trainer(pictures, path.with_name("other"), steps=7)
    trainer.run(ignore)
    make_trainer(pictures, path, steps=7).run(ignore, stop_after=steps)
    resumed = make_trainer(pictures, path, steps=7)
    resumed.resume()
    resumed.run(ignore)
    assert farthest(learned(trainer), learned(resumed)) <= 1e-6
    assert resumed.step == 7


@pytest.mark.slow
def test_resumed_before_the_first_step(pictures, path):
    trainer = make_trainer(pictures, path, steps=2)
    trainer.save_checkpoint()
    resumed = make_trainer(pictures, path, steps=2)
    resumed.resume()
    resumed.run(ignore)
    trainer.run(ignore)
    assert farthest(learned(trainer), learned(resumed)) == 0


def test_resumed_after_the_end(pictures, path):
    trainer = make_trainer(pictures, path, steps=2)
    trainer.run(ignore)
    resumed = make_trainer(pictures, path, steps=2)
    resumed.resume()
    resumed.run(stop_at(3))
    assert resumed.step == 2
    assert farthest(learned(trainer), learned(resumed)) == 0


def test_a_longer_schedule_resumes(pictures, path):
    make_trainer(pictures, path, steps=2).run(ignore)
    resumed = make_trainer(pictures, path, steps=3)
    resumed.resume()
    resumed.run(ignore)
    assert resumed.step == 3


@pytest.mark.slow
def test_broken_pictures_do_not_part_a_resumed_training_from_the_other(tmp_path, path):
    """One half knows of the broken picture already, the other finds it again."""
    save_pictures(tmp_path / "content", 3)
    save_pictures(tmp_path / "style", 2)
    broken = save_picture(tmp_path / "content" / "broken.jpg", stored_picture((200, 300)))
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])

    def make(checkpoint_path):
        contents = open_folder(tmp_path / "content", report=said.append)
        batches = Batches(contents, open_folder(tmp_path / "style", EDGE), 2, IMAGE_SIZE, EDGE, 0)
        return Trainer(TinyRecipe(), batches, settings(steps=12), checkpoint_path)

    said: list[str] = []
    at_once = make(path.with_name("other"))
    at_once.run(ignore)
    assert len(said) == 1
    make(path).run(ignore, stop_after=6)
    resumed = make(path)
    resumed.resume()
    resumed.run(ignore)
    assert farthest(learned(at_once), learned(resumed)) <= 1e-6


def test_no_checkpoint_to_resume(pictures, path):
    trainer = make_trainer(pictures, path)
    with pytest.raises(TrainingError, match=r"there is no checkpoint .* to resume from"):
        trainer.resume()
    path.write_bytes(b"garbage")
    with pytest.raises(TrainingError, match="is damaged"):
        trainer.resume()


def test_every_changed_setting_is_named(pictures, path):
    make_trainer(pictures, path).save_checkpoint()
    changed = make_trainer(
        pictures,
        path,
        learning_rate=0.5,
        warmup=7,
        seed=3,
        batch_size=3,
        weights=LossWeights(stroke=0.25),
        precision="bf16",
        clip_norm=1.0,
        ema_decay=0.5,
        final_share=0.5,
    )
    with pytest.raises(TrainingError) as caught:
        changed.resume()
    assert str(caught.value) == (
        "the checkpoint belongs to another training run, it had: average decay 0.999, not 0.5; "
        "batch size 2, not 3; contrastive weight 3.0, not 0.0; final share 0.01, not 0.5; gradient "
        "norm 10.0, not 1.0; learning rate 0.0001, not 0.5; precision torch.float32, not "
        "torch.bfloat16; seed 0, not 3; stroke weight 1.0, not 0.25; style weight 3.0, not 1.0; "
        "warmup 2, not 7; use the same settings, or start another training run from its "
        "weights with start_from"
    )
    assert changed.step == 0


def test_other_pictures_networks_and_vggs_are_named(pictures, path, tmp_path):
    make_trainer(pictures, path).save_checkpoint()
    for name in ("content", "style"):
        save_pictures(tmp_path / name, 2)
    johnson = JohnsonRecipe(random_vgg(thinness=16, seed=1), picture((EDGE, EDGE))[None])
    weights = TinyRecipe.default_weights
    johnson.has_signals = True  # so that the default weights are accepted
    with pytest.raises(TrainingError) as caught:
        make_trainer(tmp_path, path, recipe=johnson, weights=weights).resume()
    message = str(caught.value)
    for name in ("VGG", "backbone", "content pictures", "style pictures", "style"):
        assert re.search(rf"(: |; ){name} [^;]+, not ", message)
    assert "backbone tiny, not johnson_examples" in message
    assert message.count(", not ") == 5


def test_contrastive_loss_is_refused_before_any_work(pictures, path):
    recipe = JohnsonRecipe(random_vgg(thinness=16), picture((EDGE, EDGE))[None])
    with pytest.raises(SettingsError, match="has no style signals to contrast"):
        make_trainer(pictures, path, recipe=recipe, weights=LossWeights(contrastive=1.0))
    assert not path.exists()


# Time


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves when it is told to."""
    fake = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


def slow(trainer, clock, seconds=15.0):
    """Let each step take that long."""
    take_step = trainer._take_step

    def taken(batch, rate):
        clock.now += seconds
        return take_step(batch, rate)

    trainer._take_step = taken
    return trainer


@pytest.mark.slow
def test_time_budget(pictures, path, clock):
    """A minute in steps of 15 seconds; what listeners and checkpoints take is not counted."""
    trainer = make_trainer(pictures, path, steps=None, minutes=1.0, checkpoint_minutes=0.0)
    slow(trainer, clock)
    seen = []

    def listen(progress):
        seen.append((progress.step, progress.seconds, progress.done))
        clock.now += 1000

    trainer.run(listen)
    assert seen == [(1, 15, 0.25), (2, 30, 0.5), (3, 45, 0.75), (4, 60, 1.0)]


def test_time_counts_over_all_starts(pictures, path, clock):
    chosen = {"steps": None, "minutes": 1.0}
    slow(make_trainer(pictures, path, **chosen), clock).run(ignore, stop_after=3)
    clock.now += 10_000
    resumed = slow(make_trainer(pictures, path, **chosen), clock)
    resumed.resume()
    assert resumed.seconds == 45
    resumed.run(ignore)
    assert (resumed.step, resumed.seconds) == (4, 60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "minutes", "taken"), [(2, 1.0, 2), (100, 1.0, 4), (3, 0.75, 3), (1, 1e-9, 1)]
)
def test_the_first_of_both_limits_counts(pictures, path, clock, steps, minutes, taken):
    trainer = slow(make_trainer(pictures, path, steps=steps, minutes=minutes), clock)
    trainer.run(ignore)
    assert trainer.step == taken


@pytest.mark.slow
def test_checkpoints_are_written_on_the_way(pictures, path, clock):
    """Every half minute, in steps of 15 seconds; and before the first step."""
    trainer = slow(make_trainer(pictures, path, steps=8, checkpoint_minutes=0.5), clock)
    saved = []
    trainer.run(lambda _: saved.append(Checkpoint.load(path).step))
    # "More than" half a minute is every third step.
    assert saved == [0, 0, 0, 3, 3, 3, 6, 6]
    assert Checkpoint.load(path).step == 8


# Failures


class Failing(TinyRecipe):
    """Whose loss is not a number at one step."""

    def __init__(self, at: int, value: float = float("nan")):
        super().__init__()
        self._at, self._value, self._calls = at, value, 0

    def losses(self, batch, weights, **options):
        losses = super().losses(batch, weights, **options)
        self._calls += 1
        if self._calls == self._at:
            losses["style"] = losses["style"] * self._value
        return losses


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "kept"), [(0.0, 4), (5.0, 0)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_loss_is_refused(pictures, path, minutes, kept, value):
    recipe = Failing(5, value)
    trainer = make_trainer(pictures, path, recipe=recipe, steps=9, checkpoint_minutes=minutes)
    seen = []
    with pytest.raises(TrainingError) as caught:
        trainer.run(lambda _: seen.append(learned(trainer)))
    message = str(caught.value)
    assert message.startswith("the loss or gradient of step 5 is not finite (content ")
    assert f"style {value}" in message
    assert message.endswith(
        f"; the checkpoint of step {kept} is kept; start another training run from its weights "
        "with start_from, or lower learning_rate, or pass precision='fp32'"
    )
    checkpoint = Checkpoint.load(path)
    assert checkpoint.step == kept
    if kept:
        assert farthest(dict(checkpoint.tensors["weights"]), seen[3]) == 0


def test_nan_gradient_is_refused(pictures, path, monkeypatch):
    """The loss alone may still be one."""
    infinite = torch.tensor(float("inf"))
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *_arguments: infinite)
    trainer = make_trainer(pictures, path)
    before = learned(trainer)
    with pytest.raises(TrainingError, match="loss or gradient of step 1 is not finite"):
        trainer.run(ignore)
    assert farthest(before, learned(trainer)) == 0


def test_all_pictures_broken_in_the_middle(tmp_path, path):
    """The steps so far are kept."""
    for name in ("content", "style"):
        save_pictures(tmp_path / name, 2)
    trainer = make_trainer(tmp_path, path, steps=9)
    trainer._batches.contents.report = ignore

    def listen(progress):
        if progress.step == 2:
            for file in (tmp_path / "content").iterdir():
                file.write_bytes(b"broken")

    with pytest.raises(TrainingError, match="all 2 pictures are broken"):
        trainer.run(listen)
    # The next batch was prepared already when they broke.
    assert trainer.step in (2, 3)
    assert Checkpoint.load(path).step == trainer.step


@pytest.mark.parametrize("words", ["CUDA out of memory", "not enough memory: you tried"])
def test_out_of_memory(pictures, path, words):
    trainer = make_trainer(pictures, path)

    def losses(*_arguments, **_options):
        raise RuntimeError(words)

    trainer.recipe.losses = losses
    with pytest.raises(DeviceError) as caught:
        trainer.run(ignore)
    assert str(caught.value) == (
        "cpu has too little free memory for a training step; "
        "use a smaller batch size or image size or another device"
    )
    assert Checkpoint.load(path).step == 0


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), ZeroDivisionError("x")])
def test_whatever_a_listener_raises_ends_with_a_checkpoint(pictures, path, error):
    def listen(progress):
        if progress.step == 2:
            raise error

    trainer = make_trainer(pictures, path, steps=9)
    with pytest.raises(type(error)):
        trainer.run(listen)
    assert Checkpoint.load(path).step == 2


def no_space(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.slow
def test_full_disk_on_the_way(pictures, path, monkeypatch):
    trainer = make_trainer(pictures, path, steps=9, checkpoint_minutes=0.0)

    def listen(progress):
        if progress.step == 3:
            monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(TrainingError) as caught:
        trainer.run(listen)
    assert str(caught.value) == (
        f"checkpoint {path} of step 3 cannot be written ([Errno 28] No space left on device); "
        "the previous one is kept; free some space, or pass resume=True"
    )
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name]
    resumed = make_trainer(pictures, path, steps=9)
    resumed.resume()
    assert resumed.step == 2
    resumed.run(ignore)
    assert resumed.step == 9


def test_full_disk_before_the_first_step(pictures, path, monkeypatch):
    """Not after hours."""
    monkeypatch.setattr(os, "fsync", no_space)
    trainer = make_trainer(pictures, path)
    with pytest.raises(TrainingError, match="of step 0 cannot be written"):
        trainer.run(stop_at(1))
    assert trainer.step == 0
    assert trainer.saved_step is None


def test_listener_and_checkpoint_both_fail(pictures, path, monkeypatch):
    """Both are said, and the checkpoint before is there."""
    trainer = make_trainer(pictures, path, steps=9)

    def listen(progress):
        if progress.step == 2:
            monkeypatch.setattr(os, "fsync", no_space)
            raise OutputError("no grid")

    with pytest.raises(TrainingError) as caught:
        trainer.run(listen)
    assert str(caught.value) == (
        f"checkpoint {path} of step 2 cannot be written ([Errno 28] No space left on device); "
        "the previous one is kept; training was ended by OutputError no grid; free some space, or "
        "pass resume=True"
    )
    assert isinstance(caught.value.__cause__, OutputError)
    assert Checkpoint.load(path).step == 0


# The result


@pytest.mark.slow
def test_weights_file(pictures, path, tmp_path):
    trainer = make_trainer(pictures, path, recipe=microast_recipe(), steps=3)
    trainer.run(ignore)
    output = tmp_path / "out.safetensors"
    trainer.save_weights(output)
    backbone = load_backbone("microast", output)
    assert farthest(dict(backbone.network.state_dict()), trainer.averaged_weights()) == 0
    with safe_open(output, "pt") as file:
        header = file.metadata()
    facts = json.loads(header["urst"])
    assert facts["backbone"] == "microast"
    assert facts["training"]["learning rate"] == "0.0001"


def test_full_disk_at_the_weights(pictures, path, tmp_path, monkeypatch):
    trainer = make_trainer(pictures, path, steps=1)
    trainer.run(ignore)
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError) as caught:
        trainer.save_weights(output)
    assert str(caught.value) == (
        f"weights {output} cannot be written ([Errno 28] No space left on device); "
        "free some space, or pass resume=True"
    )
    assert output.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == [output.name, path.name]


@pytest.mark.slow
def test_memory_does_not_grow_with_steps(pictures, path):
    """What a step made is gone when the next one is over."""
    counts = []

    def listen(progress):
        if progress.step in (3, 8):
            gc.collect()
            counts.append(sum(type(thing) is torch.Tensor for thing in gc.get_objects()))

    make_trainer(pictures, path, steps=8).run(listen)
    assert abs(counts[1] - counts[0]) <= 6  # a prefetched batch more or less


def test_pictures_are_prepared_while_a_step_is_taken(pictures, path, monkeypatch):
    crops = PictureFolder.crops
    calls, second_batch, waited = [], threading.Event(), []

    def counted(self, *arguments):
        calls.append(arguments)
        # The first batch took two: of photographs, and of paintings.
        if len(calls) == 3:
            second_batch.set()
        return crops(self, *arguments)

    monkeypatch.setattr(PictureFolder, "crops", counted)
    trainer = make_trainer(pictures, path, steps=3)
    take_step = trainer._take_step

    def taken(batch, rate):
        waited.append(second_batch.wait(60))
        return take_step(batch, rate)

    trainer._take_step = taken
    trainer.run(ignore)
    assert waited == [True] * 3
