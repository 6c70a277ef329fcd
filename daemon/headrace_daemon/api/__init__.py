"""The HTTP API: who asks and what they may, files, transfers, jobs. Loaded only where [api] is configured."""
