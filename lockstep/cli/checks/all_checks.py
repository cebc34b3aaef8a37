"""The list of all checks across the sections of params.yaml."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lockstep.cli.checks import (
    check_augment,
    check_compute,
    check_evaluate,
    check_judge,
    check_merge,
    check_predict,
    check_prepare,
    check_runtime,
    check_train,
)
from lockstep.errors import UserError


@dataclass(frozen=True, slots=True)
class Check:
    """A check of sections of params.yaml against each other or against a library."""

    find_mistakes: Callable[..., Iterator[str]]
    """Yields one line per mistake. Its parameters are named after the sections that it needs."""
    is_slow: bool = False
    """Whether the check imports torch. Slow checks run in the first stage only."""

    also_reads: Collection[str] = ()
    """Sections that the check reads from params.yaml itself."""

    @property
    def sections(self) -> Collection[str]:
        """Names of the sections that the check needs."""
        return inspect.signature(self.find_mistakes).parameters.keys()


CHECKS = (
    Check(check_compute.check_instruction_sets),
    Check(check_compute.check_attention),
    Check(check_prepare.check_strata),
    Check(check_prepare.check_splits_of_judged_tasks),
    Check(check_augment.check_tasks),
    Check(check_augment.check_slices),
    Check(check_train.check_tasks),
    Check(check_train.check_library_options, is_slow=True, also_reads=("runtime",)),
    Check(check_train.check_reward_models, is_slow=True),
    Check(check_merge.check_strategy),
    Check(check_merge.check_adapters, is_slow=True),
    Check(check_predict.check_tasks),
    Check(check_predict.check_objective),
    Check(check_predict.check_perturbations),
    Check(check_predict.check_few_shot),
    Check(check_predict.check_vllm, is_slow=True),
    Check(check_evaluate.check_slices),
    Check(check_evaluate.check_domains),
    Check(check_evaluate.check_gates),
    Check(check_evaluate.check_metrics),
    Check(check_judge.check_suites),
    Check(check_runtime.check_report_to),
)


def find_mistakes(sections: Mapping[str, Any], *, slow: bool = False) -> Iterator[str]:
    """Yield one line per mistake of the fast or the slow checks.

    `sections` holds the valid sections of params.yaml by name. A check that needs any other
    section is left out.
    """
    for check in CHECKS:
        if check.is_slow == slow and sections.keys() >= {*check.sections, *check.also_reads}:
            try:
                yield from check.find_mistakes(**{name: sections[name] for name in check.sections})
            except UserError as error:  # from the library code that a slow check calls
                for line in error.message.splitlines():
                    yield line.removeprefix("params.yaml: ")
