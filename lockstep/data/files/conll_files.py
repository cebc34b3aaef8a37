"""CoNLL files: one token per line with its tags, and a blank line after each sentence."""

import re
from collections.abc import Iterator
from itertools import chain, islice

from lockstep.data.files import token_marks
from lockstep.data.files.placed_rows import DataFile, PlacedRows, RawRow
from lockstep.data.files.text_encodings import read_lines
from lockstep.data.rejected_rows import InvalidRowError

_DOCUMENT = "-DOCSTART-"
"""Token of the lines that separate documents."""
_FIRST_SENTENCES = 1000
"""Number of sentences that show whether all tokens have a mark."""
_TAG = re.compile(r"O|[BIMESLU][-_].+")


def read_conll(file: DataFile) -> PlacedRows:
    """Yield a row for each sentence: `tokens` is the first column and `ner_tags` the last one.

    Columns between them are called 1, 2, … Separators of documents and comments are left out,
    and so are marks that the first sentences have at each token.
    """
    left_out = 0
    sentences = _split_sentences(file)
    first = list(islice(sentences, _FIRST_SENTENCES))
    tokens = [cells[0] for _, rows in first for cells in rows if not _is_mark(cells)]
    mark, name = token_marks.find_mark(tokens)
    if name:
        file.note(f"all tokens have a mark, such as {tokens[0]}; {name} them is left out")
    for line, sentence in chain(first, sentences):
        is_mark = [_is_mark(cells) for cells in sentence]
        left_out += sum(is_mark)
        rows = [
            cells for cells, is_left_out in zip(sentence, is_mark, strict=True) if not is_left_out
        ]
        if name:
            rows = [[mark.sub("", cells[0]), *cells[1:]] for cells in rows]
        if rows:
            yield str(line + is_mark.index(False)), _make_row(rows)
    if left_out:
        file.note(f"{left_out} comments and separators of documents are left out")


def _split_sentences(file: DataFile) -> Iterator[tuple[int, list[list[str]]]]:
    """Yield the number of the first line of a sentence, and the cells of its lines."""
    sentence: list[list[str]] = []
    number = 0
    for number, line in enumerate(read_lines(file), 1):
        text = line.strip("\r\n")
        if text.strip():
            sentence.append(text.split("\t") if "\t" in text else text.split())
        elif sentence:
            yield number - len(sentence), sentence
            sentence = []
    if sentence:
        yield number - len(sentence) + 1, sentence


def _is_mark(cells: list[str]) -> bool:
    """Whether a line is a comment or separates documents."""
    is_comment = cells[0].split(" ")[0] == "#" and not _TAG.fullmatch(cells[-1])
    return is_comment or cells[0] == _DOCUMENT


def _make_row(rows: list[list[str]]) -> RawRow:
    width = len(rows[0])
    if width < 2 or any(len(cells) != width or not cells[0].strip() for cells in rows):
        text = " / ".join(" ".join(cells) for cells in rows)
        detail = "each line needs a token and as many tags as the first line of its sentence"
        return InvalidRowError("wrong_number_of_cells", text, detail=detail)
    tokens, *others, tags = (list(column) for column in zip(*rows, strict=True))
    between = {str(number): values for number, values in enumerate(others, 1)}
    return {"tokens": tokens, **between, "ner_tags": tags}
