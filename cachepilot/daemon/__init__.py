"""The loop: queue, triggers, workers, metrics and the service around them."""
