"""`walogs top DIR`: a live view of one log, in the extra `walogs[tui]`."""
