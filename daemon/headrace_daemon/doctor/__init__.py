"""`headraced doctor`: what would keep Headrace from working on this host, each with a remedy."""
