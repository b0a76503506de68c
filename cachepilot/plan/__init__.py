"""Chapter 3, what to do: pure decisions. There is no ports module here, and that is the point."""
