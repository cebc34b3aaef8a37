"""Long rows read window by window, each token scored once."""

from collections.abc import Sequence

from lockstep.models.chat import IGNORED, Example


def of(example: Example, size: int) -> list[Example]:
    """The example itself where it fits into `size` tokens; else windows of that many, each half a
    window further, whose labels are the tokens that no window before has scored.

    So every token but the first window's is scored behind at least half a window of context
    (transformers, "Perplexity of fixed-length models").
    """
    ids, labels = example.input_ids, example.labels
    if len(ids) <= size:
        return [example]
    found, scored = [], 0
    for start in range(0, len(ids), max(1, size // 2)):
        end = min(start + size, len(ids))
        own = [IGNORED] * (scored - start) + labels[scored:end]
        found.append(Example(ids[start:end], own))
        scored = end
        if end == len(ids):
            break
    return [window for window in found if window.answer_tokens]


def joined(losses: Sequence[tuple[float, int]], counts: Sequence[int]) -> list[tuple[float, int]]:
    """Losses of windows -> those of their examples, each of so many windows."""
    found, start = [], 0
    for count in counts:
        part = losses[start : start + count]
        found.append((sum(loss for loss, _ in part), sum(tokens for _, tokens in part)))
        start += count
    return found
