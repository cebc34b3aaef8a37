"""Label Studio: read its exports as a source, measure agreement, and write annotation projects.

Start with `export_reading`, which returns the tasks of an export; `voting` merges the answers of
several annotators, and `project_writing` writes tasks and a labelling interface.
"""
