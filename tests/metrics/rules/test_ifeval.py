"""IFEval's rules give the answers of lm-eval, which holds the classes of the original code."""

import json
import random
from typing import Any

import nltk.data
import punkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize.punkt import PunktParameters, save_punkt_params

from lockstep.errors import UserError
from lockstep.metrics.registry import METRICS
from lockstep.metrics.rules import checking, rule_list, text_analysis
from lockstep.predictions import Prediction

RELATIONS = ("less than", "at least")
INSTRUCTIONS: dict[str, list[dict[str, Any]]] = {
    "keywords:existence": [{"keywords": ["lamp", "Rain"]}, {"keywords": ["la.p"]}],
    "keywords:frequency": [
        {"keyword": " lamp ", "frequency": 2, "relation": relation} for relation in RELATIONS
    ],
    "keywords:forbidden_words": [{"forbidden_words": ["lamp", "rain"]}],
    "keywords:letter_frequency": [
        {"letter": "L", "let_frequency": 3, "let_relation": relation} for relation in RELATIONS
    ],
    "language:response_language": [{"language": code} for code in ("en", "de", "hi", "ja")],
    "length_constraints:number_sentences": [
        {"num_sentences": 3, "relation": relation} for relation in RELATIONS
    ],
    "length_constraints:number_paragraphs": [{"num_paragraphs": number} for number in (1, 2, 3)],
    "length_constraints:number_words": [
        {"num_words": 9, "relation": relation} for relation in RELATIONS
    ],
    "length_constraints:nth_paragraph_first_word": [
        {"num_paragraphs": 2, "nth_paragraph": number, "first_word": word}
        for number in (1, 2)
        for word in ("Rain", "lamp")
    ],
    "detectable_content:number_placeholders": [{"num_placeholders": 2}],
    "detectable_content:postscript": [
        {"postscript_marker": marker} for marker in ("P.S.", "P.P.S", "Note:")
    ],
    "detectable_format:number_bullet_lists": [{"num_bullets": number} for number in (1, 2)],
    "detectable_format:constrained_response": [{}],
    "detectable_format:number_highlighted_sections": [{"num_highlights": n} for n in (1, 2, 3)],
    "detectable_format:multiple_sections": [
        {"section_spliter": marker, "num_sections": number}
        for marker in ("Section", "Day")
        for number in (1, 2)
    ],
    "detectable_format:json_format": [{}],
    "detectable_format:title": [{}],
    "combination:two_responses": [{}],
    "combination:repeat_prompt": [{"prompt_to_repeat": "Name a lamp."}],
    "startend:end_checker": [{"end_phrase": "Any other questions?"}],
    "startend:quotation": [{}],
    "change_case:capital_word_frequency": [
        {"capital_frequency": 2, "capital_relation": relation} for relation in RELATIONS
    ],
    "change_case:english_capital": [{}],
    "change_case:english_lowercase": [{}],
    "punctuation:no_comma": [{}],
}
PIECES = [
    "lamp", "Lamp, ", "Rain", "the rain falls on the roof of the old house", "LAMP AND RAIN",
    "RAIN", "THE RAIN FALLS ON THE ROOF OF THE OLD HOUSE", '"a lamp"',
    "Der Regen fällt auf das Dach des alten Hauses", "बारिश हो रही है", "雨が降っています",
    "well-KNOWN", "Dr. Quill paid 3.5 dollars.", "It rained!", "Why? ", "e.g. a lamp",
    "U.S. lamps", "Mr. B. ran.", "\n", "\n\n", "\n\n\n", " ", "***", " *** ", "******",
    "*lamp*", "**rain**", "**", "* a", "\n* a", "\n  - b", "\n**c", "[name]", "[a]b]", "[\n]",
    "<<Night train>>", "<< >>", "P.S.", "p. p. s.", "P.P.S", "Note: ", "Section 1", "Section2",
    "SECTION 3", "Day 1\n", "\nDay 2 ", "'\"lamp\"", '"', "'", "Name a lamp.",
    "name A LAMP. It is", "Any other questions?", 'any other questions?"', "My answer is yes.",
    "my answer is no", "My answer is maybe.", "```json\n", "```", '{"a": 1}', "[1, NaN]", "LLL",
    "l", "ΟΔΟΣ", "İ", "1", "?", ",", "，", ". ",
]  # fmt: skip
CASES = [(name, kwargs) for name, several in INSTRUCTIONS.items() for kwargs in several]


