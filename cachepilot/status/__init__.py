"""Chapter 5, say so: conditions computed in one place and published for everybody to read."""
