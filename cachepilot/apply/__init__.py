"""Chapter 4, do it: one action, one call, no decisions."""
