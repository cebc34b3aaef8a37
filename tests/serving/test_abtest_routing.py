"""Users of an A/B test: who gets which model, and the way from requests to results."""

import asyncio
import random
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from lockstep.abtests import abtest_results, outcome_table
from lockstep.abtests.outcome_table import SECONDS_PER_DAY
from lockstep.errors import UserError
from lockstep.models.chat import ChatTokenizer
from lockstep.models.heads import Head
from lockstep.serving.__main__ import build_route, check_variants
from lockstep.serving.abtest_plan import AbTestPlan
from lockstep.serving.abtest_routing import AbTestRouter, Route, assign_variant, keep_model
from lockstep.serving.api.request_limits import Slots
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.engines.model_forms import ModelForm
from lockstep.serving.gateway import create_app
from lockstep.serving.logs.log_files import OUTCOMES, REQUESTS, read_log
from lockstep.serving.logs.request_log import RequestRecord
from lockstep.serving.served_model import ServedModel
from lockstep.serving.serving_params import ServingParams
from tests.conftest import REPOSITORY
from tests.serving.conftest import ScriptedEngine, read_events, run_server

USERS, SHARE = 260, 0.45
ANSWERS = {
    "tuned": "Order 4711 has been shipped.",
    "next": "I am sorry, but I cannot help with that.",
}
TEST = {"plan": "plan.yaml", "a": "tuned", "b": "next"}
PLAN = AbTestPlan.model_validate(
    {
        "name": "winter", "share": SHARE, "window_days": 1.0,
        "primary": {"outcome": "converted", "baseline": 0.2, "minimum_effect": 0.5},
        "guardrails": [
            {"measure": "refused", "margin": 0.3}, {"measure": "failed", "margin": 0.1}
        ],
    }
)  # fmt: skip


def test_users_are_assigned_alike_everywhere_and_in_the_planned_share() -> None:
    names = [f"user{number}" for number in range(20_000)]
    variants = [assign_variant(name, "winter", 0.3) for name in names]
    assert variants == [assign_variant(name, "winter", 0.3) for name in names]
    assert variants.count("b") / len(names) == pytest.approx(0.3, abs=0.01)
    moved = [assign_variant(name, "spring", 0.3) for name in names]
    both = sum(pair == ("b", "b") for pair in zip(variants, moved, strict=True))
    assert both / len(names) == pytest.approx(0.09, abs=0.01)  # independent of the other test


def test_only_users_who_ask_the_product_take_part() -> None:
    router = AbTestRouter(PLAN, "last", "next")
    assert router.choose("base", "user1") == Route("base")
    assert router.choose("next", "user1") == Route("next")
    assert router.choose("tuned", "") == Route("last")
    routes = {router.choose("tuned", f"user{number}") for number in range(20)}
    assert routes == {Route("last", "a", "winter"), Route("next", "b", "winter")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"abtest": TEST | {"b": "nxt"}}, "abtest.b: nxt is not served; the models are tuned"),
        ({"abtest": TEST | {"b": "tuned"}}, "a and b are the same model"),
        ({"abtest": TEST, "log_folder": None}, "set serving.log_folder"),
        ({"abtest": TEST | {"a": "base"}, "models": ["base"]}, "divides the requests for tuned"),
        ({"folders": {"tuned": "data/merged"}}, "folders: a model is named as one of"),
        ({"folders": {"../x": "data/merged"}}, "should match pattern"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    values = {"folders": {"next": "data/next"}, "log_folder": "build/log"}
    assert ServingParams.model_validate(values | {"abtest": TEST})
    with pytest.raises(ValidationError, match=message):
        ServingParams.model_validate(values | changes)


class Service:
    """A gateway before two models that say different texts, and its clients."""

    def __init__(self, tokenizer: ChatTokenizer, folder: Path) -> None:
        self.engines = {name: ScriptedEngine(tokenizer, answer) for name, answer in ANSWERS.items()}
        models = {
            name: ServedModel(name, tokenizer, engine, Slots(4, 16, 10), 64, 64, 40)
            for name, engine in self.engines.items()
        }
        settings = ServingParams(
            log_folder=str(folder), log_share=0.0, requests_per_minute=0, tokens_per_minute=0
        )
        choose = AbTestRouter(PLAN, "tuned", "next").choose
        app = create_app(settings, models, ApiKeys({}), choose_variant=choose)
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://localhost"
        )

    async def ask(self, **values: Any) -> httpx2.Response:
        body = {"model": "tuned", "messages": [{"role": "user", "content": "Where?"}], **values}
        return await self.client.post("/v1/chat/completions", json=body)

    async def report(self, **values: Any) -> None:
        reply = await self.client.post("/v1/outcome", json=values)
        assert reply.status_code == 200, reply.text


def read_text(reply: httpx2.Response) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


async def wait_for_lines(folder: Path, number: int) -> list[dict[str, Any]]:
    """Return the requests in the log when there are this many; a thread writes them."""
    for _ in range(200):
        lines = [*read_log(folder, REQUESTS)]
        if len(lines) >= number:
            return lines
        await asyncio.sleep(0.02)
    raise AssertionError(len(lines))