@pytest.fixture(scope="module")
def lm_eval_utils(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return lm-eval's module for IFEval; NLTK finds its data in a folder that this writes."""
    folder = tmp_path_factory.mktemp("nltk")
    (folder / "tokenizers/punkt_tab/english").mkdir(parents=True)
    model, parameters = punkt.load_model("english"), PunktParameters()
    for name in ("abbrev_types", "collocations", "sent_starters", "ortho_context"):
        setattr(parameters, name, getattr(model, name))
    nltk.data.path.insert(0, str(folder))
    save_punkt_params(parameters, str(folder / "tokenizers/punkt_tab/english"))
    from lm_eval.tasks.ifeval import instructions_registry, utils

    text_analysis.identify_language("")  # sets the seed of langdetect, which lm-eval leaves open
    assert instructions_registry.INSTRUCTION_DICT.keys() == INSTRUCTIONS.keys()
    yield utils
    nltk.data.path.remove(str(folder))


def make_reference(*rules: tuple[str, dict[str, Any]]) -> str:
    return json.dumps([{"rule": name, **kwargs} for name, kwargs in rules])


def check_with_lm_eval(utils: Any, rules: Any, answer: str) -> dict[str, Any]:
    """Return lm-eval's four results; every rule has its own keyword arguments."""
    names, kwargs = zip(*rules, strict=True)
    doc = {"key": 1, "prompt": "", "instruction_id_list": [*names], "kwargs": [*kwargs]}
    return utils.process_results(doc, [answer])


def list_answers(seed: int, number: int) -> list[str]:
    """Return random answers, and each piece by itself and between others."""
    rng = random.Random(seed)
    joined = [
        rng.choice(["", " ", "\n", "\n\n"]).join(rng.choices(PIECES, k=rng.randint(2, 7)))
        for _ in range(number)
    ]
    return [*PIECES, *(f"It is\n{piece}\nnow." for piece in PIECES), *joined]


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_each_rule_is_met_where_lm_eval_says_so(name: str, lm_eval_utils: Any) -> None:
    is_slow = "language" in name or "english" in name
    results = set()
    for kwargs in INSTRUCTIONS[name]:
        rule, reference = [(name, kwargs)], make_reference((name, kwargs))
        for answer in PIECES[::2] if is_slow else list_answers(7, 250):
            expected = check_with_lm_eval(lm_eval_utils, rule, answer)
            strict = checking.check_rules(reference, answer)
            assert strict == expected["inst_level_strict_acc"], (kwargs, answer)
            assert (
                checking.check_rules_loosely(reference, answer) == expected["inst_level_loose_acc"]
            ), (kwargs, answer)
            results |= {*strict}
    assert results == {False, True}


@settings(max_examples=150)
@given(st.sampled_from(CASES), st.lists(st.sampled_from([*PIECES, None]), max_size=8), st.text())
def test_no_text_gets_another_result_than_from_lm_eval(
    lm_eval_utils: Any, case: tuple[str, dict[str, Any]], pieces: list[str | None], text: str
) -> None:
    answer = "".join(text if piece is None else piece for piece in pieces)
    expected = check_with_lm_eval(lm_eval_utils, [case], answer)
    reference = make_reference(case)
    assert checking.check_rules(reference, answer) == expected["inst_level_strict_acc"]
    assert checking.check_rules_loosely(reference, answer) == expected["inst_level_loose_acc"]


def test_the_four_metrics_are_those_of_lm_eval(lm_eval_utils: Any) -> None:
    rng = random.Random(3)
    rows, expected = [], []
    for answer in list_answers(5, 60):
        rules = rng.sample(CASES, rng.randint(1, 3))
        expected.append(check_with_lm_eval(lm_eval_utils, rules, answer))
        rows.append(
            Prediction(id="", task="", slices={}, question="", prompt="",
                       reference=make_reference(*rules), prediction=answer)
        )  # fmt: skip
    metrics = {name: metric.compute(rows) for name, metric in METRICS["rules"].items()}
    mean_over_prompts = {
        name: sum(row[f"prompt_level_{kind}_acc"] for row in expected) / len(expected)
        for name, kind in (("all_followed", "strict"), ("all_followed_loose", "loose"))
    }
    mean_over_rules = {
        name: lm_eval_utils.agg_inst_level_acc([row[f"inst_level_{kind}_acc"] for row in expected])
        for name, kind in (("rules_followed", "strict"), ("rules_followed_loose", "loose"))
    }
    assert metrics == pytest.approx(mean_over_prompts | mean_over_rules)


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ({"rule": "keywords:existence"}, "0.keywords:existence.keywords: field required"),
        ({"rule": "keywords:existence", "keywords": ["("]}, "not a regular expression: missing )"),
        (
            {"rule": "length_constraints:nth_paragraph_first_word", "num_paragraphs": 1,
             "nth_paragraph": 2, "first_word": "so"},
            "nth_paragraph is more than num_paragraphs",
        ),
        ({"rule": "punctuation:no_comma", "num_words": 3}, "extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_arguments_that_lm_eval_would_draw_at_random_are_required(
    rule: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(UserError, match=mistake.replace("(", r"\(").replace(")", r"\)")):
        rule_list.parse_rules(json.dumps([rule]))


def test_a_letter_may_be_any_character() -> None:
    """Google's file asks for `#` and `!`, for which the original code draws a random letter."""
    rule = {"letter": "#", "let_frequency": 2, "let_relation": "at least"}
    reference = make_reference(("keywords:letter_frequency", rule))
    assert checking.check_rules(reference, "#rain #lamp") == [True]
    assert checking.check_rules(reference, "#rain") == [False]


def test_the_language_of_a_text_is_the_same_in_every_call() -> None:
    text = "Café Lamp Hotel"  # too short: without a seed, langdetect names several languages
    assert len({text_analysis.identify_language(text) for _ in range(20)}) == 1
