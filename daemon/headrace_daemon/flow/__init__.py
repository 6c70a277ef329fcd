"""How much at once and how often again: retry, adaptive concurrency, bandwidth, memory."""
