"""Measure what walogs costs, beside bare system calls and beside what people use instead. See README.md."""
