"""Texts with annotated spans, as public sets of named entities and slots publish them.

Start with `span_rows`, which returns the text of a row and its spans.
"""
