"""Rules for the form of an answer, such as its length or its language.

Start at checking.py, which reads the rules of a reference and checks an answer. `counts`,
`contents` and `forms` hold our own rules, `ifeval_contents` and `ifeval_forms` those of IFEval.
"""
