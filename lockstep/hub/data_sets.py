"""Find the files of a data set's split on the hub; download them once, to .scratch/data_sets.

The card of the data set (README.md) or the names of its files say which files belong to a split;
the library datasets reads both, as `datasets.load_dataset` does.
"""

import functools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lockstep import outputs
from lockstep.errors import UserError
from lockstep.hub import download
from lockstep.hub.download import ListedFile, Repository

CARD = "README.md"
"""The card of a data set, whose metadata can list configurations and the files of their splits."""


def is_data_set_name(reference: str) -> bool:
    """Whether a reference has the form `owner/name@revision`, with all 40 digits."""
    return download.REFERENCE.fullmatch(reference) is not None


def resolve_data_set(
    reference: str, config: str, split: str, is_readable: Callable[[str], bool]
) -> list[tuple[str, Path]]:
    """Return (name, path) of the files of a split, in the order of their names.

    `reference` is `owner/name@revision`. `config` is one of the data set's configurations (also
    called subsets); an empty one is the default. `is_readable` says by its name whether a file can
    be read. What is already in .scratch/data_sets is not downloaded again, and needs no network.
    A process lists a split once, however often it is read.
    """
    root = Path(os.environ.get("DVC_ROOT", "."), ".scratch", "data_sets").resolve()
    return list(_find_files(root, reference, config, split, is_readable))


@functools.cache
def _find_files(
    root: Path, reference: str, config: str, split: str, is_readable: Callable[[str], bool]
) -> tuple[tuple[str, Path], ...]:
    """Return (name, path) of the files of a split below `root`; a revision never changes."""
    match = download.REFERENCE.fullmatch(reference)
    if not match:
        raise UserError(
            f"{reference}: not a data set; write owner/name@revision with all 40 digits of the "
            "revision, as the page of the data set shows under Files, History"
        )
    repository = Repository("dataset", *match.groups())
    folder = root / reference.replace("/", "--")
    folder.mkdir(parents=True, exist_ok=True)
    with download.lock_downloads(root):
        listing = _read_listing(repository, folder)
        _fetch([CARD] if CARD in listing else [], repository, folder, listing)
        readable = [name for name in listing if is_readable(name)]
        names = find_split_files(readable, folder / CARD, config, split, str(repository))
        _fetch(names, repository, folder, listing)
    return tuple((f"{reference}/{name}", folder / name) for name in names)


def find_split_files(
    names: Sequence[str], card: Path, config: str, split: str, where: str
) -> list[str]:
    """Return those of the file names that belong to a split; raise UserError if there are none.

    `card` need not exist. Without configurations in the card, the name of a folder serves as one.
    """
    from datasets import data_files

    if not names:
        raise UserError(
            f"{where}: none of its files can be read; name a revision with .parquet, .jsonl, "
            ".json, .csv or .tsv files, such as one of the branch refs/convert/parquet"
        )
    with tempfile.TemporaryDirectory(prefix="lockstep-") as temporary:
        mirror = Path(temporary, "files")  # the library finds files by their names alone
        for name in names:
            (mirror / name).parent.mkdir(parents=True, exist_ok=True)
            (mirror / name).touch()
        base, patterns = _choose_config(_read_configs(card, where), config, mirror, where)
        try:
            splits = (
                data_files.sanitize_patterns(patterns)
                if patterns
                else data_files.get_data_patterns(str(base))
            )
            if split not in map(str, splits):
                raise UserError(
                    f"{where}: no split {split}; it has {', '.join(map(str, splits))}: name one "
                    "of them"
                )
            paths = data_files.DataFilesList.from_patterns(splits[split], str(base))
        except (FileNotFoundError, ValueError) as error:
            reason = str(error).splitlines()[0].replace(f"{mirror}/", "")
            raise UserError(f"{where}: {reason}; name another config or revision") from None
        return sorted({Path(path).relative_to(mirror).as_posix() for path in paths})


def _choose_config(
    configs: Mapping[str, Mapping[str, Any]], config: str, mirror: Path, where: str
) -> tuple[Path, Any]:
    """Return the folder of a configuration below `mirror` and its patterns, None for none."""
    if config in configs:
        values = configs[config]
    elif not config:
        values = _choose_default(configs, where)
    elif not configs and (mirror / config).is_dir():
        values = {"data_dir": config}
    else:
        known = [*configs] or sorted(path.name for path in mirror.iterdir() if path.is_dir())
        raise UserError(
            f"{where}: no config {config}; it has {', '.join(known) or 'none'}: correct config"
        )
    return mirror / values.get("data_dir", ""), values.get("data_files")


def _choose_default(configs: Mapping[str, Mapping[str, Any]], where: str) -> Mapping[str, Any]:
    """Return the configuration that is marked as the default, or the only one."""
    for name, values in configs.items():
        if values.get("default") or name == "default" or len(configs) == 1:
            return values
    if configs:
        raise UserError(f"{where}: it has the configs {', '.join(configs)}: name one by config")
    return {}


def _read_configs(card: Path, where: str) -> dict[str, dict[str, Any]]:
    """Return the configurations that the card lists, by their names."""
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard

    if not card.exists():
        return {}
    # a card may lack metadata
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)
    try:
        data = DatasetCard.load(card, ignore_metadata_errors=True).data
        return dict(MetadataConfigs.from_dataset_card_data(data))
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where}: {CARD}: {reason}; name another revision") from None


def _read_listing(repository: Repository, folder: Path) -> dict[str, ListedFile]:
    """Return the files of a revision, which never change; the hub is asked once."""
    path = folder / ".listing.json"
    if path.exists():
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: ListedFile(**listed) for name, listed in values.items()}
    with download.connect(repository):
        listing = download.list_files(repository)
    with outputs.atomic_file(path) as partial:
        outputs.write_json(partial, {name: asdict(listed) for name, listed in listing.items()})
    return listing


def _fetch(
    names: Iterable[str],
    repository: Repository,
    folder: Path,
    listing: Mapping[str, ListedFile],
) -> None:
    """Download the files that are missing; a file gets its place after its hash was verified."""
    missing = [name for name in names if not (folder / name).exists()]
    if not missing:
        return
    arriving = folder / ".arriving"
    arriving.mkdir(exist_ok=True)
    with download.connect(repository):
        download.download_each(missing, repository, arriving, listing)
    for name in missing:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (arriving / name).replace(folder / name)
    outputs.remove(arriving)
