"""Chapter 2, what is: one frozen snapshot of everything that belongs to a tenant."""
