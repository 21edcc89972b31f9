"""Commit, rotation, checkpoint, recovery, verdict, reading: they know no byte layout, no path, no system call."""
