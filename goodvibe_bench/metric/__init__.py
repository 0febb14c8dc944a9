"""Verdicts to estimates: pure functions on numbers; no files, no models."""
