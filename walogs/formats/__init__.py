"""How headers and frames lie in a segment: bytes to values and back, behind the seam `SegmentFormat`. Pure."""
