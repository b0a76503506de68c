"""Chapter 1, what is wanted: tenant documents, their defaults, and their exact errors."""
