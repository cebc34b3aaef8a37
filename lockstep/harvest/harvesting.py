"""The harvest: requests to learn from, requests to review, and requests that are left out."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from lockstep.harvest.candidates import Candidate, request_review
from lockstep.harvest.known_records import KnownRecords
from lockstep.harvest.logged_feedback import LeftOut
from lockstep.harvest.request_records import Form, HarvestedRequest, RecordMaker

CONFLICT = "conflicting_corrections"
"""Why requests with one question and different answers need review or are left out."""


@dataclass(slots=True)
class Harvest:
    """The result; each request with feedback is in exactly one of the lists."""

    learnt: list[HarvestedRequest] = field(default_factory=list)
    review: list[HarvestedRequest] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def harvest_candidates(
    candidates: Sequence[Candidate], maker: RecordMaker, known: KnownRecords, form: Form
) -> Harvest:
    """Return which of the candidates are learnt, reviewed or left out."""
    harvest = Harvest()
    answered = [candidate for candidate in candidates if candidate.origin]
    waiting = [candidate for candidate in candidates if not candidate.origin]

    records = maker.make_records(answered, form)
    records, faulty = _check_answers(records, maker, harvest)
    doubtful: list[Candidate] = []
    if form == "messages":  # a question may have several preferences
        contradictions = known.find_contradictions([item.record for item in records])
        records = _leave_out(records, contradictions, harvest)
        records, doubtful = _resolve_conflicts(records, known, harvest)
    repetitions = known.find_repetitions([item.record for item in records], of_training=True)
    harvest.learnt = _leave_out(records, repetitions, harvest)

    review = maker.make_records([*waiting, *faulty, *doubtful], "messages")
    order = {candidate.request.id: number for number, candidate in enumerate(candidates)}
    review.sort(key=lambda item: order[item.candidate.request.id])
    repetitions = known.find_repetitions([item.record for item in review], of_training=False)
    harvest.review = _leave_out(review, repetitions, harvest)
    harvest.left_out += maker.left_out
    return harvest


def _check_answers(
    records: Sequence[HarvestedRequest], maker: RecordMaker, harvest: Harvest
) -> tuple[list[HarvestedRequest], list[Candidate]]:
    """Return the records whose answers may be learnt, and the corrections that need review."""
    suitable, faulty = [], []
    for item in records:
        why = maker.find_fault(item.record)
        if not why:
            suitable.append(item)
        elif item.candidate.origin == "corrected":
            faulty.append(request_review(item.candidate, why))
        else:
            harvest.left_out.append(LeftOut(request_id=item.candidate.request.id, reason=why))
    return suitable, faulty


def _resolve_conflicts(
    records: Sequence[HarvestedRequest], known: KnownRecords, harvest: Harvest
) -> tuple[list[HarvestedRequest], list[Candidate]]:
    """Return the records without conflicts, and the candidates whose answers a person must compare.

    Records conflict if they have the same question and different answers. A review counts more
    than other answers; reviews that conflict with each other are left out.
    """
    by_question: dict[bytes, list[HarvestedRequest]] = defaultdict(list)
    keys = known.compute_input_keys([item.record for item in records])
    for key, item in zip(keys, records, strict=True):
        by_question[key].append(item)
    doubtful: list[Candidate] = []
    losers: list[LeftOut] = []
    for group in by_question.values():
        if len({item.record.answer for item in group}) > 1:
            reviewed = [item for item in group if item.candidate.origin == "reviewed"]
            losers += _find_losers(group, reviewed)
            if not reviewed:
                doubtful += [request_review(item.candidate, CONFLICT) for item in group]
    names = {candidate.request.id for candidate in doubtful}
    records = [item for item in records if item.record.origin not in names]
    return _leave_out(records, losers, harvest), doubtful


def _find_losers(
    group: Sequence[HarvestedRequest], reviewed: Sequence[HarvestedRequest]
) -> Iterator[LeftOut]:
    """Yield the records of one question that differ from a review."""
    for item in group:
        for review in reviewed:
            if review.record.answer != item.record.answer:
                yield LeftOut(
                    request_id=item.record.origin,
                    reason=CONFLICT,
                    because_of=review.record.origin,
                )
                break


def _leave_out(
    records: Sequence[HarvestedRequest], left_out: Collection[LeftOut], harvest: Harvest
) -> list[HarvestedRequest]:
    """Return the records that are not left out; keep the others in the harvest."""
    harvest.left_out += left_out
    names = {entry.request_id for entry in left_out}
    return [item for item in records if item.record.origin not in names]
