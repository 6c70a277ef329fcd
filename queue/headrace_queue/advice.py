"""A reason and what to do about it, as the one text that the queue keeps of a job that failed: `why. do: remedy`."""

from typing import Final

from headrace_queue.errors import UsageError

_DO: Final = " do: "
_AGAIN: Final = "`headrace retry JOB`"


def with_advice(why: str, remedy: str) -> str:
    """Both in one line; the reason alone where there is no remedy."""
    return f"{why.rstrip('. ')}.{_DO}{remedy}" if remedy else why


def for_job(text: str, job_id: int) -> str:
    """Such a text with the command that tries the job again as it is to be typed for this one."""
    return text.replace(_AGAIN, _AGAIN.replace("JOB", str(job_id)))


def split_advice(text: str) -> tuple[str, str]:
    """The reason, without its full stop, and the remedy of such a text; the remedy is '' where it names none."""
    why, _, remedy = text.rpartition(_DO)
    return (why.removesuffix("."), remedy) if why else (text, "")


def advised(error: Exception) -> str:
    """Any error as such a text: a UsageError brings its remedy along."""
    if isinstance(error, UsageError):
        return with_advice(f"{error.what}: {error.why}", error.remedy)
    return str(error)
