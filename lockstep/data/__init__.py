"""Turn raw files into records in three splits.

Start with source_reading.py (files to a table of records), then selection.py (duplicates, leaks
and splits). The package files reads data files, rows turns their rows into records and cleaning
cleans the texts; source_settings.py has the settings of a source, prepare_params.py all of the
stage.
"""
