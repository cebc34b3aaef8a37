"""Compare `make serve` with the servers of llama.cpp and transformers, and run it for minutes.

`python -m benchmarks.serving` needs the outputs of `make`, Linux, and nothing else on the cores. It
serves the tuned sample model on this machine alone, and prints three Markdown tables:

- overhead: the time that the gateway adds for one client at a time. Its engine is asked directly on
  its Unix socket with the same token ids, in turns with the gateway. The added time is the
  difference of the two quantiles.
- load: throughput and latency of the gateway, of llama.cpp's server with the same file and
  settings, and of `transformers serve` with the same model unquantized. All answers are streamed to
  this process, whose time counts for all of them alike.
- soak: streaming clients for `--minutes`, and the memory of gateway and engine. Each question has a
  number of its own, which its answer repeats; two tokens are never nearly as likely as each other,
  so that no batch changes an answer. Any answer but that of the client's own question is an error.

The exit code is 1 if the soak lost or mixed answers, or if memory grew.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx2
import orjson

from benchmarks import chat_servers
from benchmarks.chat_servers import ChatServer, Engine, read_memory
from lockstep.models import loading
from lockstep.models.chat import ChatTokenizer
from lockstep.serving.engines.engine_process import LIMITS
from lockstep.serving.engines.engine_protocol import Generation, build_request

DATA, MODEL = Path("data"), Path("data/merged")
CLIENTS = (1, 8, 64)
TOKENS = 48
"""Maximum number of tokens of an answer; the answers have about 28."""
TARGETS = {50: 3.0, 99: 10.0}
"""Percentile -> longest time in milliseconds that the gateway may add."""
QUESTIONS = 200
"""Number of different questions of the soak; they repeat."""
MARGIN = 0.5
"""Least difference of log-probability between the two most likely tokens at each step."""
MAX_GROWTH = 0.02
"""Largest share by which memory may grow after the first sixth of the soak."""


def ask_number(number: int) -> str:
    """Return a question whose answer repeats its number."""
    return f"Where is my order {number}?"


@dataclass(slots=True)
class Reply:
    """A streamed answer, as its client received it."""

    text: str = ""
    ids: set[str] = field(default_factory=set)
    """Ids of all events; a sound answer has one."""
    seconds: float = 0.0
    first_seconds: float = 0.0
    """Time to the first text."""
    is_complete: bool = False
    """Whether the end of the stream arrived."""


async def stream_answer(client: httpx2.AsyncClient, server: ChatServer, question: str) -> Reply:
    """Return the streamed answer of a server; raise httpx2.HTTPError if it fails."""
    reply = Reply()
    start = time.perf_counter()
    body = server.build_body(question, TOKENS, stream=True)
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                reply.is_complete = True
            elif data:
                event = orjson.loads(data)
                reply.ids.add(event.get("id", "error"))
                for choice in event.get("choices", []):
                    reply.text += choice["delta"].get("content") or ""
                if reply.text and not reply.first_seconds:
                    reply.first_seconds = time.perf_counter() - start
    reply.seconds = time.perf_counter() - start
    return reply


# Overhead


def measure_overhead(
    gateway: ChatServer, engine: Engine, tokenizer: ChatTokenizer, pairs: int
) -> dict[str, list[float]]:
    """Return the seconds of answers by the engine and by the gateway, asked in turns."""
    transport = httpx2.HTTPTransport(uds=engine.socket, limits=LIMITS)
    with (
        httpx2.Client(base_url=gateway.url, timeout=60) as client,
        httpx2.Client(transport=transport, base_url="http://engine", timeout=60) as direct,
    ):

        def ask_engine(number: int) -> None:
            prompt = tokenizer.encode_prompt([{"role": "user", "content": ask_number(number)}])
            request = build_request(Generation(prompt, TOKENS), cache_prompt=False)
            time_request("engine", direct, "/completion", request)

        def ask_gateway(number: int) -> None:
            body = gateway.build_body(ask_number(number), TOKENS, stream=False)
            time_request("gateway", client, "/v1/chat/completions", body)

        def time_request(name: str, client: httpx2.Client, path: str, body: Any) -> None:
            start = time.perf_counter()
            client.post(path, json=body).raise_for_status()
            seconds[name].append(time.perf_counter() - start)

        seconds: dict[str, list[float]] = {"engine": [], "gateway": []}
        for number in range(pairs + 20):
            order: list[Callable[[int], None]] = [ask_engine, ask_gateway]
            for ask in order if number % 2 else order[::-1]:
                ask(1000 + number)
    return {name: values[20:] for name, values in seconds.items()}


def find_percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def format_overhead(seconds: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield the table of the time that the gateway adds."""
    yield "| one client, ms | engine | gateway | added | target |"
    yield "|---|--:|--:|--:|--:|"
    for percent, target in TARGETS.items():
        engine, gateway = (
            1000 * find_percentile(seconds[name], percent) for name in ("engine", "gateway")
        )
        yield (
            f"| p{percent} | {engine:.2f} | {gateway:.2f} | {gateway - engine:.2f} | {target:.0f} |"
        )


