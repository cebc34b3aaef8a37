"""API keys are read from a file and the environment, and a server without one stays local."""

import hashlib
import runpy
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.errors import UserError
from lockstep.serving import api_keys
from lockstep.serving.__main__ import check_exposure, open_socket
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api_keys import VARIABLE, ApiKeys, read_keys

HASH = hashlib.sha256(b"secret").hexdigest()


def test_the_command_prints_a_key_whose_line_lets_it_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = CliRunner().invoke(api_keys.main, ["shop"])
    assert result.exit_code == 0
    key = result.stderr.split()[-1]
    assert key not in result.stdout
    file = tmp_path / "keys"
    file.write_text(f"# clients\n{result.stdout}\nother:{HASH}  # another\n", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, f"third:{hashlib.sha256(b'x').hexdigest()}")
    keys = read_keys(str(file))
    assert keys.authenticate(f"Bearer {key}") == "shop"
    assert keys.authenticate("bearer secret") == "other"
    assert keys.authenticate("Bearer x") == "third"
    with pytest.raises(ApiError):
        keys.authenticate(f"Bearer {HASH}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop:secret", "keys:1: not NAME:HASH"),
        (HASH, "keys:1: not NAME:HASH"),
        (f"a:{HASH}\na:{HASH}", "keys:2: the name a is taken"),
        (f"local:{HASH}", "keys:1: the name local is taken"),
    ],
)
def test_a_line_that_is_no_key_is_refused_without_showing_it(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_keys(str(file))
    assert "secret" not in error.value.message
    with pytest.raises(UserError, match=r"absent: No such file or directory; correct serving"):
        read_keys(str(tmp_path / "absent"))


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    compare = api_keys.hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return compare(one, other)

    monkeypatch.setattr(api_keys.hmac, "compare_digest", spy)
    hashes = {name: hashlib.sha256(name.encode()).digest() for name in "abc"}
    assert ApiKeys(hashes).authenticate("Bearer a") == "a"
    assert compared == [*hashes.values()]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "model.example"])  # noqa: S104
def test_nothing_listens_beyond_this_machine_without_a_key(host: str) -> None:
    with pytest.raises(UserError, match="needs API keys"):
        check_exposure(host, ApiKeys({}))
    check_exposure(host, ApiKeys({"a": bytes(32)}))
    for local in ("127.0.0.1", "::1", "localhost"):
        check_exposure(local, ApiKeys({}))


def test_a_port_that_is_taken_is_named() -> None:
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        message = f"cannot listen on 127.0.0.1:{port} .Address already in use.; choose another"
        with pytest.raises(UserError, match=message):
            open_socket("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
def test_a_host_that_is_not_of_this_machine_is_named(host: str) -> None:
    with pytest.raises(UserError, match=f"cannot listen on {host}:0 .*; correct serving.host$"):
        open_socket(host, 0)


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("lockstep.serving", ["--port", "abc"], "Invalid value for '--port'"),
        ("lockstep.serving", ["--port", "65536"], "Invalid value for '--port'"),
        ("lockstep.serving.api_keys", [], "Missing argument 'NAME'"),
    ],
)
def test_a_wrong_option_is_one_line(
    module: str,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [module, *options])
    with pytest.raises(SystemExit) as end, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the module is imported already
        runpy.run_module(module, run_name="__main__")
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.startswith(f"error: {message}")
    assert error.count("\n") == 1
