"""Serve the model in use: engine processes, and a gateway with OpenAI's HTTP API before them.

Start with `gateway`, then `answering`. `make serve` runs `__main__`; docs/serving.md describes it.
"""
