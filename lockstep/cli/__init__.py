"""How a stage starts, checks params.yaml, fails and ends.

Nothing here can change a result, so no stage depends on it. Start with `runner.run`;
`sections.Parameters` lists the sections of params.yaml and `checks.all_checks.CHECKS` the
checks across them.
"""
