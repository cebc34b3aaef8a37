"""The error class for mistakes of the user, and how a command reports one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class UserError(click.ClickException):
    """A mistake of the user. Its message says where it is, what is wrong and what to do.

    A command that raises it exits with code 2.
    """

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr, with `error:` before each line."""
        for line in self.format_message().splitlines():
            click.echo(f"error: {line}", file=file, err=True)


@contextmanager
def exit_on_mistake() -> Iterator[None]:
    """Exit with code 2 and one line on stderr for each mistake of the user."""
    try:
        yield
    except click.UsageError as error:  # click would print three lines
        click.echo(f"error: {error.format_message().rstrip('.')}; see --help", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


@contextmanager
def report_load_errors(name: str) -> Iterator[None]:
    """Turn any error of a library that loads files into a UserError of one line.

    `name` says what is loaded, e.g. "data/base: the tokenizer".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # tokenizers raises Exception itself, transformers any class
        if (
            type(error).__name__ == "OutOfMemoryError"
        ):  # torch's, for GPU memory: the files are fine
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{name} does not load ({reason}); download its files again") from None
