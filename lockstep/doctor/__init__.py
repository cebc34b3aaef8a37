"""Checks of a set-up: Python, packages, machine, repository. Start reading at __main__.py.

Modules import only the standard library at their top, so that the command runs with any Python and
without the packages whose absence it reports.
"""
