"""Watching a folder: which files are new or changed, and are left alone long enough to be sent."""
