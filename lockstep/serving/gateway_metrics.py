"""Prometheus metrics of the gateway; no label and no value holds a text of a client.

Labels have few values: paths of the API, names of the served models, statuses and our error codes.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lockstep.serving.logs.request_log import RequestRecord
from lockstep.serving.served_model import ServedModel

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)
"""Upper bounds of the histograms."""

LIMITS = (
    "requests_per_minute",
    "tokens_per_minute",
    "queue_full",
    "queue_timeout",
    "body_too_large",
    "body_too_slow",
    "context_length_exceeded",
    "nested_too_deeply",
)
"""Error codes of requests that a limit refused."""


class ModelCollector(Collector):
    """State of the models, read whenever the metrics are read."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        """Show models."""
        self._models = models

    def collect(self) -> Iterator[Metric]:
        """Yield a metric for each part of the state."""
        waiting = GaugeMetricFamily(
            "lockstep_requests_waiting", "Requests in the queue", labels=["model"]
        )
        running = GaugeMetricFamily(
            "lockstep_requests_running", "Requests with a slot", labels=["model"]
        )
        ready = GaugeMetricFamily(
            "lockstep_engine_ready", "Whether the engine answers", labels=["model"]
        )
        restarts = CounterMetricFamily(
            "lockstep_engine_restarts", "Starts of an engine that had died", labels=["model"]
        )
        for name, model in self._models.items():
            waiting.add_metric([name], model.slots.waiting)
            running.add_metric([name], model.slots.running)
            ready.add_metric([name], model.is_ready())
            restarts.add_metric([name], model.restarts())
        yield from (waiting, running, ready, restarts)


class GatewayMetrics:
    """The metrics of one gateway; a `RequestLogger`."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        """Register all metrics."""
        self.registry = CollectorRegistry()
        """Registry to which others may add collectors."""
        self.registry.register(ModelCollector(models))
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "lockstep_requests",
            "Requests by status",
            ["endpoint", "model", "status"],
            registry=self.registry,
        )
        self._rejects = Counter(
            "lockstep_rejects",
            "Requests that a limit refused, by limit",
            ["limit"],
            registry=self.registry,
        )
        for limit in LIMITS:  # a rate needs a first value
            self._rejects.labels(limit)
        self._seconds = Histogram(
            "lockstep_request_seconds",
            "Duration of answered requests",
            ["endpoint", "model"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._first_token = Histogram(
            "lockstep_first_token_seconds",
            "Time to the first text of a stream",
            ["model"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._queue_seconds = Histogram(
            "lockstep_queue_seconds",
            "Wait for a free slot",
            ["model"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._tokens = Counter(
            "lockstep_tokens",
            "Tokens of prompts and answers",
            ["model", "kind"],
            registry=self.registry,
        )
        for model in models:
            for kind in ("prompt", "answer"):
                self._tokens.labels(model, kind)

    def log(self, record: RequestRecord) -> None:
        """Count a request."""
        self._requests.labels(record.endpoint, record.answered_by, str(record.status)).inc()
        if record.error in LIMITS:
            self._rejects.labels(record.error).inc()
        if record.error or not record.answered_by:
            return
        self._seconds.labels(record.endpoint, record.answered_by).observe(record.seconds)
        self._queue_seconds.labels(record.answered_by).observe(record.queue_seconds)
        self._tokens.labels(record.answered_by, "prompt").inc(record.prompt_tokens)
        self._tokens.labels(record.answered_by, "answer").inc(record.answer_tokens)
        if record.first_token_seconds is not None:
            self._first_token.labels(record.answered_by).observe(record.first_token_seconds)

    def write(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self.registry)
