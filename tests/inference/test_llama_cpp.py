"""llama.cpp loads a file quietly, without a port, and leaves signals to Python."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psutil
import pytest

from lockstep.errors import UserError
from lockstep.inference.llama_cpp import GREEDY, SMALLEST_CONTEXT, LlamaCpp
from lockstep.models.gguf_folder import GGUF_FILE

PROMPT = list(range(40, 70))


class Stopped(BaseException):
    """Raised by the signal handler of a test."""


@pytest.fixture
def runtime(starter_gguf: Path) -> Iterator[LlamaCpp]:
    with LlamaCpp(starter_gguf / GGUF_FILE) as runtime:
        yield runtime


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def rename_architecture(content: bytes) -> bytes:
    return content.replace(b"qwen2", b"qwerz")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, r"tensor 'blk[\w.]+' data is not within the file bounds, .*incomplete"),
        (rename_architecture, "unknown model architecture: 'qwerz'"),
        (lambda content: b"<html>" + content, "invalid magic characters: '<htm', expected 'GGUF'"),
    ],
)
def test_a_file_that_does_not_load_is_named_in_one_line(
    starter_gguf: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[bytes], bytes],
    reason: str,
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(damage((starter_gguf / GGUF_FILE).read_bytes()))
    with pytest.raises(UserError) as error:
        LlamaCpp(file).load(1)
    assert re.fullmatch(
        rf".*model.gguf: llama.cpp cannot load it \({reason}\); run `dvc repro` to create it again",
        error.value.message,
    )
    assert capfd.readouterr() == ("", "")


def test_no_port_is_opened_and_nothing_is_printed(
    runtime: LlamaCpp, capfd: pytest.CaptureFixture[str]
) -> None:
    before = psutil.Process().net_connections("inet")
    assert len(runtime.complete(PROMPT, 4, **GREEDY)["tokens"]) == 4
    assert psutil.Process().net_connections("inet") == before
    (path,) = {c.laddr for c in psutil.Process().net_connections("unix") if "llama" in c.laddr}
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    runtime.close()
    assert not Path(path).parent.exists()
    assert capfd.readouterr() == ("", "")


def test_a_temporary_folder_may_have_a_path_that_is_too_long_for_a_socket(
    runtime: LlamaCpp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("job-" * 30)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert len(runtime.complete(PROMPT, 4, **GREEDY)["tokens"]) == 4


def test_a_longer_request_loads_a_larger_context_which_changes_no_answer(
    runtime: LlamaCpp,
) -> None:
    """The starter was trained on 512 tokens, of which llama.cpp does not make more."""
    options = {**GREEDY, "n_probs": 1}
    short = runtime.complete(PROMPT, 20, **options)
    assert runtime.context == SMALLEST_CONTEXT
    runtime.load(SMALLEST_CONTEXT + 1)
    assert runtime.context == 2 * SMALLEST_CONTEXT
    long = runtime.complete(PROMPT, 20, **options)
    for key in ("tokens", "completion_probabilities"):
        assert long[key] == short[key]


def test_a_request_that_fails_is_an_error(runtime: LlamaCpp) -> None:
    with pytest.raises(RuntimeError, match=r"model.gguf: llama.cpp: Prompt contains invalid token"):
        runtime.complete([10**6], 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_request_by_python_s_handler(runtime: LlamaCpp, number: int) -> None:
    def stop(received: int, frame: FrameType | None) -> None:
        raise Stopped

    previous = signal.signal(number, stop)
    try:
        runtime.load(SMALLEST_CONTEXT)
        timer = threading.Timer(0.05, os.kill, [os.getpid(), number])
        timer.start()
        started = time.monotonic()
        with pytest.raises(Stopped):
            for _ in range(1000):
                runtime.complete(PROMPT, 400, ignore_eos=True, **GREEDY)
        runtime.close()
        assert time.monotonic() - started < 10
    finally:
        signal.signal(number, previous)
