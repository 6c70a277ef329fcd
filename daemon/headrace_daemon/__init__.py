"""What the host needs: the daemon that plans and moves, and the `headraced` command."""
