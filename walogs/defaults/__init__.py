"""The components used when nothing else is asked for: local files, CRC-32, fdatasync. They have no privileges."""
