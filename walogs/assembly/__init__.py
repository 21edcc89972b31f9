"""From a configuration to an open log: options, components by name (built-in ones and those of plugins), and `open`."""
