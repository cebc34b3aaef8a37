"""What models answered, kept under a hash of what they were asked: a rerun asks nothing."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lockstep.errors import UserError


def key(*asked: Any) -> str:
    """The name of an answer: a sha256 of all that it depends on."""
    content = json.dumps(asked, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def path(key: str) -> Path:
    """Where the answer is kept, in .scratch/responses."""
    folder = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "responses")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{key}.json"


def read(key: str) -> Any:
    """The answer that is kept; UserError where the file is damaged."""
    try:
        return json.loads(path(key).read_bytes())
    except ValueError:
        raise UserError(f"{path(key)}: no kept answer; remove the file, then run again") from None


def keep(key: str, answer: Any) -> None:
    """Keep an answer, whole or not at all."""
    partial = path(key).with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.rename(path(key))
