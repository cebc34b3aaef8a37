"""What is kept of an evaluation is found again by all that determines it."""

from pathlib import Path

from stages.scoring import kept
from verify import imports

ROOT = Path(__file__).parents[2]


def test_the_code_that_determines_scores_is_that_of_the_stage():
    needed = imports.closure("stages/evaluate.py", ROOT)
    assert {f"stages/{name}" for name in kept.MODULES} == needed


def test_parts_are_computed_once_and_forgotten_at_the_end(tmp_path: Path):
    asked: list[list[int]] = []

    def work(part: list[int]) -> list[int]:
        asked.append(part)
        return [number**2 for number in part]

    try:
        with kept.opened(tmp_path, 2, "one") as scored:
            assert scored.through("a", [1, 2, 3], work) == [1, 4, 9]
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with kept.opened(tmp_path, 2, "one") as scored:
        assert scored.through("a", [1, 2, 3], work) == [1, 4, 9]
        assert scored.through("b", [5], work) == [25]
    with kept.opened(tmp_path, 2, "one") as scored:
        assert scored.through("a", [1], work) == [1]
    assert asked == [[1, 2], [3], [5], [1]]
