"""`verify`, `salvage`, `backup`, `repair`, and what `walogs info` shows. Only `repair` changes the log."""
