"""Write requests to the log folder, off the event loop: sampled, and with personal data masked."""

import hashlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from logging import getLogger
from typing import Any

from lockstep.serving.logs.log_folder import LogFolder
from lockstep.serving.logs.request_log import RequestRecord
from lockstep.serving.logs.text_masking import TextMasker

WAITING = 256
"""Maximum number of records that wait for the thread; further ones are lost."""

log = getLogger("lockstep.serving")


def is_sampled(request_id: str, share: float) -> bool:
    """Whether the texts of a request are logged.

    A hash of the id decides, so the choice is the same whenever it is made, and a request that is
    in a sample is in every larger one.
    """
    digest = hashlib.sha256(request_id.encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


class FileLogger:
    """A `RequestLogger` that writes to the requests of a log folder in a thread.

    Python waits for the thread before it exits, so no line is lost when the server is stopped.
    """

    def __init__(self, folder: LogFolder, share: float, masker: TextMasker) -> None:
        """Log the texts of a share of the requests."""
        self._folder, self._share, self._masker = folder, share, masker
        self._thread = ThreadPoolExecutor(1, "request-log")
        self._room = threading.Semaphore(WAITING)

    def log(self, record: RequestRecord) -> None:
        """Have a record written if its request is sampled or part of an A/B test."""
        sampled = is_sampled(record.id, self._share)
        if not sampled and not record.variant:
            return
        if not self._room.acquire(blocking=False):
            self._folder.requests.count_lost()
            return
        self._thread.submit(self._write, record, sampled).add_done_callback(self._finish)

    def _write(self, record: RequestRecord, sampled: bool) -> None:
        self._folder.requests.write(self._build_line(record, sampled))

    def _finish(self, future: Future[None]) -> None:
        self._room.release()
        if (error := future.exception()) is not None:
            self._folder.requests.count_lost()
            log.error("serve: a request was not logged (%s)", type(error).__name__)

    def _build_line(self, record: RequestRecord, sampled: bool) -> dict[str, Any]:
        """Return the keys that docs/serving.md describes; empty values are left out."""
        values: dict[str, Any] = {
            "time": round(record.time, 3),
            "request_id": record.id,
            "key": record.key,
            "endpoint": record.endpoint,
            "model": record.model,
            "answered_by": record.answered_by,
            "variant": record.variant,
            "abtest": record.abtest,
            "user": self._folder.hash_user(record.user) if record.user else "",
            "status": record.status,
            "error": record.error,
            "stream": record.stream,
            "seconds": round(record.seconds, 4),
            "queue_seconds": round(record.queue_seconds, 4),
            "first_token_seconds": _round(record.first_token_seconds),
            "prompt_tokens": record.prompt_tokens,
            "answer_tokens": record.answer_tokens,
            "finish_reason": record.finish_reason,
            "refused": record.refused,
            "failed": record.failed,
        }
        if sampled and record.status != 400:  # an invalid prompt may be as large as a body
            values["messages"] = self._masker.mask_values(record.messages)
            values["tools"] = self._masker.mask_values(record.tools)
            values["answer"] = self._masker.mask_text(record.answer)
        return {name: value for name, value in values.items() if value not in ("", None, [])}


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