# Load


@dataclass(frozen=True, slots=True)
class Load:
    """Answers of a server to some clients."""

    server: str
    clients: int
    seconds: float
    tokens: int
    replies: list[Reply]
    failures: int


async def measure_load(
    server: ChatServer, clients: int, requests: int, tokenizer: ChatTokenizer
) -> Load:
    """Ask a server by some clients at a time, each of which waits for its answer."""
    numbers = iter(range(1000, 1000 + requests))
    replies: list[Reply] = []
    failures = 0

    async def run_client(client: httpx2.AsyncClient) -> None:
        nonlocal failures
        for number in numbers:
            try:
                replies.append(await stream_answer(client, server, ask_number(number)))
            except httpx2.HTTPError:
                failures += 1

    async with server.connect() as client:
        await stream_answer(client, server, "Hello!")
        start = time.perf_counter()
        await asyncio.gather(*(run_client(client) for _ in range(clients)))
        seconds = time.perf_counter() - start
    tokens = sum(len(tokenizer.encode_text(reply.text)) for reply in replies)
    return Load(server.name, clients, seconds, tokens, replies, failures)


def format_load(loads: Sequence[Load]) -> Iterator[str]:
    """Yield the table of throughput and latency."""
    yield (
        "| server | clients | requests/s | tokens/s | first text p50, ms | p99 | answer p50, ms "
        "| p99 | failures |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for load in sorted(loads, key=lambda load: load.clients):
        times = [
            f"{1000 * find_percentile([getattr(r, name) for r in load.replies], percent):,.0f}"
            for name in ("first_seconds", "seconds")
            for percent in TARGETS
        ]
        rates = (len(load.replies) / load.seconds, load.tokens / load.seconds)
        cells = [f"{rates[0]:,.1f}", f"{rates[1]:,.0f}", *times, str(load.failures)]
        yield f"| {load.server} | {load.clients} | {' | '.join(cells)} |"


# Soak


def find_certain_answers(
    engine: Engine, tokenizer: ChatTokenizer, numbers: Sequence[int]
) -> dict[str, str]:
    """Return question -> greedy answer, where no step has two tokens that are nearly as likely."""
    answers: dict[str, str] = {}
    transport = httpx2.HTTPTransport(uds=engine.socket, limits=LIMITS)
    with httpx2.Client(transport=transport, base_url="http://engine", timeout=60) as client:
        for number in numbers:
            question = ask_number(number)
            prompt = tokenizer.encode_prompt([{"role": "user", "content": question}])
            request = build_request(Generation(prompt, TOKENS), cache_prompt=False)
            reply = client.post("/completion", json={**request, "n_probs": 2}).json()
            text = tokenizer.parse_answer(reply["tokens"]).text
            steps = [step["top_logprobs"] for step in reply["completion_probabilities"]]
            if str(number) in text and all(
                first["logprob"] - second["logprob"] >= MARGIN for first, second in steps
            ):
                answers[question] = text
    return answers


@dataclass(slots=True)
class Soak:
    """What happened while clients streamed for minutes."""

    answers: int = 0
    mixed: list[str] = field(default_factory=list)
    """Answers that are not those of their question."""
    lost: list[str] = field(default_factory=list)
    """Errors, and answers without an end."""
    ids: set[str] = field(default_factory=set)
    memory: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """Seconds since the start, and the MiB of each process."""

    def check(self, reply: Reply, expected: str) -> None:
        """Count an answer."""
        self.answers += 1
        if not reply.is_complete or "error" in reply.ids:
            self.lost.append(f"no end: {reply.text!r}")
        elif reply.text != expected or len(reply.ids) != 1 or reply.ids & self.ids:
            self.mixed.append(f"{reply.text!r} instead of {expected!r}")
        self.ids |= reply.ids

    def compute_growth(self) -> dict[str, float]:
        """Return the share by which the memory of each process grew after the warm-up."""
        first, last = self.memory[1][1], self.memory[-1][1]
        return {name: last[name] / first[name] - 1 for name in first}


async def run_soak(
    server: ChatServer,
    answers: Mapping[str, str],
    clients: int,
    seconds: float,
    processes: Mapping[str, int],
) -> Soak:
    """Stream answers to some clients at a time; no two of them ask the same question at a time."""
    soak = Soak()
    questions = itertools.cycle(answers)
    start = time.perf_counter()

    def read_all() -> None:
        memory = {name: read_memory(process) for name, process in processes.items()}
        soak.memory.append((time.perf_counter() - start, memory))

    async def run_client(client: httpx2.AsyncClient) -> None:
        while time.perf_counter() < start + seconds:
            question = next(questions)
            try:
                soak.check(await stream_answer(client, server, question), answers[question])
            except httpx2.HTTPError as error:
                soak.lost.append(repr(error))

    async def watch() -> None:
        pause = min(60.0, seconds / 6)
        while True:
            read_all()
            await asyncio.sleep(pause)

    async with server.connect() as client:
        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(run_client(client) for _ in range(clients)))
        watcher.cancel()
    read_all()
    return soak


