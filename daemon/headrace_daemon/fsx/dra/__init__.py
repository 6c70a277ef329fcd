"""Data repository associations and tasks: FSx itself moves data between the file system and its bucket."""
