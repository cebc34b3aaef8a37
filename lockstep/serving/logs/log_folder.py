"""The gateway's log folder: its logs, and the salt that hashes user ids and signs request ids.

The salt is a file in the folder that only its owner can read. Since it stays when the logs are
rotated and the server is started again, a user has the same hash in all lines, and an id that was
issued once is recognised for ever. Without the salt, nobody can try user ids against the hashes.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from lockstep.errors import UserError
from lockstep.serving.logs.log_files import FEEDBACK, OUTCOMES, REQUESTS, LogWriter, open_private
from lockstep.serving.serving_params import ServingParams

SALT = "salt"
"""File of a log folder with 64 hex digits."""

JUDGEMENTS = ("thumb_up", "thumb_down", "score", "correction")
"""Kinds of judgement in feedback."""

_SIGNATURE_DIGITS = 16
"""Hex digits at the end of a request id; 2^64 attempts are too many to guess one over a network."""


class LogFolder:
    """The files of a log folder that a gateway writes."""

    def __init__(self, folder: Path, mebibytes: int) -> None:
        """Create the folder if needed; raise UserError if nothing can be written there."""
        self.folder = folder
        self.judgements: Counter[str] = Counter()
        """Number of judgements in feedback since the start, by kind."""
        self._salt = b""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._salt = self._read_salt()
            with open(folder / REQUESTS, "ab", opener=open_private):
                pass  # a log that cannot be written is reported now
        except OSError as error:
            raise UserError(
                f"params.yaml: serving.log_folder: {error.filename}: {error.strerror}; correct it "
                "or choose another folder"
            ) from None
        size = mebibytes * 2**20
        self.requests, self.feedback, self.outcomes = (
            LogWriter(folder / name, size, self._restore) for name in (REQUESTS, FEEDBACK, OUTCOMES)
        )

    def _read_salt(self) -> bytes:
        """Return the salt; create it if there is none."""
        file = self.folder / SALT
        try:
            with open(file, "xb", opener=open_private) as new:
                new.write((self._salt or secrets.token_bytes(32)).hex().encode() + b"\n")
        except FileExistsError:
            pass
        text = file.read_bytes().strip()
        if not re.fullmatch(rb"[0-9a-f]{64}", text):
            raise UserError(
                f"{file}: not the 64 hex digits of a salt; restore the file, or delete it to begin "
                "with new hashes of user ids"
            )
        return bytes.fromhex(text.decode())

    def _restore(self) -> None:
        """Create the folder and its salt again if they were deleted while the server runs."""
        if not (self.folder / SALT).exists():
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._read_salt()

    def hash_user(self, user: str) -> str:
        """Return a keyed hash that stands for a user id."""
        return self._sign("user", user)[:32]

    def issue_id(self, prefix: str) -> str:
        """Return a new request id, which ends in its signature."""
        name = f"{prefix}-{secrets.token_hex(12)}"
        return name + self._sign("id", name)[:_SIGNATURE_DIGITS]

    def has_issued(self, request_id: str) -> bool:
        """Whether a request id was issued by a gateway with this folder, however long ago."""
        name, signature = request_id[:-_SIGNATURE_DIGITS], request_id[-_SIGNATURE_DIGITS:]
        expected = self._sign("id", name)[:_SIGNATURE_DIGITS]
        return hmac.compare_digest(signature.encode(), expected.encode())

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.digest(self._salt, f"{purpose}\0{text}".encode(), hashlib.sha256).hex()


class LogMetrics(Collector):
    """Prometheus metrics of a log folder."""

    def __init__(self, folder: LogFolder) -> None:
        """Show a folder."""
        self._folder = folder

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the metrics."""
        lost = CounterMetricFamily(
            "lockstep_log_lost_lines", "Lines that could not be written to a log", labels=["log"]
        )
        for writer in (self._folder.requests, self._folder.feedback, self._folder.outcomes):
            lost.add_metric([writer.file.stem], writer.lost)
        yield lost
        feedback = CounterMetricFamily("lockstep_feedback", "Feedback by kind", labels=["kind"])
        for kind in JUDGEMENTS:
            feedback.add_metric([kind], self._folder.judgements[kind])
        yield feedback


def open_log(settings: ServingParams) -> LogFolder | None:
    """Return the log folder of some settings; raise UserError if it cannot be written."""
    return LogFolder(Path(settings.log_folder), settings.log_mib) if settings.log_folder else None


def issue_random_id(prefix: str) -> str:
    """Return a new request id for a gateway without a log folder."""
    return f"{prefix}-{uuid.uuid4().hex}"
