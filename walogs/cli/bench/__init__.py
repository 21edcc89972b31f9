"""`walogs bench`: measure what a durable log costs on a disk."""
