"""API keys: only their SHA-256 hashes are stored; print a new key and its line by running this.

A key has 256 random bits, so its plain hash cannot be searched.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from lockstep.errors import UserError, exit_on_mistake
from lockstep.serving.api.api_errors import ApiError

VARIABLE = "LOCKSTEP_API_KEYS"
"""Environment variable with more lines of a key file, separated by commas."""

LOCAL = "local"
"""Name in logs and limits of all clients of a server without keys."""

_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The API keys of a server."""

    hashes: Mapping[str, bytes]
    """Name of each key and its SHA-256; without any, every client is let in."""

    def authenticate(self, authorization: str) -> str:
        """Return the name of the key in an Authorization header; raise ApiError if it has none.

        Every hash is compared, each in constant time, so the time tells nothing about the keys.
        """
        if not self.hashes:
            return LOCAL
        scheme, _, key = authorization.partition(" ")
        digest = hashlib.sha256(key.strip().encode()).digest()
        match = ""
        for name, stored in self.hashes.items():
            if hmac.compare_digest(digest, stored):
                match = name
        if scheme.lower() != "bearer" or not match:
            raise ApiError(
                401, "invalid_api_key", "send a valid API key: Authorization: Bearer KEY"
            )
        return match


def read_keys(file: str) -> ApiKeys:
    """Read the keys of a file and of the environment; raise UserError if a line is no key."""
    lines = [(VARIABLE, part) for part in os.environ.get(VARIABLE, "").split(",")]
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            raise UserError(f"{file}: {reason}; correct serving.keys_file") from None
        lines += [(f"{file}:{at}", line) for at, line in enumerate(text.splitlines(), start=1)]
    return ApiKeys(_parse_lines(lines))


def _parse_lines(lines: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    hashes: dict[str, bytes] = {}
    for place, line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise UserError(
                f"{place}: not NAME:HASH of an API key; `python -m lockstep.serving.api_keys NAME` "
                "prints such a line"
            )
        if match[1] in hashes or match[1] == LOCAL:
            raise UserError(f"{place}: the name {match[1]} is taken; give the key another name")
        hashes[match[1]] = bytes.fromhex(match[2])
    return hashes


@click.command(help=__doc__)
@click.argument("name")
@click.option("--key-file", type=click.Path(path_type=Path), help="new file for the key itself")
def main(name: str, key_file: Path | None) -> None:
    key = secrets.token_urlsafe(32)
    line = f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"
    _parse_lines([("NAME", line)])
    if key_file:
        _write_key(key, key_file)
    else:
        click.echo(f"key (shown once, for the client): {key}", err=True)
    click.echo(line)


def _write_key(key: str, file: Path) -> None:
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(key)
    except FileExistsError:
        raise UserError(f"{file}: exists; name a new file for the key") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; name a new file for the key") from None


if __name__ == "__main__":
    with exit_on_mistake():
        main(standalone_mode=False)
