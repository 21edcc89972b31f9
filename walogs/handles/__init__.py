"""What a program holds: a log that it writes, one that it reads, and their futures."""
