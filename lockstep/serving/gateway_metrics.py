"""Prometheus metrics of the gateway; no label and no value holds a text of a prompt."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from lockstep.serving.request_log import RequestRecord

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
"""Upper bounds of the histograms."""


class GatewayMetrics:
    """The metrics of one gateway; a `RequestLogger`."""

    def __init__(self) -> None:
        """Register all metrics."""
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lockstep_requests",
            "Requests by status",
            ["endpoint", "variant", "status"],
            registry=self.registry,
        )
        self._rejects = Counter(
            "lockstep_rejects",
            "Requests that a limit refused, by limit",
            ["limit"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lockstep_request_seconds",
            "Duration of answered requests",
            ["endpoint", "variant"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._first_token = Histogram(
            "lockstep_first_token_seconds",
            "Time to the first text of a stream",
            ["variant"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._queue_seconds = Histogram(
            "lockstep_queue_seconds",
            "Wait for a free slot",
            ["variant"],
            registry=self.registry,
            buckets=SECONDS,
        )
        self._tokens = Counter(
            "lockstep_tokens",
            "Tokens of prompts and answers",
            ["variant", "kind"],
            registry=self.registry,
        )
        self._waiting = Gauge(
            "lockstep_requests_waiting", "Requests in queue", ["variant"], registry=self.registry
        )
        self._running = Gauge(
            "lockstep_requests_running", "Requests with a slot", ["variant"], registry=self.registry
        )
        self._ready = Gauge(
            "lockstep_engine_ready",
            "Whether the engine answers",
            ["variant"],
            registry=self.registry,
        )
        self._restarts = Gauge(
            "lockstep_engine_restarts",
            "Starts of an engine that had died",
            ["variant"],
            registry=self.registry,
        )

    def watch(
        self,
        variant: str,
        waiting: Callable[[], float],
        running: Callable[[], float],
        ready: Callable[[], float],
        restarts: Callable[[], float],
    ) -> None:
        """Read the state of a model whenever the metrics are read."""
        self._waiting.labels(variant).set_function(waiting)
        self._running.labels(variant).set_function(running)
        self._ready.labels(variant).set_function(ready)
        self._restarts.labels(variant).set_function(restarts)

    def log(self, record: RequestRecord) -> None:
        """Count a request."""
        self._requests.labels(record.endpoint, record.answered_by, str(record.status)).inc()
        if record.status == 429:
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
