"""What a file system can do, what it costs, and which one is the cheapest."""
