"""Rows of data files become records: start with `row_conversion`, which calls all other modules."""
