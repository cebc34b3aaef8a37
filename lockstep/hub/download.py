"""Download files of one revision of a model or a data set from the hub and verify them."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import local_folder

REFERENCE = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
"""A model or a data set on the hub: `owner/name@revision`, with all 40 digits of the revision."""


@dataclass(frozen=True, slots=True)
class Repository:
    """One revision of a repository on the hub."""

    kind: Literal["model", "dataset"]
    id: str
    """owner/name"""
    revision: str
    """All 40 hex digits of the commit."""

    def __str__(self) -> str:
        return f"{self.id}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """Size and hash of a file, according to the hub."""

    size: int
    sha256: str | None
    """Hash of the bytes of a large file (git LFS)."""
    blob: str | None
    """Git blob id of a small file."""


def download_model(
    model_id: str, revision: str, into: Path, check: Callable[[Path], None] | None = None
) -> None:
    """Download one revision (40 hex digits) of a model into the folder `into`.

    Finished files stay in .scratch, which survives a killed stage, until `check` has accepted the
    folder `into`, which it may change. A model that `check` refuses is not downloaded again.

    An unfinished file starts again from its beginning, since huggingface_hub keeps no part of
    it. Files are therefore downloaded one after the other, so that a kill costs one shard at
    most. This uses hf_hub_download, because the threads of snapshot_download finish their shards
    before a SIGTERM takes effect. Neither function verifies hashes; this module does.
    """
    repository = Repository("model", model_id, revision)
    key = hashlib.sha256(f"{model_id}@{revision}".encode()).hexdigest()[:16]
    scratch = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "base", key)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with lock_downloads(scratch.parent):
        with connect(repository):
            names = _download_files(repository, scratch)
        for name in names:
            (into / name).parent.mkdir(exist_ok=True)
            outputs.link_or_copy(scratch / name, into / name)
        if check:
            try:
                check(into)
            except UserError:
                for path in into.iterdir():
                    outputs.remove(path)
                raise
        outputs.remove(scratch)


def _download_files(repository: Repository, scratch: Path) -> list[str]:
    """Download the files that are not in `scratch` yet, and return the names of all."""
    listing = list_files(repository)
    scratch.mkdir(exist_ok=True)
    for unfinished in scratch.glob(".cache/huggingface/download/*.incomplete"):
        unfinished.unlink()  # left by a killed run; its random name is never used again

    where = str(repository)
    small_files = local_folder.list_small_files(listing, where)
    download_each(small_files, repository, scratch, listing)
    weights = local_folder.list_weight_files(listing, scratch, where)
    download_each(weights, repository, scratch, listing)
    return small_files + weights


def list_files(repository: Repository) -> dict[str, ListedFile]:
    """Return the files of a revision by their names."""
    from huggingface_hub import HfApi

    hub = HfApi()
    ask = hub.model_info if repository.kind == "model" else hub.dataset_info
    files = ask(repository.id, revision=repository.revision, files_metadata=True).siblings or []
    return {
        file.rfilename: ListedFile(
            file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id
        )
        for file in files
    }


def download_each(
    names: Sequence[str], repository: Repository, folder: Path, listing: Mapping[str, ListedFile]
) -> None:
    """Download files into a folder, one after the other, and verify the hash of each.

    A file that is already there is not downloaded again.
    """
    from huggingface_hub import hf_hub_download

    _check_space(folder, [listing[name].size for name in names if not (folder / name).exists()])
    for name in names:
        hf_hub_download(
            repository.id,
            name,
            revision=repository.revision,
            repo_type=repository.kind,
            local_dir=folder,
        )
        _verify_file(folder / name, listing[name], str(repository))


def _check_space(scratch: Path, sizes: list[int]) -> None:
    """Raise UserError if the disk has no room for files of these sizes, in bytes."""
    needed, free = sum(sizes), shutil.disk_usage(scratch).free
    if needed > free:
        raise UserError(
            f"{scratch}: the download needs {needed / 1e9:.1f} GB and the disk has "
            f"{free / 1e9:.1f}; free space, then run again"
        )


def _verify_file(path: Path, listed: ListedFile, where: str) -> None:
    """Delete a file and raise UserError if its hash is not the one that the hub lists."""
    if listed.sha256:
        expected, digest = listed.sha256, hashlib.sha256()
    elif listed.blob:
        header = b"blob %d\0" % path.stat().st_size
        expected, digest = listed.blob, hashlib.sha1(header, usedforsecurity=False)
    else:
        return
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    if digest.hexdigest() != expected:
        path.unlink()
        raise UserError(f"{where}: {path.name}: its hash is not the one on the hub; run again")


@contextmanager
def lock_downloads(parent: Path) -> Iterator[None]:
    """Let one process at a time download into a folder, which the workers of a queue share."""
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def connect(repository: Repository) -> Iterator[None]:
    """Allow the network for one download; its errors become a UserError."""
    with allow_network(), _explain_errors(repository):
        yield


@contextmanager
def allow_network() -> Iterator[None]:
    """Lift HF_HUB_OFFLINE, which lockstep.cli.runner sets for every stage, for one download.

    huggingface_hub reads the variable once, at import, into a constant. hf-xet is disabled,
    because its threads neither stop at a signal nor report errors.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = False, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = before


@contextmanager
def _explain_errors(repository: Repository) -> Iterator[None]:
    """Turn errors of the hub and of the network into a UserError; let other errors pass."""
    import httpx2  # the HTTP client of huggingface_hub
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.HFValidationError:
        raise UserError(
            f"{repository}: not a {repository.kind} id; write it as organization/name"
        ) from None
    except (OSError, ValueError, httpx2.RequestError) as error:  # the library's own are OSErrors
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
        reason = explain_error(cause or error, repository.kind, constants.ENDPOINT)
        if reason is None:
            raise
        raise UserError(f"{repository}: {reason}") from None


def explain_error(error: BaseException, kind: str, endpoint: str) -> str | None:
    """Return what went wrong and what to do; None if the hub and the network are not to blame."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return f"the {kind} has no such revision; copy the full commit hash from its page"
    if isinstance(error, errors.GatedRepoError):
        return f"the {kind} is gated; accept its terms at {endpoint} and set HF_TOKEN"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"no access ({status}), or no such {kind}; set HF_TOKEN to a token that may read"
        if status == 404:
            return f"no such {kind} at {endpoint}; a private one needs HF_TOKEN"
        return f"{endpoint} answered {status}; run again, finished files are kept"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return f"no connection to {endpoint}; check the network or HF_ENDPOINT, then run again"
    if isinstance(error, (httpx2.TransportError, ConnectionError, TimeoutError)):
        return f"the connection to {endpoint} was lost; run again, finished files are kept"
    if isinstance(error, (errors.FileMetadataError, json.JSONDecodeError, httpx2.RequestError)):
        return f"{endpoint} does not answer as a hub; check HF_ENDPOINT or the proxy"
    if type(error) is OSError and "Consistency check failed" in str(error):
        return "a file arrived with the wrong size; run again, finished files are kept"
    return None
