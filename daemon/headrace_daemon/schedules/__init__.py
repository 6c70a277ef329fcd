"""Jobs that are enqueued by themselves: at an instant, after another, by what a bucket or a folder says of itself."""