def format_soak(soak: Soak, clients: int) -> Iterator[str]:
    """Yield the table of memory, and what happened to the answers."""
    names = list(soak.memory[0][1])
    yield f"| minute | {' | '.join(f'{name}, MiB' for name in names)} |"
    yield f"|--:|{'--:|' * len(names)}"
    for seconds, memory in soak.memory:
        cells = " | ".join(f"{memory[name]:.1f}" for name in names)
        yield f"| {seconds / 60:.1f} | {cells} |"
    growth = ", ".join(f"{name} {value:+.1%}" for name, value in soak.compute_growth().items())
    yield ""
    yield (
        f"{clients} streaming clients: {soak.answers:,} answers, {len(soak.lost)} lost, "
        f"{len(soak.mixed)} mixed; memory after the warm-up: {growth}."
    )
    yield from [*soak.lost, *soak.mixed][:5]


@click.command(help=__doc__)
@click.option("--minutes", default=10.0, show_default=True, help="Duration of the soak.")
@click.option("--requests", default=256, show_default=True, help="Requests of each load.")
@click.option("--pairs", default=500, show_default=True, help="Requests to compare the overhead.")
@click.option("--data", type=click.Path(path_type=Path), default=DATA, show_default=True)
def main(minutes: float, requests: int, pairs: int, data: Path) -> None:
    tokenizer = loading.load_tokenizer(data / MODEL.name)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-bench-"))
        gateway = stack.enter_context(chat_servers.start_gateway(data, Path(folder)))
        engine = chat_servers.find_engine(gateway)
        print_table(
            "overhead", format_overhead(measure_overhead(gateway, engine, tokenizer, pairs))
        )
        loads = [
            asyncio.run(measure_load(gateway, clients, requests, tokenizer)) for clients in CLIENTS
        ]
        for start in (
            chat_servers.start_llama_cpp(engine),
            chat_servers.start_transformers(data / MODEL.name),
        ):
            with start as server:
                loads += [
                    asyncio.run(measure_load(server, clients, requests, tokenizer))
                    for clients in CLIENTS
                ]
        print_table("load", format_load(loads))
        answers = find_certain_answers(engine, tokenizer, range(1000, 1000 + QUESTIONS))
        processes = {"gateway": gateway.process, "engine": engine.process}
        soak = asyncio.run(run_soak(gateway, answers, CLIENTS[-1], 60 * minutes, processes))
        print_table("soak", format_soak(soak, CLIENTS[-1]))
    has_grown = max(soak.compute_growth().values()) > MAX_GROWTH
    sys.exit(bool(soak.lost or soak.mixed or has_grown or not soak.answers))


def print_table(name: str, lines: Iterator[str]) -> None:
    """Print a table with its name."""
    click.echo(f"\n{name}\n")
    for line in lines:
        click.echo(line)


if __name__ == "__main__":
    main()
