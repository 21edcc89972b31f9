"""Looking into a log that is not opened for writing: verify, salvage, backup. Nothing here changes the log."""
