"""Objects in archive classes of S3: asked for, waited for, and read when they can be."""
