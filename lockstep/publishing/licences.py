"""Licences of the base and of the data, as their publishers state them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lockstep.hub.base_params import BaseParams
from lockstep.hub.local_folder import CARD, LICENCE_FILE

_METADATA = re.compile(r"\s*---\r?\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)

UNKNOWN = "unknown"
"""The hub's name for a licence that is not stated."""

STARTER_LICENCE = "cc0-1.0"
"""Licence of the starter model, according to data/starter/README.md."""

HUB_LICENCES = {
    "afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "artistic-2.0",
    "bigcode-openrail-m", "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd",
    "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
    "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "creativeml-openrail-m",
    "deepfloyd-if-license", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1",
    "eupl-1.2", "fair-noncommercial-research-license", "gemma", "gfdl", "gpl", "gpl-2.0",
    "gpl-3.0", "grok2-community", "h-research", "intel-research", "isc", "lgpl", "lgpl-2.1",
    "lgpl-3.0", "lgpl-lr", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4",
    "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openmdw-1.0",
    "openmdw-1.1", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql",
    "unknown", "unlicense", "wtfpl", "zlib",
}  # fmt: skip
"""Licences that the hub accepts in a card: those that its own error message lists."""


@dataclass(frozen=True, slots=True)
class BaseLicence:
    """Licence of the base model."""

    names: list[str]
    """Names in the hub's spelling; [UNKNOWN] if none is stated."""
    source: str
    """Where the licence is stated, as part of a sentence."""
    more: dict[str, str] = field(default_factory=dict)
    """license_name and license_link, which a licence that the hub calls `other` needs."""


def read_base_licence(base: Path, settings: BaseParams) -> BaseLicence:
    """Return the licence in the base's card; unknown if the card has none that the hub knows."""
    files = sorted(path.name for path in base.iterdir() if LICENCE_FILE.fullmatch(path.name))
    if settings.source == "starter":
        return BaseLicence([STARTER_LICENCE], "stated in data/starter/README.md")
    metadata = _read_metadata(base / CARD)
    stated = metadata.get("license") or []
    names = [str(name).lower() for name in (stated if isinstance(stated, list) else [stated])]
    if names and HUB_LICENCES.issuperset(names):
        keys = ("license_name", "license_link")
        more = {key: str(metadata[key]) for key in keys if metadata.get(key)}
        return BaseLicence(names, "stated in its card", more)
    if files:
        return BaseLicence([UNKNOWN], f"see {' and '.join(files)} beside this card")
    return BaseLicence([UNKNOWN], "its folder has neither a card with a licence nor a licence file")


def list_data_licences(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each source of the data card with its licence; "not stated" if it has none."""
    for source, licence in sorted(card["licences"].items()):
        yield source, licence or "not stated"


def _read_metadata(card: Path) -> dict[str, Any]:
    """Return the metadata at the start of a card; empty if it has none that can be read."""
    if not card.is_file():
        return {}
    block = _METADATA.match(card.read_text(encoding="utf-8", errors="replace"))
    try:
        values = YAML(typ="safe", pure=True).load(block[1]) if block else {}
    except YAMLError:
        return {}
    return values if isinstance(values, dict) else {}
