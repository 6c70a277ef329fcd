"""How a file system is made: Terraform, user data, the API."""
