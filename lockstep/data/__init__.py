"""Turn raw files into records in three splits.

Start with source_reading.py (files to a table of records), then selection.py (duplicates, leaks
and splits). row_formats.py has a function for each format of rows, sources.py the settings of a
source, prepare_params.py all settings of the stage.
"""
