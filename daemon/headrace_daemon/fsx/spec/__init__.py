"""What a file system is: the model, the rules, the request."""
