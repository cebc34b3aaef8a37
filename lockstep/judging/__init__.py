"""LLM-as-a-judge: another model compares and scores the variants' answers.

Start with `judgements`, which asks the judge, then `judge_metrics`, which counts its verdicts.
"""
