"""How one of our programs starts another."""

import sys


def module_command(name: str, *words: str) -> list[str]:
    """The command line that runs a module of ours.

    -P: without it Python looks for everything it imports in the working directory first, and would run what lies there,
    in a shared folder anybody's.
    """
    return [sys.executable, "-P", "-m", name, *words]
