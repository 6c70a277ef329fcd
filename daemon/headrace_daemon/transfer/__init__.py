"""Moves the objects of a batch: upload, download, relay, server-side copy, deletion; with proof."""
