"""A base model from the hub: one revision's safetensors, config and tokenizer, verified."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import local_folder


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the hub lists it."""

    size: int
    sha256: str | None
    """Of its bytes, for a large file (git LFS)."""
    blob: str | None
    """Its git blob id, for a small one."""


def download_model(
    model_id: str, revision: str, into: Path, check: Callable[[Path], None] | None = None
) -> None:
    """Put one revision (40 hex digits) of a model of the hub into the folder `into`.

    Finished files wait in .scratch, which survives a killed stage, until all are there and
    `check` has passed the folder that holds them: what it refuses is not downloaded again.
    An unfinished file starts anew (huggingface_hub keeps no part of one), so the files come
    one after the other: a kill costs one shard. hf_hub_download and not snapshot_download,
    whose threads finish their shards before a SIGTERM gets through. Neither verifies hashes.
    """
    where = f"{model_id}@{revision[:12]}"
    key = hashlib.sha256(f"{model_id}@{revision}".encode()).hexdigest()[:16]
    scratch = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "base", key)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with lock_downloads(scratch.parent):
        with _online(), _refusals(where):
            names = _fetch(model_id, revision, scratch, where)
        if check:
            check(scratch)
        for name in names:
            outputs.link_or_copy(scratch / name, into / name)
        outputs.remove(scratch)


def _fetch(model_id: str, revision: str, scratch: Path, where: str) -> list[str]:
    """Complete the files in `scratch`; their names."""
    from huggingface_hub import hf_hub_download

    listing = _listing(model_id, revision)
    scratch.mkdir(exist_ok=True)
    for torn in scratch.glob(".cache/huggingface/download/*.incomplete"):
        torn.unlink()  # of a killed run; its name is random, nothing would ever find it again

    def fetch(names: list[str]) -> list[str]:
        _check_space(
            scratch, [listing[name].size for name in names if not (scratch / name).exists()]
        )
        for name in names:
            hf_hub_download(model_id, name, revision=revision, local_dir=scratch)
            _verify(scratch / name, listing[name], where)
        return names

    small = fetch(local_folder.list_small_files(listing, where))
    return small + fetch(local_folder.list_weight_files(listing, scratch, where))


def _listing(model_id: str, revision: str) -> dict[str, Listed]:
    from huggingface_hub import HfApi

    siblings = HfApi().model_info(model_id, revision=revision, files_metadata=True).siblings or []
    return {
        file.rfilename: Listed(file.size or 0, file.lfs.sha256 if file.lfs else None, file.blob_id)
        for file in siblings
    }


def _check_space(scratch: Path, sizes: list[int]) -> None:
    need, free = sum(sizes), shutil.disk_usage(scratch).free
    if need > free:
        raise UserError(
            f"{scratch}: the download needs {need / 1e9:.1f} GB and the disk has {free / 1e9:.1f}; "
            "free space, then run again"
        )


def _verify(path: Path, listed: Listed, where: str) -> None:
    """Refuse, and drop, a file whose bytes are not those that the revision names."""
    if listed.sha256:
        expected, total = listed.sha256, hashlib.sha256()
    elif listed.blob:
        expected, total = (
            listed.blob,
            hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False),
        )
    else:
        return
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            total.update(block)
    if total.hexdigest() != expected:
        path.unlink()
        raise UserError(f"{where}: {path.name}: not the bytes that the hub lists; run again")


@contextmanager
def lock_downloads(parent: Path) -> Iterator[None]:
    """One download at a time in a repository: a queue's workers share the scratch folder."""
    descriptor = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _online() -> Iterator[None]:
    """Lift HF_HUB_OFFLINE, which lockstep.cli.runner sets for every stage, for this download alone.

    The library reads the variable once, at import, into this constant. Without hf-xet: its
    threads neither stop at a signal nor say what went wrong.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = False, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = before


@contextmanager
def _refusals(where: str) -> Iterator[None]:
    """Say what the hub or the network did wrong in one line; other errors pass."""
    import httpx2  # the HTTP client of huggingface_hub
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.HFValidationError:
        raise UserError(f"{where}: not a model id; write it as organization/name") from None
    except (OSError, ValueError, httpx2.RequestError) as error:  # the library's own are OSErrors
        cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) else error
        reason = _reason(cause or error, constants.ENDPOINT)
        if reason is None:
            raise
        raise UserError(f"{where}: {reason}") from None


def _reason(error: BaseException, endpoint: str) -> str | None:
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.RevisionNotFoundError):
        return "the model has no such revision; copy the full commit hash from its page"
    if isinstance(error, errors.GatedRepoError):
        return f"the model is gated; accept its terms at {endpoint} and set HF_TOKEN"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"no access ({status}), or no such model; set HF_TOKEN to a token that may read"
        if status == 404:
            return f"no such model at {endpoint}; a private one needs HF_TOKEN"
        return f"{endpoint} answered {status}; run again, finished files are kept"
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError)):
        return f"no connection to {endpoint}; check the network or HF_ENDPOINT, then run again"
    if isinstance(error, (httpx2.TransportError, ConnectionError, TimeoutError)):
        return f"the connection to {endpoint} broke off; run again, finished files are kept"
    if isinstance(error, (errors.FileMetadataError, json.JSONDecodeError, httpx2.RequestError)):
        return f"{endpoint} does not answer as a hub; check HF_ENDPOINT or the proxy"
    if type(error) is OSError and "Consistency check failed" in str(error):
        return "a file came with the wrong size; run again, finished files are kept"
    return None
