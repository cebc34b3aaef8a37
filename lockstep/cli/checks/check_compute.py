"""Checks of the section `compute`."""

from collections.abc import Iterator

from lockstep.cli.sections import ComputeParams
from lockstep.models import instruction_sets, placement


def check_instruction_sets(compute: ComputeParams) -> Iterator[str]:
    """Yield a line if this CPU cannot run the kernels that `compute.portable` fixes."""
    if compute.portable is True and not instruction_sets.has_required_instructions():
        yield (
            f"compute.portable: {instruction_sets.describe_missing_instructions()}; set it to auto "
            "or false"
        )


def check_attention(compute: ComputeParams) -> Iterator[str]:
    """Yield a line if the package of the attention kernel is not installed."""
    if compute.attention == placement.FLASH_ATTENTION:
        problem = placement.describe_missing_flash_attention()
        if problem:
            yield f"compute.attention: {problem}"
