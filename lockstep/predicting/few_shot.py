"""Few-shot suites: test records whose prompt begins with training records and their answers.

The examples are earlier turns of the conversation (Brown et al., 2020). All records of a suite
that offer the same functions have the same examples, so all variants are compared on equal prompts.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lockstep.errors import UserError
from lockstep.params import PositiveInt, Section
from lockstep.predictions import ZERO_SHOT
from lockstep.records import Message, Record, dump_json
from lockstep.suites import HEAD_FORMS, Suite


class FewShotParams(Section):
    """An additional suite: the records of another one, with examples before the question."""

    task: str
    """Task of the suite."""
    shots: PositiveInt
    """Number of examples."""
    examples: str = ""
    """Task of the training records that are the examples; "" for the suite's own. Suites of
    refusals and rules need another task, since their references are no answers."""

    @property
    def name(self) -> str:
        """Name of the additional suite."""
        return f"{self.task}-{self.shots}-shot"


def add_few_shot(suites: Sequence[Suite], settings: Sequence[FewShotParams]) -> list[Suite]:
    """Return the suites plus the few-shot ones.

    Raise UserError for a task without a suite, a suite whose answers come from a head, and a name
    that is in use.
    """
    forms = {suite.task: suite.answer for suite in suites}
    result = list(suites)
    for few_shot in settings:
        if few_shot.task not in forms:
            raise _build_error(few_shot, f"no such suite; known: {', '.join(forms) or 'none'}")
        if forms[few_shot.task] in HEAD_FORMS:
            raise _build_error(few_shot, "a model with a head reads no examples; remove the entry")
        if any(suite.task == few_shot.name for suite in result):
            raise _build_error(
                few_shot, f"the name {few_shot.name} is in use; remove or rename one of the two"
            )
        result.append(Suite(task=few_shot.name, answer=forms[few_shot.task]))
    return result


def generate_records(
    settings: Sequence[FewShotParams],
    test_records: Sequence[Record],
    train_records: Sequence[Record],
    labels: Mapping[str, Sequence[str]],
    seed: int,
) -> list[Record]:
    """Return the test records of the few-shot suites; the slice ZERO_SHOT names the original.

    An example shows no call of a function that the test record does not offer. `labels` are the
    labels of each task. Raise UserError if there are too few training records.
    """
    result = []
    for few_shot in settings:
        candidates = _collect_candidates(few_shot, train_records)
        turns: dict[frozenset[bytes], list[Message]] = {}
        for record in test_records:
            if record.task == few_shot.task and record.desirable is not False:
                tools = _serialize_tools(record)
                if tools not in turns:
                    examples = _choose_fitting(few_shot, candidates, record, labels, seed)
                    turns[tools] = _list_turns(examples)
                result.append(_add_turns(record, turns[tools], few_shot))
    return result


def choose_examples(
    candidates: Sequence[Record], number: int, labels: Sequence[str], seed: int
) -> list[Record]:
    """Return `number` of the records in an order that their ids and the seed determine.

    With labels, each label is the answer of equally many examples, as far as records allow.
    """
    ranked = sorted(candidates, key=lambda record: _hash_rank(seed, record.id))
    rounds: dict[str, int] = {}
    places = []
    for record in ranked:
        group = record.answer if record.answer in labels else ""
        places.append(rounds.get(group, 0))
        rounds[group] = places[-1] + 1
    if not labels:
        return ranked[:number]
    order = sorted(range(len(ranked)), key=places.__getitem__)  # stable: by place, then by rank
    return [ranked[index] for index in order[:number]]


def _collect_candidates(
    few_shot: FewShotParams, train_records: Sequence[Record]
) -> list[tuple[Record, frozenset[bytes]]]:
    """Return the training records that may be examples, each with its functions."""
    task = few_shot.examples or few_shot.task
    candidates = {  # a dict, because weights and sources may repeat a record
        record.id: record
        for record in train_records
        if record.task == task and record.desirable is not False and record.question
    }
    if len(candidates) < few_shot.shots:
        raise _build_error(
            few_shot,
            f"task {task} has {len(candidates)} training records with a question; lower shots, or "
            "name another task in examples",
        )
    return [(record, _serialize_tools(record)) for record in candidates.values()]


def _choose_fitting(
    few_shot: FewShotParams,
    candidates: Sequence[tuple[Record, frozenset[bytes]]],
    record: Record,
    labels: Mapping[str, Sequence[str]],
    seed: int,
) -> list[Record]:
    """Return examples that offer no function which the test record does not offer."""
    task, tools = few_shot.examples or few_shot.task, _serialize_tools(record)
    fitting = [example for example, functions in candidates if functions <= tools]
    if len(fitting) < few_shot.shots:
        raise _build_error(
            few_shot,
            f"{record.origin}: {len(fitting)} training records of task {task} offer only functions "
            "that this record offers; lower shots, or name a task without functions in examples",
        )
    return choose_examples(fitting, few_shot.shots, labels.get(task, []), seed)


def _serialize_tools(record: Record) -> frozenset[bytes]:
    return frozenset(dump_json(tool, sort_keys=True) for tool in record.tools)


def _list_turns(examples: Sequence[Record]) -> list[Message]:
    """Return the turns of the examples, without their system messages."""
    return [
        message for record in examples for message in record.messages if message["role"] != "system"
    ]


def _add_turns(record: Record, turns: Sequence[Message], few_shot: FewShotParams) -> Record:
    """Return the record with the turns after its system message."""
    start = int(record.messages[0]["role"] == "system")
    return replace(
        record,
        messages=[*record.messages[:start], *turns, *record.messages[start:]],
        task=few_shot.name,
        slices={**record.slices, ZERO_SHOT: record.id},
        origin=f"{record.origin} with {few_shot.shots} examples",
    )


def _build_error(few_shot: FewShotParams, problem: str) -> UserError:
    return UserError(f"params.yaml: predict.few_shot: {few_shot.task}: {problem}")


def _hash_rank(seed: int, record_id: str) -> bytes:
    return hashlib.sha256(f"{seed}/few-shot/{record_id}".encode()).digest()
