"""The one error that a user's mistake becomes."""

from typing import IO, Any

import click


class Refusal(click.ClickException):
    """A user's mistake, said in one line: where, what, the remedy. Exit code 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print each line of the message on stderr behind `error:`."""
        for line in self.format_message().splitlines():
            click.echo(f"error: {line}", file=file, err=True)
