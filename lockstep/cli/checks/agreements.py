"""What the sections of params.yaml must agree on, so that no stage fails hours after the first."""

from collections.abc import Collection, Iterator
from typing import Any, get_args

from lockstep.data.sources import LABELLED
from lockstep.metrics.registry import LIKELIHOOD
from lockstep.metrics.suites import CHOSEN, JUDGED, NUMBERS, Answer
from lockstep.predictions import SLICES

STRATA = {"task", "answer"}
"""What `prepare.split.by` may name beside slices."""


WRITING = tuple(answer for answer in get_args(Answer) if answer not in NUMBERS)
"""What a model that writes can be asked."""
ANSWERS = {
    "classification": ("label", "labels"),
    "regression": ("number",),
    "reward": ("preference",),
}
"""What a model that ends in numbers can be asked, by its objective."""


def disagreements(values: Any) -> Iterator[str]:
    """One line for each name in the whole, validated params.yaml that another section lacks."""
    sources, suites = values.prepare.sources, values.evaluate.suites
    tasks = {source.task for source in sources}
    labelled = {source.task for source in sources if source.format in LABELLED}
    slices = {name for source in sources for name in source.slices}
    from_column = [source for source in sources if "task" in source.columns]  # the rows know
    labels_from_column = any(source.format in LABELLED for source in from_column)
    for suite in suites:
        if suite.task not in tasks and not from_column:
            yield f"evaluate.suites: no source has task {suite.task}; {_known(tasks)}"
        elif suite.answer in CHOSEN and suite.task not in labelled and not labels_from_column:
            yield (
                f"evaluate.suites: task {suite.task} has no labels to choose from; "
                "set its answer to json or text"
            )
        for source in sources:
            learnt = source.split != "test" and "task" not in source.columns
            if suite.answer in JUDGED and source.task == suite.task and learnt:
                yield (
                    f"prepare.sources: {source.path}: the answers of task {suite.task} say how it "
                    f"is judged ({suite.answer}), and must not be learnt; set its split to test"
                )
    for task in values.evaluate.stability.tasks:
        if task not in {suite.task for suite in suites}:
            yield f"evaluate.stability: no suite {task}; {_known([s.task for s in suites])}"
    measured = {suite.task: suite.metrics for suite in values.evaluate.measured}
    measured |= {"perplexity": [*LIKELIHOOD]}
    for gate in values.evaluate.gates:
        if gate.suite not in measured:
            yield f"evaluate.gates: no suite {gate.suite}; {_known(measured)}"
        elif gate.metric not in measured[gate.suite]:
            yield (
                f"evaluate.gates: {gate.suite} does not measure {gate.metric}; "
                f"{_known(measured[gate.suite])}"
            )
    train = values.train
    fitting = ANSWERS.get(train.objective, WRITING)
    for suite in suites:
        if suite.answer not in fitting:
            yield (
                f"evaluate.suites: task {suite.task}: a model tuned for {train.objective} gives no "
                f"{suite.answer}; set its answer to {' or '.join(fitting)}"
            )
    for where, named in (("tasks", train.tasks), ("sft.task_weights", train.sft.task_weights)):
        for task in named:
            if task not in tasks and not from_column:
                yield f"train.{where}: no source has task {task}; {_known(tasks)}"
    if values.judge.by != "none":
        written = {suite.task for suite in suites if suite.answer == "text"}
        for task in values.judge.suites:
            if task not in written:
                yield f"judge.suites: {task} is no suite of text answers; {_known(written)}"
    if train.objective in ANSWERS and values.evaluate.harness.tasks:
        yield f"evaluate.harness: a model tuned for {train.objective} writes nothing; name no tasks"
    if train.objective == "reward" and values.evaluate.retrieval.lengths:
        yield "evaluate.retrieval: a model tuned for reward writes nothing; set lengths to []"
    methods, by = values.augment.methods, values.evaluate.stability.paraphrases
    made = {*SLICES, "depth"} if values.evaluate.retrieval.lengths else {*SLICES}
    for task in (task for method in methods for task in method.tasks):
        if task not in tasks and not from_column:
            yield f"augment.methods: no source has task {task}; {_known(tasks)}"
    for where, names, known in (
        ("augment.methods: slices", [name for method in methods for name in method.slices], slices),
        ("augment.mix", [mix.slice for mix in values.augment.mix], slices | {"task"}),
        ("prepare.split.by", values.prepare.split.by, slices | STRATA),
        ("evaluate.slices", values.evaluate.slices, slices | made),
        ("evaluate.stability.paraphrases", [*filter(None, [by])], slices),
        ("report.slices", values.report.slices, set(values.evaluate.slices)),
    ):
        for name in names:
            if name not in known:
                owner = "evaluate.slices" if where == "report.slices" else "the sources"
                yield f"{where}: {name} is no slice of {owner}; {_known(known)}"


def _known(names: Collection[str]) -> str:
    return f"known: {', '.join(sorted(names)) or 'none'}"
