"""Checked paths of data files, and names of data sets on the hub."""

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator

from lockstep.data import file_reading
from lockstep.hub import data_sets


def check_relative(path: str) -> str:
    """Return a path inside data/raw; raise ValueError for another one."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError("must be relative to data/raw and stay inside it")
    return path


def _check_suffix(path: str) -> str:
    if not file_reading.is_readable(path):
        raise ValueError(
            f"must end in {', '.join(file_reading.FILE_READERS)}, plain or with "
            f"{' or '.join(file_reading.COMPRESSIONS)}, or name a folder or a pattern; "
            f"{file_reading.RENAMING}"
        )
    return path


DataPath = Annotated[str, AfterValidator(check_relative), AfterValidator(_check_suffix)]
"""A file of rows, a folder or a glob pattern of such files, relative to data/raw."""


def _check_data_set(reference: str) -> str:
    if not data_sets.is_data_set_name(reference):
        raise ValueError("must be owner/name@revision with all 40 digits of the revision")
    return reference


HubDataSet = Annotated[str, AfterValidator(_check_data_set)]
"""A revision of a data set on the hub."""
