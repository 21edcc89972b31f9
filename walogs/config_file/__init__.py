"""Configuration files: a TOML file describes one or more logs."""
