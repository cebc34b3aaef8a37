"""Answer one request: authenticate, count, parse, queue, generate, and hand its record on."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from lockstep.inference import head_outputs
from lockstep.serving.abtest_routing import Route
from lockstep.serving.answer_text import AnswerText, generate_text
from lockstep.serving.api import api_requests
from lockstep.serving.api.api_errors import ApiError
from lockstep.serving.api.api_requests import (
    ChatRequest,
    ClassifyRequest,
    CompletionRequest,
    GenerationRequest,
    Request,
)
from lockstep.serving.api.exchange import (
    Exchange,
    ExchangeStream,
    answer_exchange,
    run_for_client,
)
from lockstep.serving.api.request_body import read_body
from lockstep.serving.api.request_limits import RateLimits
from lockstep.serving.api.response_format import ResponseFormat, write_event
from lockstep.serving.api_keys import ApiKeys
from lockstep.serving.engines.engine_protocol import RANDOM_SEED, EngineError, Generation
from lockstep.serving.logs.request_log import RequestLogger, RequestRecord
from lockstep.serving.served_model import ServedModel, encode_input
from lockstep.serving.serving_params import ServingParams

ChooseVariant = Callable[[str, str], Route]
"""Function from the model and the user of a request to the model that answers."""

R = TypeVar("R", bound=Request)
G = TypeVar("G", ChatRequest, CompletionRequest)


class Answerer:
    """The endpoints that models answer."""

    def __init__(
        self,
        settings: ServingParams,
        models: Mapping[str, ServedModel],
        keys: ApiKeys,
        loggers: Sequence[RequestLogger],
        choose_variant: ChooseVariant,
        issue_id: Callable[[str], str],
    ) -> None:
        """Answer by the models, under the limits of the settings.

        `issue_id` returns a new request id with a prefix.
        """
        self.settings, self.models, self.keys = settings, models, keys
        self.loggers, self.choose_variant = loggers, choose_variant
        self.issue_id = issue_id
        self.limits = RateLimits(settings.requests_per_minute, settings.tokens_per_minute)

    async def chat(self, request: HttpRequest) -> Response:
        """Answer /v1/chat/completions."""
        return await self._handle(request, ChatRequest, self._generate)

    async def complete(self, request: HttpRequest) -> Response:
        """Answer /v1/completions."""
        return await self._handle(request, CompletionRequest, self._generate)

    async def classify(self, request: HttpRequest) -> Response:
        """Answer /v1/classify."""
        return await self._handle(request, ClassifyRequest, self._classify)

    async def _handle(
        self,
        request: HttpRequest,
        schema: type[R],
        answer: Callable[[R, ServedModel, Exchange], Awaitable[Response]],
    ) -> Response:
        """Return the response to a request, or to an error."""
        record = RequestRecord(
            id=self.issue_id(_ID_PREFIXES[schema]), time=time.time(), endpoint=request.url.path
        )
        exchange = Exchange(record, self.loggers)
        return await answer_exchange(exchange, self._respond(request, schema, answer, exchange))

    async def _respond(
        self,
        request: HttpRequest,
        schema: type[R],
        answer: Callable[[R, ServedModel, Exchange], Awaitable[Response]],
        exchange: Exchange,
    ) -> Response:
        """Check a request, wait for a slot, and return the answer."""
        record = exchange.record
        record.key = self.keys.authenticate(request.headers.get("authorization", ""))
        self.limits.count_request(record.key)
        parsed = api_requests.parse_request(await read_body(request, self.settings), schema)
        record.model, record.user = parsed.model, parsed.user
        if parsed.model not in self.models:
            names = ", ".join(self.models)
            message = f"there is no such model; the models are {names}"
            record.model = ""  # the client's own text
            raise ApiError(404, "model_not_found", message, "model")
        route = self.choose_variant(parsed.model, parsed.user)
        model = self.models[route.model]
        record.answered_by = model.name
        record.variant, record.abtest = route.variant, route.test
        try:
            async with asyncio.timeout(self.settings.request_seconds):
                return await run_for_client(request, answer(parsed, model, exchange))
        except TimeoutError:
            raise ApiError(504, "timeout", "the answer takes too long; lower max_tokens") from None
        except EngineError:
            raise ApiError(
                503, "engine_unavailable", "the model does not answer; try again", retry_after=2
            ) from None

    async def _wait_for_slot(self, model: ServedModel, exchange: Exchange) -> None:
        if not model.is_ready():
            raise EngineError(model.name)
        before = exchange.elapsed
        await exchange.stack.enter_async_context(model.slots.reserve())
        exchange.record.queue_seconds = exchange.elapsed - before

    async def _generate(self, parsed: G, model: ServedModel, exchange: Exchange) -> Response:
        """Return the generated answer, whole or as a stream."""
        if model.head is not None:
            raise ApiError(400, "model_with_head", "the model has a head; use /v1/classify")
        record = exchange.record
        record.messages, record.tools = parsed.read_messages(), parsed.read_tools()
        prompt = await model.encoder.run(parsed.encode)
        generation = self._build_generation(parsed, prompt, model)
        record.prompt_tokens, record.stream = len(generation.prompt), generation.stream
        self.limits.count_tokens(record.key, record.prompt_tokens + generation.max_tokens)
        await self._wait_for_slot(model, exchange)
        functions = {tool["function"]["name"] for tool in record.tools}
        answer = AnswerText(model.tokenizer, parsed.stops, functions)
        texts = generate_text(model.engine, generation, answer)
        exchange.stack.push_async_callback(texts.aclose)
        is_chat = isinstance(parsed, ChatRequest)
        form = ResponseFormat("chat" if is_chat else "text", record.id, parsed.model)
        if generation.stream:
            first = await anext(texts, "")
            record.first_token_seconds = exchange.elapsed
            events = self._stream(first, texts, answer, form, exchange, parsed.includes_usage)
            return ExchangeStream(events, exchange)
        async for _ in texts:
            pass
        self._note_answer(exchange, answer)
        body = form.build(
            answer.text,
            answer.reasoning,
            answer.calls,
            answer.finish_reason,
            _count_usage(exchange.record),
        )
        return JSONResponse(body)

    async def _stream(
        self,
        text: str,
        texts: AsyncGenerator[str, None],
        answer: AnswerText,
        form: ResponseFormat,
        exchange: Exchange,
        with_usage: bool,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the events of a stream; an error becomes its last event."""
        try:
            for event in form.write_start():
                yield event
            while text:
                yield form.write_text(text)
                rest = max(0.0, self.settings.request_seconds - exchange.elapsed)
                async with asyncio.timeout(rest):
                    text = await anext(texts, "")
        except (EngineError, TimeoutError) as error:
            failure = _explain_break(error)
            exchange.note_error(failure.status, failure.code)
            self._note_answer(exchange, answer)
            exchange.record.finish_reason = "error"
            yield write_event(failure.body)
            return
        if answer.calls:
            yield form.write_calls(answer.calls)
        self._note_answer(exchange, answer)
        usage = _count_usage(exchange.record) if with_usage else None
        for event in form.write_end(answer.finish_reason, usage):
            yield event

    def _note_answer(self, exchange: Exchange, answer: AnswerText) -> None:
        record = exchange.record
        record.answer, record.answer_tokens = answer.written or answer.text, answer.count
        record.finish_reason = answer.finish_reason

    def _build_generation(
        self, parsed: GenerationRequest, prompt: list[int], model: ServedModel
    ) -> Generation:
        """Return what the engine generates; raise ApiError if the context has no room for it."""
        room = min(model.context - len(prompt), self.settings.max_new_tokens)
        wanted = parsed.token_limit or min(max(1, room), model.default_tokens)
        if wanted > room:
            raise ApiError(
                400,
                "context_length_exceeded",
                f"the prompt has {len(prompt)} tokens and max_tokens is {wanted}; the context is "
                f"{model.context}, and an answer has at most {self.settings.max_new_tokens}",
                "max_tokens" if len(prompt) < model.context else "messages",
            )
        return Generation(
            prompt,
            wanted,
            self._choose_temperature(parsed),
            parsed.top_p or 1.0,
            RANDOM_SEED if parsed.seed is None else parsed.seed % RANDOM_SEED,
            bool(parsed.stream),
        )

    def _choose_temperature(self, parsed: GenerationRequest) -> float:
        return self.settings.temperature if parsed.temperature is None else parsed.temperature

    async def _classify(
        self, parsed: ClassifyRequest, model: ServedModel, exchange: Exchange
    ) -> Response:
        """Return the answer of a model with a head and its outputs, as predict writes them."""
        if model.head is None:
            message = "the model generates; use /v1/chat/completions"
            raise ApiError(400, "model_without_head", message)
        record = exchange.record
        record.messages = parsed.read_messages()
        prompt = await model.encoder.run(partial(encode_input, record.messages, model.max_length))
        record.prompt_tokens = len(prompt)
        self.limits.count_tokens(record.key, len(prompt))
        await self._wait_for_slot(model, exchange)
        (outputs,) = await model.engine.classify([prompt])
        record.answer, record.finish_reason = (
            head_outputs.format_answer(model.head, outputs),
            "stop",
        )
        return JSONResponse(
            {
                "id": record.id,
                "object": "classification",
                "model": parsed.model,
                "answer": record.answer,
                "scores": dict(zip(model.head.labels, outputs, strict=False)),
                "usage": _count_usage(record),
            }
        )


_ID_PREFIXES: dict[type[Request], str] = {
    ChatRequest: "chatcmpl",
    CompletionRequest: "cmpl",
    ClassifyRequest: "class",
}


def _explain_break(error: Exception) -> ApiError:
    """Return the error that ends a stream."""
    if isinstance(error, TimeoutError):
        return ApiError(504, "timeout", "the answer takes too long; lower max_tokens")
    return ApiError(503, "engine_unavailable", "the model broke off; try again")


def _count_usage(record: RequestRecord) -> dict[str, int]:
    return {
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.answer_tokens,
        "total_tokens": record.prompt_tokens + record.answer_tokens,
    }
