"""The settings of training in the model card."""

from lockstep.reporting.training_settings import get_loader_name, list_settings

TRAIN = {
    "objective": "sft",
    "epochs": 4.0,
    "tasks": [],
    "options": {},
    "early_stopping": None,
    "sft": {"loss_on": "last", "packing": False},
    "grpo": {"rewards": [{"kind": "json", "weight": 1.0}]},
}


def test_settings_are_flat_sorted_and_limited_to_the_objective() -> None:
    assert list_settings(TRAIN) == [
        ("epochs", "4.0"),
        ("objective", "sft"),
        ("sft.loss_on", "last"),
        ("sft.packing", "no"),
    ]
    assert list_settings({**TRAIN, "objective": "grpo", "tasks": ["a", "b"]}) == [
        ("epochs", "4.0"),
        ("grpo.rewards", "kind json weight 1.0"),
        ("objective", "grpo"),
        ("tasks", "a, b"),
    ]


def test_the_loader_depends_on_the_objective() -> None:
    assert get_loader_name("sft") == "AutoModelForCausalLM"
    assert get_loader_name("reward") == "AutoModelForSequenceClassification"
