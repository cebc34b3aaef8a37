"""Features of texts in several scripts and languages."""

from lockstep.drift import text_features
from lockstep.drift.compared_texts import ComparedText


def test_features_of_texts() -> None:
    texts = [
        "Where is my parcel 4711? WHERE?",
        "¿Dónde está mi paquete, por favor?",
        "包裹在哪里",
        "42",
    ]
    features = text_features.compute_features(
        [ComparedText(text=text, system="Be kind.", answer="") for text in texts]
    )
    assert len(features) == 4
    assert features.lengths.tolist() == [31, 34, 5, 2]
    assert features.systems.tolist() == ["Be kind."] * 4
    assert features.scripts.tolist() == ["latin", "latin", "zh", "none"]
    assert features.languages.tolist() == ["en", "es", "zh", "none"]
    assert features.words[0] == {"where", "is", "my", "parcel"}
    assert features.words[2] == {"包裹", "在", "哪里"}
    assert features.ngrams.shape[0] == 4


def test_a_long_text_counts_with_its_beginning_and_its_length() -> None:
    text = "a " * text_features.MAX_CHARACTERS + "end"
    features = text_features.compute_features([ComparedText(text=text, system="", answer="")])
    assert features.lengths.tolist() == [len(text)]
    assert features.words == [{"a"}]
