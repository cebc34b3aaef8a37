"""Read a stage's output at a commit from the workspace, DVC's cache or the remote."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from lockstep import predictions
from lockstep.errors import UserError
from lockstep.predictions import Prediction
from lockstep.review.snapshot import Snapshot


@contextmanager
def open_output(side: Snapshot, path: str) -> Iterator[IO[str]]:
    """Open a file in a stage's output; raise UserError if it is nowhere."""
    if side.commit is None and (side.root / path).is_file():
        with (side.root / path).open(encoding="utf-8") as file:
            yield file
        return
    import dvc.api
    from dvc_data.index import DataIndexDirError

    try:
        text = dvc.api.read(path, repo=str(side.root), rev=side.commit, encoding="utf-8")
    except (DataIndexDirError, FileNotFoundError):
        raise UserError(f"{path} of {side.name} is in no cache or remote") from None
    except Exception as error:  # of any class: a remote may lack its package or credentials
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path} of {side.name}: DVC cannot read it ({reason})") from None
    yield io.StringIO(text)


def read_predictions(side: Snapshot, variant: str) -> dict[str, Prediction]:
    """Return the predictions of a variant by id; raise UserError if they are missing."""
    path = f"data/predicted/{variant}/predictions.jsonl"
    with open_output(side, path) as stream:
        try:
            return {row.id: row for row in predictions.parse(stream)}
        except ValueError as error:
            raise UserError(f"{path} of {side.name}: {error}") from None
