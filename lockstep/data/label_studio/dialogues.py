"""Dialogues of Label Studio's Paragraphs: the text of a dialogue, and the labels of its turns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lockstep.data.rejected_rows import InvalidRowError

SPEAKER_KEYS = ("author", "speaker", "role", "from", "name", "user")
"""Keys that may hold the speaker of a turn; Label Studio's default comes first."""
TEXT_KEYS = ("text", "content", "utterance", "said", "phrase", "message", "value")
"""Keys that may hold the text of a turn; Label Studio's default comes first."""


class Turn(NamedTuple):
    """A turn of a dialogue."""

    start: int
    """Offset of its text in the text of the dialogue."""
    text: str


def format_dialogue(turns: Any) -> tuple[str, list[Turn]]:
    """Return a dialogue as lines `speaker: text`, and its turns.

    Raise InvalidRowError if a turn has no text.
    """
    if not isinstance(turns, list):
        raise InvalidRowError("dialogue_not_turns")
    dialogue, placed = "", []
    for turn in turns:
        text = _get_text(turn, TEXT_KEYS)
        if text is None:
            raise InvalidRowError(
                "dialogue_not_turns", detail=f"a turn needs one of the keys {', '.join(TEXT_KEYS)}"
            )
        speaker = _get_text(turn, SPEAKER_KEYS)
        dialogue += ("\n" if dialogue else "") + (f"{speaker}: " if speaker else "")
        placed.append(Turn(len(dialogue), text))
        dialogue += text
    return dialogue, placed


def locate_values(
    values: Sequence[Mapping[str, Any]], turns: Sequence[Turn]
) -> Iterator[dict[str, Any]]:
    """Yield labelled parts of turns as spans of the dialogue's text.

    Raise InvalidRowError if a part is in no turn.
    """
    for value in values:
        try:
            first, last = turns[int(value["start"])], turns[int(value["end"])]
            start = first.start + find_offset(first.text, int(value["startOffset"]))
            end = last.start + find_offset(last.text, int(value["endOffset"]))
        except (KeyError, TypeError, ValueError, IndexError):
            raise InvalidRowError("span_in_no_turn") from None
        yield {"start": start, "end": end, "labels": value.get("paragraphlabels")}


def find_offset(text: str, offset: int) -> int:
    """Return the offset in characters of an offset that counts UTF-16 code units.

    The offsets differ only behind characters beyond 16 bits, such as emoji.
    """
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) == 2 * len(text):
        return offset
    return len(units[: 2 * offset].decode("utf-16-le", "replace"))


def find_turn_labels(
    spans: Sequence[tuple[int, int, str]], turns: Sequence[Turn]
) -> dict[int, list[str]]:
    """Return the sorted labels of each turn that a span overlaps, by the turn's index."""
    labels: dict[int, set[str]] = {}
    for start, end, label in spans:
        for index, turn in enumerate(turns):
            if start < turn.start + len(turn.text) and turn.start < end:
                labels.setdefault(index, set()).add(label)
    return {index: sorted(names) for index, names in sorted(labels.items())}


def _get_text(turn: Any, keys: Sequence[str]) -> str | None:
    """Return the text under the first of the keys that a turn has; a turn may be a text itself."""
    if isinstance(turn, str):
        return turn if keys is TEXT_KEYS else None
    if not isinstance(turn, dict):
        return None
    return next((turn[key] for key in keys if isinstance(turn.get(key), str)), None)
