"""What walogs costs, as ratios to the bare thing and to what a Python user would take instead. See README.md."""
