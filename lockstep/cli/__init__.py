"""Start a stage, check params.yaml, report mistakes and end on signals.

Nothing here can change a result, so no stage depends on it. Start with `runner.run`;
`sections.Parameters` lists the sections of params.yaml and `checks.all_checks.CHECKS` the
checks across them.
"""
