"""`make transfers`: how long a file takes from outside to the file system and back, beside `aws s3 cp`, into
docs/transfers.md.

Everything runs on this machine: the client (the script of `headraced transfer-script`, with curl), the daemon, and
SeaweedFS over TLS, whose processors they share. `aws s3 cp` brings the same file into the same bucket and out of it, as
somebody with keys of the bucket would do in two steps.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.support.outside import SYSTEM, Outside, outside_of
from tests.support.tls import make_tls
from tests.support.trees import sha256_of_file, write_large

from headrace_daemon.demo.servers import Keys, SeaweedFS

AWS: Final = Path("build/awscli/bin/aws")
_MARKED: Final = re.compile(r"<!-- speed -->\n.*?<!-- /speed -->", re.DOTALL)


@dataclass
class Figures:
    """Seconds of every run, by step."""

    runs: dict[str, list[float]] = field(default_factory=dict)

    def add(self, step: str, seconds: float) -> None:
        self.runs.setdefault(step, []).append(seconds)


@dataclass(frozen=True)
class Bench:
    """source: the file. folder: for what arrives."""

    outside: Outside
    aws: Path
    source: Path
    folder: Path
    figures: Figures

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        os.sync()
        started = time.time()
        yield
        self.figures.add(step, time.time() - started)

    # -- ours ---------------------------------------------------------------------------------------------------------

    def upload(self, run: int) -> None:
        """The steps are told apart by what the daemon says in its log."""
        target = self.outside.ada.home / f"up-{run}"
        os.sync()
        started = time.time()
        self._script("upload", self.source, target)
        ended = time.time()
        moving, done = self._said("transfer_moving"), self._said("transfer_done")
        self.figures.add("up: client to bucket", moving - started)
        self.figures.add("up: bucket to file system", done - moving)
        self.figures.add("up: the whole way", ended - started)
        self._same(target)

    def download(self, run: int) -> None:
        target = self.folder / f"down-{run}"
        # a new file each time: an unchanged one would be offered again
        here = self.outside.ada.home / f"down-{run}"
        shutil.copyfile(self.source, here)
        os.sync()
        started = time.time()
        self._script("download", here, target)
        ended = time.time()
        ready = self._said("transfer_ready")
        self.figures.add("down: file system to bucket", ready - started)
        self.figures.add("down: bucket to client", ended - ready)
        self.figures.add("down: the whole way", ended - started)
        here.unlink()
        self._same(target)

    def _script(self, way: str, *places: Path) -> None:
        outside = self.outside
        script = outside.site.run("headraced", "transfer-script", way, "--url", outside.url, "--system", SYSTEM)
        path = self.folder / f"{way}.sh"
        path.write_text(script)
        environment = {"PATH": os.environ["PATH"], **outside.ada.environment()}
        subprocess.run(["sh", str(path), *map(str, places)], env=environment, check=True, stderr=subprocess.DEVNULL)

    def _said(self, event: str) -> float:
        """When the daemon last said so; seconds since the epoch."""
        said: str = self.outside.site.events(event)[-1]["timestamp"]
        return datetime.fromisoformat(said).timestamp()

    # -- theirs -------------------------------------------------------------------------------------------------------

    def aws_up(self, run: int) -> None:
        """Into the bucket, and from there to the file system, as two commands."""
        key, target = f"s3://{self.outside.bucket}/aws-up-{run}", self.folder / f"aws-up-{run}"
        started = time.time()
        with self.timed("aws up: client to bucket"):
            self._cp(str(self.source), key)
        with self.timed("aws up: bucket to file system"):
            self._cp(key, str(target))
        self.figures.add("aws up: the whole way", time.time() - started)
        self._same(target)
        self._forget(f"aws-up-{run}")

    def aws_down(self, run: int) -> None:
        key, target = f"s3://{self.outside.bucket}/aws-down-{run}", self.folder / f"aws-down-{run}"
        started = time.time()
        with self.timed("aws down: file system to bucket"):
            self._cp(str(self.source), key)
        with self.timed("aws down: bucket to client"):
            self._cp(key, str(target))
        self.figures.add("aws down: the whole way", time.time() - started)
        self._same(target)
        self._forget(f"aws-down-{run}")

    def _cp(self, *places: str) -> None:
        server = self.outside.server
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": server.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret_key,
            "AWS_CA_BUNDLE": str(server.ca_file),
            "AWS_DEFAULT_REGION": server.region,
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }
        command = [str(self.aws), "--endpoint-url", server.endpoint_urls[0], "s3", "cp", "--only-show-errors", *places]
        subprocess.run(command, env=environment, check=True)

    def _forget(self, key: str) -> None:
        with closing(self.outside.server.client()) as client:
            client.delete_object(Bucket=self.outside.bucket, Key=key)

    def _same(self, target: Path) -> None:
        """What arrived is what was sent; it goes, for the disk is small."""
        if sha256_of_file(target) != sha256_of_file(self.source):
            raise SystemExit(f"{target} differs from {self.source}")
        target.unlink()


def aws_command() -> Path:
    """awscli in an environment of its own: its botocore is not the one that Headrace pins."""
    if not AWS.exists():
        AWS.parent.parent.parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(AWS.parent.parent)], check=True)
        subprocess.run([str(AWS.parent / "pip"), "install", "--quiet", "awscli"], check=True)
    return AWS.absolute()


def version_of(command: Path) -> str:
    said = subprocess.run([str(command), "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[0]


def measure(mebibytes: int, runs: int) -> tuple[Figures, str]:
    figures, aws = Figures(), aws_command()
    with tempfile.TemporaryDirectory(prefix="headrace-transfers-", dir=Path.cwd() / "build") as name:
        folder = Path(name)
        tls = make_tls(folder / "tls")
        server = SeaweedFS(folder / "seaweed", Keys("SEAWEEDKEY0001", "seaweed+secret/0001"), gateways=1, tls=tls)
        with server, outside_of(folder / "outside", server, tls, part="64MiB") as outside:
            write_large(folder / "source", mebibytes, seed=1)
            bench = Bench(outside, aws, folder / "source", folder, figures)
            contests: Sequence[Callable[[int], None]] = (bench.upload, bench.aws_up, bench.download, bench.aws_down)
            for run in range(runs):
                for contest in contests:
                    contest(run)
    return figures, version_of(aws)


def table(figures: Figures, mebibytes: int) -> Iterator[str]:
    yield "| way | step | Headrace s | MiB/s | aws s3 cp s | MiB/s |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for step, runs in figures.runs.items():
        if step.startswith("aws "):
            continue
        ours, theirs = median(runs), median(figures.runs[f"aws {step}"])
        way, _, name = step.partition(": ")
        yield (f"| {way} | {name} | {ours:.2f} | {mebibytes / ours:,.0f} | {theirs:.2f} | {mebibytes / theirs:,.0f} |")


def page(figures: Figures, mebibytes: int, runs: int, date: str, aws: str) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    spread = json.dumps({step: [round(one, 2) for one in runs] for step, runs in figures.runs.items()}, indent=None)
    return "\n".join(
        [
            *table(figures, mebibytes),
            "",
            f"{mebibytes:,} MiB, median of {runs} runs by turns, {date}; {machine}, {aws}. The client is the script",
            "with curl, four parts of 64 MiB at a time; client, daemon and server share the machine, whose processors",
            "bound every step. Our steps hold how long it takes to see that the last one is done.",
            "",
            f"<!-- all runs, in seconds: {spread} -->",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", required=True)
    parser.add_argument("--output", type=Path, help="The page whose table is written; else it is printed.")
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    asked: Any = parser.parse_args()
    figures, aws = measure(asked.mebibytes, asked.runs)
    text = page(figures, asked.mebibytes, asked.runs, asked.date, aws)
    if asked.output is None:
        print(text)
        return
    written = asked.output.read_text(encoding="utf-8")
    asked.output.write_text(
        _MARKED.sub(lambda _: f"<!-- speed -->\n{text}\n<!-- /speed -->", written), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
