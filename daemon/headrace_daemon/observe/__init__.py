"""Sinks that only listen: metrics, log, report."""
