"""From two listings to batches: listing, filters, merge, comparison."""
