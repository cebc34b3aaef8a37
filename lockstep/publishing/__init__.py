"""Publish the tuned model: a folder, a form for Ollama, a repository on the hub.

Start reading at `__main__.py`, the command behind `make export`.
"""
