"""What a client of Headrace needs: configuration, jobs, the durable queue and the `headrace` command.

Nothing here imports an S3 library; the command starts in under 0.2 s. The daemon package imports this one, never the
other way round.
"""