def test_requests_and_outcomes_become_results(
    starter_tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    """Users of variant b buy more often, and its model refuses everything."""

    async def use_the_service() -> None:
        service, rng = Service(starter_tokenizer, tmp_path), random.Random(1)
        for number in range(USERS):
            user = f"user{number}"
            variant = assign_variant(user, "winter", SHARE)
            times = 2 if number % 8 == 7 else 1
            replies = [await service.ask(user=user, max_tokens=12) for _ in range(times)]
            assert {read_text(reply)[:5] for reply in replies} == {
                ANSWERS["next" if variant == "b" else "tuned"][:5]
            }
            if rng.random() < (0.9 if variant == "b" else 0.2):
                by = {"user": user} if number % 2 else {"request_id": replies[0].json()["id"]}
                await service.report(outcome="converted", value=True, **by)
        await service.ask()
        await service.ask(model="next", user="user1")
        requests = USERS + USERS // 8
        lines = await wait_for_lines(tmp_path, requests)
        assert len(lines) == requests  # neither of the last two is part of the test
        assert {(line["variant"], line["answered_by"]) for line in lines} == {
            ("a", "tuned"), ("b", "next")
        }  # fmt: skip
        assert not any("user1" in str(line) or "messages" in line for line in lines)

    asyncio.run(use_the_service())
    table = outcome_table.read_table(tmp_path, PLAN, time.time() + 1.1 * SECONDS_PER_DAY)
    results = abtest_results.compute_results(table, PLAN)
    expected = [assign_variant(f"user{number}", "winter", SHARE) for number in range(USERS)]
    assert table.assigned == (expected.count("a"), expected.count("b"))
    assert table.unmatched == 0 and results.sample_ratio_p > 0.05
    assert results.outcomes[0].means == pytest.approx((0.2, 0.9), abs=0.1)
    assert results.outcomes[0].p < 0.001
    (_, refused), (_, failed) = results.guardrails
    assert (refused.means, failed.means) == ((0.0, 1.0), (0.0, 0.0))


def test_no_response_names_the_variant(starter_tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    """Only the texts differ."""

    async def compare() -> None:
        service = Service(starter_tokenizer, tmp_path)
        users = [f"user{number}" for number in range(40)]
        pair = [
            next(user for user in users if assign_variant(user, "winter", SHARE) == variant)
            for variant in ("a", "b")
        ]
        replies = [await service.ask(user=user) for user in pair]
        assert replies[0].headers.keys() == replies[1].headers.keys()
        assert [reply.json()["model"] for reply in replies] == ["tuned", "tuned"]
        assert not any("next" in reply.text for reply in replies)
        streams = [await service.ask(user=user, stream=True) for user in pair]
        assert all(
            event["model"] == "tuned"
            for stream in streams
            for event in read_events(stream.text)[:-1]
        )

    asyncio.run(compare())


def list_blocks(language: str) -> list[str]:
    """Return the code blocks of docs/abtests.md in a language."""
    page = (REPOSITORY / "docs/abtests.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_make_serve_divides_the_users_as_documented(
    served_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands and settings of docs/abtests.md: the last release against the tuned model."""
    _, copy, _ = list_blocks("sh")
    subprocess.run(["sh", "-ec", copy], cwd=served_folder, check=True)
    (settings,) = list_blocks("yaml")
    (served_folder / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/abtest.yaml", served_folder / "docs")
    changes = YAML(typ="safe", pure=True).load(settings)["serving"]
    with run_server(
        served_folder, {f"serving.{key}": value for key, value in changes.items()}
    ) as server:
        for number in range(6):
            body = {"model": "tuned", "prompt": "a", "max_tokens": 1, "user": f"user{number}"}
            reply = httpx2.post(f"{server.url}/v1/completions", json=body)
            assert reply.json()["model"] == "tuned", reply.text
        (python,) = list_blocks("python")
        exec(python.replace("http://127.0.0.1:8000", server.url), {})  # noqa: S102 - our documentation
    assert capsys.readouterr().out.strip()
    log = served_folder / "build/log"
    *requests, documented = read_log(log, REQUESTS)
    assert [line["answered_by"] for line in requests] == [
        "tuned" if assign_variant(f"user{number}", "example", 0.5) == "b" else "last"
        for number in range(6)
    ]
    (outcome,) = read_log(log, OUTCOMES)
    assert (outcome["user"], outcome["value"]) == (documented["user"], 1.0)


def test_a_faulty_plan_stops_make_serve_before_a_model_loads(tmp_path: Path) -> None:
    settings = {"folders": {"next": "data/next"}, "log_folder": "build/log"}
    test = TEST | {"plan": str(tmp_path / "plan.yaml")}
    with pytest.raises(UserError, match=r"plan.yaml: no such file; give the plan of the test"):
        build_route(ServingParams.model_validate(settings | {"abtest": test}))
    assert build_route(ServingParams()) is keep_model


def test_both_variants_generate_or_have_a_head() -> None:
    settings = ServingParams.model_validate(
        {"folders": {"next": "data/next"}, "log_folder": "build/log", "abtest": TEST}
    )
    head = Head("single_label_classification", ["a", "b"])
    forms = [
        ModelForm(name, Path(name), "transformers", Path(name), other, 64)
        for name, other in (("tuned", None), ("base", head), ("next", None))
    ]
    check_variants(settings, forms)
    with pytest.raises(UserError, match="one of tuned and next has a head"):
        check_variants(settings, [*forms[:2], replace(forms[2], head=head)])


@pytest.mark.parametrize(
    ("status", "error", "failed"),
    [
        (200, "", False),
        (400, "context_length_exceeded", False),
        (429, "requests_per_minute", False),
        (429, "queue_full", True),
        (429, "queue_timeout", True),
        (499, "client_closed", False),
        (503, "engine_unavailable", True),
        (504, "timeout", True),
    ],
)
def test_a_request_has_failed_if_the_server_is_the_cause(
    status: int, error: str, failed: bool
) -> None:
    record = RequestRecord(id="r", time=1.0, endpoint="/v1/completions", status=status, error=error)
    assert record.failed == failed


def test_an_answer_that_refuses_is_recognised_as_by_evaluate() -> None:
    record = RequestRecord(id="r", time=1.0, endpoint="/v1/completions", answer="")
    assert not record.refused
    record.answer = ANSWERS["next"]
    assert record.refused
