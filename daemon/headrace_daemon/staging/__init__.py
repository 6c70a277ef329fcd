"""Large files of people outside, through a bucket and presigned URLs: offered, watched, brought home, cleaned up."""
