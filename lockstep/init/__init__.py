"""`make init DATA=path`: inspect a data file and set params.yaml up for it.

Start with format_rules.py, which recognizes the format; __main__.py is the command.
"""
