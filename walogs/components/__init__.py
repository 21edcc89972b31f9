"""Components by name: the built-in ones, and those of plugins."""
