"""Metrics of named entities: precision, recall and F1 by entity type, micro and macro.

As for CoNLL-2003 (Tjong Kim Sang and De Meulder, 2003) and in seqeval, an entity is right if type
and text are exactly those of the reference.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lockstep.metrics import classification, json_answers
from lockstep.metrics.aggregation import Metric, Numbers, SumMetric
from lockstep.metrics.classification import LabelMetric, f1, precision, recall
from lockstep.predictions import Prediction

Entity = tuple[str, str, int]
"""Type and text of an entity, and for tagged text the number of earlier places of that text."""

_TAG = re.compile(r"<(/?)([^\W\d][\w.-]*)>")


def find_entities(answer: str) -> Counter[Entity]:
    """Count the entities in an answer: an object {type: value or [values]}, or tagged text.

    Values that are null or empty are no entities. The types in nested objects are joined by
    slashes. Tagged text marks entities as `<type>text</type>`, also within each other; the places
    of equal texts tell their entities apart.
    """
    value = json_answers.parse_json(json_answers.strip_code_fence(answer))
    if isinstance(value, dict):
        leaves = _iterate_values(json_answers.normalize(value), "")
        return Counter((name, text, 0) for name, text in leaves)
    return Counter(_iterate_tagged(answer))


def count_entities(predictions: Sequence[Prediction]) -> Numbers:
    """Count entities by type, (records, 3 × types): correct, in the reference, predicted."""
    return _count(predictions, list_types(predictions))


def list_types(predictions: Sequence[Prediction]) -> list[str]:
    """Return the types of all entities in references and predictions, sorted."""
    texts = (text for row in predictions for text in (row.reference, row.prediction))
    return sorted({entity[0] for text in texts for entity in find_entities(text)})


def summarize_types(predictions: Sequence[Prediction]) -> dict[str, dict[str, int]]:
    """Return {type: numbers of correct, reference and predicted entities}."""
    types = list_types(predictions)
    sums = _count(predictions, types).sum(axis=0).reshape(3, -1).astype(int).T.tolist()
    names = ("correct", "reference", "predicted")
    return {name: dict(zip(names, row, strict=True)) for name, row in zip(types, sums, strict=True)}


def _make_metric(metric: LabelMetric, *, macro: bool = False) -> Metric:
    average = classification.macro_average if macro else classification.micro_average
    return SumMetric(count_entities, average(metric, undefined=np.nan))


METRICS: dict[str, Metric] = {
    "entity_f1": _make_metric(f1),
    "entity_precision": _make_metric(precision),
    "entity_recall": _make_metric(recall),
    "entity_macro_f1": _make_metric(f1, macro=True),
    "entity_macro_precision": _make_metric(precision, macro=True),
    "entity_macro_recall": _make_metric(recall, macro=True),
}
"""Name -> metric; the macro averages are over the types in references or predictions."""


def _count(predictions: Sequence[Prediction], types: Sequence[str]) -> Numbers:
    columns = {name: column for column, name in enumerate(types)}
    counts = np.zeros((len(predictions), 3, len(columns)))
    for row, record in zip(predictions, counts, strict=True):
        expected, predicted = find_entities(row.reference), find_entities(row.prediction)
        for place, entities in enumerate((expected & predicted, expected, predicted)):
            for (name, _, _), count in entities.items():
                record[place, columns[name]] += count
    return counts.reshape(len(predictions), -1)


def _iterate_values(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield (type, text) of each value; the order of a list does not count."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _iterate_values(child, f"{name}/{key}" if name else key)
    elif isinstance(value, list):
        for child in value:
            yield from _iterate_values(child, name)
    elif value not in (None, ""):
        yield name, str(value)


def _iterate_tagged(text: str) -> Iterator[Entity]:
    """Yield the entities between an opening tag and the next closing tag of the same type."""
    plain, position = "", 0
    opened: list[tuple[str, int]] = []
    spans: list[tuple[str, int, int]] = []
    for tag in _TAG.finditer(text):
        plain += text[position : tag.start()]
        position = tag.end()
        is_end, name = tag.groups()
        if not is_end:
            opened.append((name, len(plain)))
            continue
        for index in reversed(range(len(opened))):
            if opened[index][0] == name:
                spans.append((*opened.pop(index), len(plain)))
                break
    plain += text[position:]
    for name, start, end in spans:
        content = plain[start:end].strip()
        if content:
            yield name, content, plain.count(content, 0, plain.index(content, start))
