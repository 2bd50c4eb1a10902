"""Helpers of the course: one module per idea, imported by its own name."""
