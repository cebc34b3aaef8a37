"""The programs that generate: their protocol, their processes, and the form of each model."""
