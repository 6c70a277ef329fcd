"""What `headrace ls`, `du` and `stat` show of a bucket or a tree: looking, and changing nothing."""
