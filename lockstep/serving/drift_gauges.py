"""Gauges of the last comparison of `make drift`, which it left in the folder of the log."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

DRIFT_FILE = "drift.json"
"""Name of the file with the last comparison."""

log = logging.getLogger("lockstep.serving")


class DriftCollector(Collector):
    """Shows the last comparison; its file is read again when it changes."""

    def __init__(self, folder: Path) -> None:
        """Watch the file in the folder of a log."""
        self._file = folder / DRIFT_FILE
        self._state: tuple[int, int] | None = None
        self._values: dict[str, Any] = {}

    def describe(self) -> list[GaugeMetricFamily]:
        """Return the gauges without values, so that the file is not read at registration."""
        return [*_build_gauges({})]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges; without a comparison they have no values."""
        try:
            status = self._file.stat()
        except OSError:
            self._state, self._values = None, {}
        else:
            state = status.st_mtime_ns, status.st_ino
            if state != self._state:
                self._state, self._values = state, self._read()
        yield from _build_gauges(self._values)

    def _read(self) -> dict[str, Any]:
        try:
            values = json.loads(self._file.read_bytes())
            [*_build_gauges(values)]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            log.error("serve: %s: not readable; run `make drift` again", self._file)
            return {}
        return dict(values)


def _build_gauges(values: dict[str, Any]) -> Iterator[GaugeMetricFamily]:
    alarm = GaugeMetricFamily(
        "lockstep_drift_alarm", "Whether a test of the last comparison alarms", labels=["test"]
    )
    effect = GaugeMetricFamily(
        "lockstep_drift_effect", "Share of requests unlike training, by test", labels=["test"]
    )
    time = GaugeMetricFamily("lockstep_drift_time_seconds", "Time of the last comparison")
    for name, test in values.get("tests", {}).items():
        alarm.add_metric([name], float(test["alarm"]))
        effect.add_metric([name], float(test["effect"]))
    if values:
        time.add_metric([], float(values["time"]))
    yield from (alarm, effect, time)
