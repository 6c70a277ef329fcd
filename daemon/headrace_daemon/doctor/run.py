"""The doctor's round: configuration, host, the daemon's port, remotes, and the locations that were named to it."""

import asyncio
import http.client
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from headrace_daemon.doctor.api import api_checks
from headrace_daemon.doctor.check import CONFIGURATION, Check, Status, exit_code, in_json, ok, refused, to_lines
from headrace_daemon.doctor.lustre import lustre_checks
from headrace_daemon.doctor.machine import machine_checks
from headrace_daemon.doctor.notices import notice_checks
from headrace_daemon.doctor.places import place_checks, places
from headrace_daemon.doctor.remotes import remote_checks
from headrace_daemon.doctor.schedules import schedule_checks
from headrace_daemon.doctor.staging import staging_checks
from headrace_daemon.doctor.whereabouts import configuration, environment_checks, group_checks
from headrace_queue.config import Config, load_config
from headrace_queue.config_source import read_source
from headrace_queue.errors import UsageError

PORT_SECONDS: Final = 3.0


async def run_doctor(
    config_path: Path | None, *, as_json: bool, locations: Sequence[str] = (), write: bool = False
) -> int:
    """Looks, and prints a table or JSON; safe beside a running daemon. What it writes to see whether that is possible
    is removed again at once.

    config_path: of --config, None to search for the file as every command does. locations: to be looked at too; with
    write an object or file is written there. The exit code: 0 all is well, 1 for a problem, 2 for a configuration that
    cannot be read. Raises UsageError for locations that are malformed.
    """
    if write and not locations:
        raise UsageError("doctor --write", "it needs a location to write to", "headraced doctor --write s3://bucket/p")
    checks = await examine(config_path, locations, write=write)
    print(in_json(checks) if as_json else "\n".join(to_lines(checks)))
    return exit_code(checks)


async def examine(config_path: Path | None, locations: Sequence[str] = (), *, write: bool = False) -> list[Check]:
    """Every check, in the order in which things have to work. Raises UsageError for locations that are malformed."""
    try:
        config, source = load_config(config_path), read_source(config_path, os.environ)
    except UsageError as error:
        return [refused(CONFIGURATION, error)]
    first = [configuration(source), *environment_checks(config), *group_checks(config)]
    named = places(config, locations)
    host, port, remotes = await asyncio.gather(
        asyncio.to_thread(machine_checks, config), asyncio.to_thread(status_port, config), remote_checks(config)
    )
    checks = [*first, *host, port, *remotes, *await api_checks(config), *await staging_checks(config)]
    checks += await notice_checks(config)
    checks += await asyncio.to_thread(schedule_checks, config, config_path)
    checks += await asyncio.to_thread(lustre_checks, config)
    return checks + await place_checks(config, named, write=write)


def status_port(config: Config) -> Check:
    """Whether the daemon's port is free, or a daemon answers on it and is healthy."""
    name = f"port {config.daemon.listen}"
    connection = http.client.HTTPConnection(config.daemon.listen, timeout=PORT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        health = json.loads(connection.getresponse().read(65536))
        problems = [str(problem) for problem in health["problems"]]
    except ConnectionRefusedError:
        return ok(name, "free")
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        remedy = "Set daemon.listen in config.toml to an address of this host, and a port that nobody else uses."
        return Check(name, Status.FAIL, f"what is there is no headraced ({type(error).__name__}: {error})", remedy)
    finally:
        connection.close()
    if problems:
        return Check(name, Status.FAIL, f"headraced runs and is not healthy: {'; '.join(problems)}", "Look at its log.")
    return ok(name, "headraced runs and is healthy")
