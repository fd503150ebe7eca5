"""Signals wait until a step is complete."""

from __future__ import annotations

import signal

import pytest

from urst_core.cli.signals import StopSignals

NUMBERS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@pytest.fixture(autouse=True)
def heard():
    """Whoever runs the tests in the background may have signals ignored: not here."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_raised_when_it_is_asked_for(number):
    with StopSignals() as signals, signals.after_step() as stop:
        stop.check()
        signal.raise_signal(number)
        expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
        with pytest.raises(expected) as caught:
            stop.check()
    if expected is SystemExit:
        assert caught.value.code == 128 + number


def test_asked_twice_it_does_not_wait():
    with StopSignals() as signals, signals.after_step():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_after_a_request_to_end_does_not_wait_either():
    with StopSignals() as signals, signals.after_step():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back():
    with StopSignals():
        assert all(signal.getsignal(number) != signal.SIG_DFL for number in NUMBERS)
    assert all(signal.getsignal(number) == signal.SIG_DFL for number in NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_ignored_signals_stay_ignored(number):
    """As under nohup, or in the background of a shell."""
    signal.signal(number, signal.SIG_IGN)
    with StopSignals() as signals, signals.after_step() as stop:
        signal.raise_signal(number)
        stop.check()
        assert signal.getsignal(number) == signal.SIG_IGN


def test_systems_without_sighup(monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    with StopSignals() as signals, signals.after_step() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit):
            stop.check()


@pytest.mark.parametrize("number", NUMBERS)
def test_outside_of_steps_it_is_raised_at_once_and_kept(number):
    """Kept, since exceptions in a library's callback may be lost."""
    expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with StopSignals() as stop:
        with pytest.raises(expected):
            signal.raise_signal(number)
        with pytest.raises(expected):
            stop.check()
