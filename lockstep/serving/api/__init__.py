"""OpenAI's HTTP API: requests, their limits, responses and errors."""
