"""Rules for the form of an answer, such as its length or its language.

Start at rule_list.py, which reads the rules of a reference; checking.py checks an answer. `counts`,
`contents` and `forms` hold our own rules, `ifeval_contents` and `ifeval_forms` those of IFEval.
"""
