"""`walogs doctor`: check the place where a log is or will be."""
