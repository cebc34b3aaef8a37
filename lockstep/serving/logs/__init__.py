"""The log of requests, feedback and outcomes: what is written, masked, rotated and read."""
