"""Decide what becomes of each request: its right answer is known, it needs review, or neither."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lockstep.harvest.logged_feedback import LeftOut, RatedRequest
from lockstep.harvest.reviewed_answers import Review


@dataclass(frozen=True, slots=True)
class HarvestSettings:
    """Settings that say which answers are right and which are bad."""

    accepts_thumbs_up: bool = False
    """Whether an answer with a thumb up is right."""
    low_score: float = 2.0
    """Highest score of an answer that needs review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A request whose right answer is known, or that needs review."""

    request: RatedRequest
    origin: str
    """Where the right answer is from: reviewed, corrected or accepted; empty: it needs review."""
    answer: str = ""
    """The right answer; empty if it needs review."""
    why: str = ""
    """Why it needs review, in snake_case."""
    task: str = ""
    """Task that the review names; empty: not known yet."""


def choose_candidates(
    rated: Iterable[RatedRequest], reviews: Mapping[str, Review], settings: HarvestSettings
) -> tuple[list[Candidate], list[LeftOut]]:
    """Return the candidates, in the order of the log and then of the reviews of older requests."""
    candidates, left_out, names = list[Candidate](), list[LeftOut](), set()
    for request in rated:
        names.add(request.id)
        if request.id in reviews:
            result: Candidate | LeftOut = _take_review(reviews[request.id])
        else:
            result = _judge(request, settings)
        if isinstance(result, LeftOut):
            left_out.append(result)
        else:
            candidates.append(result)
    older = [_take_review(review) for name, review in reviews.items() if name not in names]
    return candidates + older, left_out


def request_review(candidate: Candidate, why: str) -> Candidate:
    """Return a candidate that needs review in the place of one whose answer is doubtful."""
    return Candidate(request=candidate.request, origin="", why=why)


def _take_review(review: Review) -> Candidate:
    return Candidate(
        request=review.request, origin="reviewed", answer=review.answer, task=review.task
    )


def _judge(request: RatedRequest, settings: HarvestSettings) -> Candidate | LeftOut:
    feedback = request.feedback
    if feedback.correction:
        return Candidate(request=request, origin="corrected", answer=feedback.correction)
    if feedback.thumb == "down":
        return Candidate(request=request, origin="", why="thumb_down")
    if feedback.thumb == "up":
        return _judge_liked(request, settings)
    if feedback.score is not None and feedback.score <= settings.low_score:
        return Candidate(request=request, origin="", why="low_score")
    return LeftOut(request_id=request.id, reason="not_rated_low")


def _judge_liked(request: RatedRequest, settings: HarvestSettings) -> Candidate | LeftOut:
    """Accept an answer with a thumb up, if the settings say so and it may be learnt."""
    if not settings.accepts_thumbs_up:
        reason = "thumb_up"
    elif request.is_truncated:
        reason = "answer_truncated"
    elif not request.answer:
        reason = "no_answer"
    else:
        return Candidate(request=request, origin="accepted", answer=request.answer)
    return LeftOut(request_id=request.id, reason=reason)
