"""Clients of chat models: an OpenAI-compatible endpoint or a local folder, with cached replies.

Start with `chat_completions` (endpoint) and `local_model` (folder).
"""
