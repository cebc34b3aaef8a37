"""Resume cache: an interrupted run continues with the answers that were given before."""

from pathlib import Path

from lockstep.predicting import resume_cache


def test_parts_are_computed_once_and_removed_at_the_end(tmp_path: Path):
    computed: list[list[int]] = []

    def work(part: list[int]) -> list[int]:
        computed.append(part)
        return [number**2 for number in part]

    try:
        with resume_cache.open_cache(tmp_path, "key", 2) as cache:
            assert cache.map("a", [1, 2, 3], work) == [1, 4, 9]
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with resume_cache.open_cache(tmp_path, "key", 2) as cache:
        assert cache.map("a", [1, 2, 3], work) == [1, 4, 9]
        assert cache.map("b", [5], work) == [25]
    with resume_cache.open_cache(tmp_path, "key", 2) as cache:
        assert cache.map("a", [1], work) == [1]
    assert computed == [[1, 2], [3], [5], [1]]
