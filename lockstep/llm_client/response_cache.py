"""A cache of model responses on disk, keyed by a hash of everything that a response depends on."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lockstep.errors import UserError


def make_key(*inputs: Any) -> str:
    """Return the sha256 of the inputs as JSON, in hexadecimal digits."""
    content = json.dumps(inputs, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def is_cached(key: str) -> bool:
    """Whether the cache has a response for the key."""
    return _cache_file(key).exists()


def read_response(key: str) -> Any:
    """Return the cached response; raise UserError if its file is damaged."""
    file = _cache_file(key)
    try:
        return json.loads(file.read_bytes())
    except ValueError:
        raise UserError(f"{file}: damaged cached response; remove the file and run again") from None


def write_response(key: str, response: Any) -> None:
    """Cache a response; the file appears under its name only once it is complete."""
    file = _cache_file(key)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(response), encoding="utf-8")
    partial.rename(file)


def _cache_file(key: str) -> Path:
    folder = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "responses")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{key}.json"
