"""The benchmark of the forms measures each of them; its table has medians and ratios."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import decoding
from lockstep.models import gguf_folder
from tests.conftest import REPOSITORY

MEASURE = """
import json, sys
from pathlib import Path
from benchmarks import decoding
decoding.ANSWER_TOKENS, decoding.MIN_SECONDS, decoding.PREFILL_TOKENS = {1: 4, 8: 4}, 0.0, 64
print(json.dumps(decoding.Bench(Path(sys.argv[1])).measure()))
"""
"""Program that measures a form briefly, in a process whose peak memory is its own."""


@pytest.mark.parametrize("form", ["bf16", "nf4", "gguf_q8_0"])
def test_a_form_is_written_and_measured(tiny_model: Path, tmp_path: Path, form: str) -> None:
    full = gguf_folder.count_weight_bytes(tiny_model)
    decoding.write_form(tiny_model, form, tmp_path / form)
    size = gguf_folder.count_weight_bytes(tmp_path / form)
    assert size < 0.9 * full
    command = [sys.executable, "-c", MEASURE, str(tmp_path / form)]
    output = subprocess.check_output(command, cwd=REPOSITORY, text=True)
    numbers = json.loads(output.splitlines()[-1])
    assert numbers.keys() == decoding.MEASURED.keys()
    assert all(value > 0 for value in numbers.values())


def test_the_table_has_medians_and_their_ratios_to_the_first_form() -> None:
    slow = {"decode_1": 80.0, "decode_8": 12.0, "prefill": 500.0, "peak": 1000.0}
    runs = [{**slow, "decode_1": value} for value in (100.0, 80.0, 60.0)]
    fast = {"decode_1": 16.0, "decode_8": 6.0, "prefill": 2000.0, "peak": 250.0}
    lines = decoding.format_table(
        {"fp32": 600_000_000, "gguf_q8_0": 150_000_000}, {"fp32": runs, "gguf_q8_0": [fast]}
    )
    assert [*lines] == [
        "| form | MB | decode at batch 1, ms | decode at batch 8, ms | prefill, tokens/s "
        "| peak, MiB |",
        "|---|--:|--:|--:|--:|--:|",
        "| fp32 | 600 (1.00) | 80.0 (1.00) | 12.0 (1.00) | 500 (1.00) | 1,000 (1.00) |",
        "| gguf_q8_0 | 150 (0.25) | 16.0 (0.20) | 6.00 (0.50) | 2,000 (4.00) | 250 (0.25) |",
    ]


def test_the_spread_names_the_number_whose_rounds_differ_most() -> None:
    steady = {"decode_1": 10.0, "decode_8": 2.0, "prefill": 500.0, "peak": 100.0}
    runs = [steady, {**steady, "decode_1": 11.0, "peak": 900.0}, {**steady, "decode_8": 2.1}]
    assert decoding.format_spread({"fp32": [steady] * 3, "nf4": runs}) == (
        "Largest difference between rounds: 10% (nf4, decode_1), median 0%."
    )
