"""Judges made and measured: fit, data, card. It is to judges what run.py is to results."""
