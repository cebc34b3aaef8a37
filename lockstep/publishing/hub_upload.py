"""Upload a model to the hub as one commit, and continue after an interruption."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lockstep.errors import UserError
from lockstep.hub import download
from lockstep.metrics.metric_display import format_bytes
from lockstep.publishing.export_plan import CARD_FILE, ExportFile

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable, not a token
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def check_settings(repository: str) -> Iterator[str]:
    """Yield a problem for each setting that an upload lacks."""
    if not _REPOSITORY.fullmatch(repository):
        yield f"REPO: {repository!r} is not owner/name; name the repository by REPO=owner/name"
    if not os.environ.get(TOKEN):
        yield f"{TOKEN} is not set; set it to a token of the hub that may write"


def upload(repository: str, private: bool, files: Sequence[ExportFile], message: str) -> str:
    """Upload the files as one commit and return its address.

    The repository is created if it is missing. The large files go first, one after the other; the
    hub keeps each that has arrived, so after an interruption the same call sends the others alone.
    Nothing is visible before the commit, which is the last request. Xet, the hub's newer protocol
    for large files, is disabled for the reasons in `lockstep.hub.download`.
    """
    with download.allow_network(), _explain_errors(repository):
        from huggingface_hub import CommitOperationAdd, HfApi, ModelCard, utils

        utils.disable_progress_bars()
        card = next(file.source for file in files if file.name == CARD_FILE)
        _validate(ModelCard(str(card)))
        api = HfApi(token=os.environ[TOKEN])
        api.create_repo(repository, private=private, exist_ok=True)
        _check_visibility(api, repository, private)
        additions = [
            CommitOperationAdd(
                file.name,
                file.source.encode() if isinstance(file.source, str) else file.source,
            )
            for file in files
        ]
        for file, addition in zip(files, additions, strict=True):
            api.preupload_lfs_files(repository, [addition], free_memory=False)
            click.echo(f"{repository}: {file.name}, {format_bytes(file.size)}", err=True)
        commit = api.create_commit(repository, additions, commit_message=message)
        listed = {file.rfilename for file in api.model_info(repository).siblings or []}
    if others := sorted(listed - {".gitattributes", *(file.name for file in files)}):
        click.echo(f"{repository}: not part of this export: {', '.join(others)}", err=True)
    return str(commit.commit_url)


def _validate(card: Any) -> None:
    """Raise UserError if the hub refuses the card; it is asked before anything is uploaded."""
    try:
        card.validate()
    except ValueError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{CARD_FILE}: the hub refuses it: {reason}") from None


def _check_visibility(api: Any, repository: str, private: bool) -> None:
    """Raise UserError if an existing repository is public but should be private, or the reverse."""
    if api.model_info(repository).private != private:
        state, setting = ("public", "PRIVATE=0") if private else ("private", "PRIVATE=1")
        raise UserError(
            f"{repository}: exists and is {state}; agree by {setting}, or name another by REPO="
        )


@contextmanager
def _explain_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub and of the network into a UserError."""
    import httpx2
    from huggingface_hub import constants

    try:
        yield
    except (OSError, RuntimeError, httpx2.RequestError) as error:
        cause: BaseException = error
        while isinstance(cause, RuntimeError) and cause.__cause__:  # of an upload in a thread
            cause = cause.__cause__
        reason = _explain_refusal(cause) or download.explain_error(
            cause, "model", constants.ENDPOINT
        )
        if reason is None:
            raise
        raise UserError(f"{repository}: {reason}") from None


def _explain_refusal(error: BaseException) -> str | None:
    """Return the reason if the hub refuses the token; None for another error."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
        return (
            f"the hub refuses {TOKEN} ({error.response.status_code}); set it to a token that may "
            "write to this owner"
        )
    return None
