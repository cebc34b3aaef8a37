"""Replay: the share of the training rows that come from earlier rounds of continual learning.

A model that goes on learning from new data alone forgets what it learnt before. Replay, also called
rehearsal, mixes old rows among the new ones (Robins, Catastrophic forgetting, rehearsal and
pseudorehearsal, 1995; Rolnick et al., Experience replay for continual learning, 2019).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lockstep.errors import UserError
from lockstep.records import Record


def replay_records(
    train: Sequence[Record], rounds: Mapping[str, int], share: float
) -> tuple[list[Record], dict[str, Any]]:
    """Scale the weights of the records of earlier rounds so that they are a share of all.

    `rounds` maps each source to its round; the records of the last round keep their weights.
    Return the records, and the counts for the card: the records of both kinds, and the training
    rows that their weights make of them. Raise UserError if one kind has no records.
    """
    last = max(rounds.values(), default=0)
    if not last:
        raise UserError(
            "params.yaml: augment.replay: every source of prepare.sources is of round 0; set "
            "round: 1 for those that are new, or remove augment.replay"
        )
    old, new = (
        sum(record.weight for record in train if (rounds[record.source] == last) == is_new)
        for is_new in (False, True)
    )
    if not old or not new:
        kind = f"a round before {last}" if new else f"round {last}"
        raise UserError(
            f"params.yaml: augment.replay: no training record is of {kind}; add a source, or "
            "remove augment.replay"
        )
    factor = share / (1 - share) * new / old
    replayed = [
        record
        if rounds[record.source] == last
        else replace(record, weight=round(record.weight * factor, 9))
        for record in train
    ]
    return replayed, {"share": share, **_count_rows(replayed, rounds, last)}


def _count_rows(
    train: Sequence[Record], rounds: Mapping[str, int], last: int
) -> dict[str, dict[str, int]]:
    """Return the records and the training rows of earlier rounds (old) and the last one (new)."""
    counts = {kind: {"records": 0, "rows": 0} for kind in ("old", "new")}
    for record in train:
        part = counts["new" if rounds[record.source] == last else "old"]
        part["records"] += 1
        part["rows"] += record.repeats
    return counts
