"""Helpers that know nothing of logs, for every other part: turns, threads, lazy imports, texts of errors, and sizes."""
