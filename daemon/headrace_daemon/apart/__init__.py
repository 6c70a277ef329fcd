"""Small files are read and written in a process of its own, with a lock of Python of its own."""
