"""`walogs demo`: show on real files what a log gives back after a kill, a power cut and damage."""
