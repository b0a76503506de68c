"""Letting another server take over from the one that serves, without an outage that clients see.

The order makes it safe, and the record says who is in charge: see ADR 25.
"""
