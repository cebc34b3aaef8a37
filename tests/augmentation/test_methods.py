"""Each method is configured by its params and rephrases all questions."""

import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from lockstep.augmentation import back_translation, methods, paraphrase
from lockstep.augmentation.methods import PARAPHRASE_PROMPT, Method, Question, Resources
from lockstep.models.compute import ComputeParams
from tests.llm_server import run_endpoint

COMPUTE = ComputeParams(threads=1, attention="eager")
TEXTS = ["Where is my blue parcel?", "Send the parcel back please"]


def rephrase(
    settings: dict[str, Any], texts: list[str] = TEXTS, dictionary: Path = Path("synonyms.tsv")
) -> list[str]:
    """Rephrase the texts by the method with these params; the word "back" is protected."""
    method = TypeAdapter(Method).validate_python({"share": 1.0, **settings})
    questions = [Question(text=text, rng=random.Random(7), protected=["back"]) for text in texts]
    return method.rephrase(questions, Resources(dictionary=dictionary, compute=COMPUTE, seed=3))


def test_deletion_and_swap_change_whole_words() -> None:
    (text,) = rephrase({"method": "deletion", "rate": 1.0}, ["back alpha gamma delta"])
    assert text.startswith("back ") and len(text.split()) == 2
    swapped = {"back gamma alpha delta", "back delta gamma alpha", "back alpha delta gamma"}
    (text,) = rephrase({"method": "swap", "rate": 0.1}, ["back alpha gamma delta"])
    assert text in swapped


@pytest.mark.parametrize(
    ("method", "rephrased"), [("case", "back ALPHA"), ("width", "back ａｌｐｈａ")]
)
def test_case_and_width_change_the_share_of_letters_that_rate_says(
    method: str, rephrased: str
) -> None:
    assert rephrase({"method": method, "rate": 1.0}, ["back alpha"]) == [rephrased]
    (text,) = rephrase({"method": method, "rate": 0.4}, ["back alpha"])
    assert sum(a != b for a, b in zip(text, "back alpha", strict=True)) == 2


def test_keyboard_and_homophones_change_letters_and_words() -> None:
    (typo,) = rephrase({"method": "keyboard", "rate": 0.1}, ["back alpha"])
    assert typo.startswith("back ") and typo != "back alpha" and len(typo) == 10
    assert rephrase({"method": "homophones", "rate": 1.0}, ["back week"]) == ["back weak"]


def test_synonyms_come_from_the_dictionary(tmp_path: Path) -> None:
    dictionary = tmp_path / "synonyms.tsv"
    dictionary.write_text("en\tparcel\tpackage\nen\tback\treturned\n")
    assert rephrase({"method": "synonyms"}, dictionary=dictionary) == [
        "Where is my blue package?",
        "Send the package back please",
    ]
    assert rephrase({"method": "synonyms"}, [], tmp_path / "absent.tsv") == []


def test_synonyms_come_from_the_wordnet_in_the_folder(wordnet: Path) -> None:
    settings = {"method": "wordnet", "folder": str(wordnet), "rate": 1.0}
    first, second = rephrase(settings)
    assert first in ("Where is my blue package?", "Where is my blue bundle?")
    assert second in ("Ship off the package back please", "Ship off the bundle back please")
    text = "parcel parcel parcel parcel"
    (few,) = rephrase({"method": "wordnet", "folder": str(wordnet)}, [text])
    assert few.split().count("parcel") == 3, "the default rate changes one word in ten"


def test_an_endpoint_gets_the_params_of_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with run_endpoint(lambda request: "rephrased") as server:
        settings = {"method": "paraphrase", "url": server.url, "model": "m"}
        assert rephrase(settings, ["a"]) == ["rephrased"]
        changes = {"prompt": "Reword.", "temperature": 0.0, "seed": 5}
        assert rephrase({**settings, **changes}, ["a"]) == ["rephrased"]
    by_default, changed = server.requests
    assert by_default["messages"][0] == {"role": "system", "content": PARAPHRASE_PROMPT}
    assert (by_default["model"], by_default["temperature"], by_default["seed"]) == ("m", 0.7, 1)
    assert changed["messages"][0] == {"role": "system", "content": "Reword."}
    assert (changed["temperature"], changed["seed"]) == (0.0, 5)


def test_a_local_model_gets_the_params_of_the_method(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    settings = {"method": "local_paraphrase", "model": str(tiny_model), "prompt": "Say it.",
                "batch_size": 2, "max_new_tokens": 6}  # fmt: skip
    expected = paraphrase.paraphrase_locally(TEXTS, tiny_model, COMPUTE, 3, "Say it.", 1, 6)
    assert rephrase(settings) == expected
    assert rephrase({**settings, "max_new_tokens": 1}) != expected
    assert rephrase({**settings, "prompt": "退款多久到账？"}) != expected


def test_back_translation_uses_both_models(
    translation_models: list[Path],
) -> None:
    there, back = translation_models
    settings = {"method": "back_translation", "there": str(there), "back": str(back),
                "max_new_tokens": 6}  # fmt: skip
    expected = back_translation.back_translate(TEXTS, there, back, 1, 6)
    assert rephrase(settings) == expected
    assert rephrase({**settings, "there": str(back), "back": str(there)}) != expected
    assert rephrase({**settings, "max_new_tokens": 3}) != expected


def test_a_model_must_be_named() -> None:
    for settings in ({"method": "local_paraphrase"}, {"method": "back_translation", "there": "x"}):
        with pytest.raises(ValueError, match="Field required"):
            TypeAdapter(Method).validate_python(settings)
    assert methods.SynonymMethod(method="synonyms").rate == 0.5
