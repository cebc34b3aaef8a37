"""The one error that a user's mistake becomes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class UserError(click.ClickException):
    """A user's mistake, said in one line: where, what, the remedy. Exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message on stderr behind `error:`."""
        for line in self.format_message().splitlines():
            click.echo(f"error: {line}", file=file, err=True)


@contextmanager
def loading(what: str) -> Iterator[None]:
    """What a library says of a file that it does not load becomes one line."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # tokenizers raises no narrower class, transformers any
        if type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU; no fault of the files
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{what} does not load ({reason}); fetch its files again") from None
