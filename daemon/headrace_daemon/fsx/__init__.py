"""FSx for Lustre: what a file system is and costs, how it is made, and how data moves through its repositories."""
