"""Checks of the section `augment`."""

from collections.abc import Iterator

from lockstep.augmentation.augment_params import AugmentParams
from lockstep.cli.checks.source_names import SourceNames, list_known
from lockstep.cli.sections import PrepareParams


def check_tasks(prepare: PrepareParams, augment: AugmentParams) -> Iterator[str]:
    """Yield a line for each task of a method that no source has."""
    names = SourceNames(prepare.sources)
    for method in augment.methods:
        for task in names.find_unknown_tasks(method.tasks):
            yield f"augment.methods: no source has task {task}; {list_known(names.tasks)}"


def check_slices(prepare: PrepareParams, augment: AugmentParams) -> Iterator[str]:
    """Yield a line for each slice of a method or of the mix that no source has."""
    slices = SourceNames(prepare.sources).slices
    for method in augment.methods:
        for name in method.slices:
            if name not in slices:
                yield f"augment.methods: no source has the slice {name}; {list_known(slices)}"
    for mix in augment.mix:
        if mix.slice not in slices | {"task"}:
            yield (
                f"augment.mix: no source has the slice {mix.slice}; {list_known(slices | {'task'})}"
            )
