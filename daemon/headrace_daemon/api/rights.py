"""What config.toml gives to a user: decided from its sections alone."""

from collections.abc import Mapping
from typing import Final

from headrace_daemon.api.errors import forbidden
from headrace_daemon.api.who import USER_NAME, Limits, Permission, User
from headrace_daemon.files.account import Account
from headrace_queue.config import Config
from headrace_queue.config_api import ANYONE, UserConfig

LEAST_UID: Final = 1000
"""Accounts below are of the system (UID_MIN of login.defs(5)): nobody becomes one by being called like it."""


def section_of(config: Config, name: str, *, invited: bool) -> UserConfig:
    """The user's own section, or that for everybody, or the defaults for who is invited: an administrator made a token
    for them. Raises ApiError 403 for anybody else."""
    section = config.users.get(name) or config.users.get(ANYONE)
    if section is not None:
        return section
    if not invited:
        raise forbidden(
            f'{name} may use nothing here; an administrator adds [users."{name}"] to config.toml, '
            f'or [users."{ANYONE}"] for everybody'
        )
    return UserConfig()


def account_name(section: UserConfig, name: str) -> str:
    """Whose rights count on the file system; '' for those of the daemon."""
    return name if section.account is None else section.account


def refuse_account(config: Config, section: UserConfig, name: str, account: Account) -> None:
    """An account that follows from the user's name alone, which perhaps a stranger chose, is never one of the system's.
    Raises ApiError 403."""
    if section.account is not None:
        return
    if account.uid == 0 or (name not in config.users and account.uid < LEAST_UID):
        raise forbidden(
            f"the account {account.name} is one of the system's; an administrator who means it sets "
            f'account = "{account.name}" in [users."{name}"] of config.toml'
        )


def roots_of(config: Config, section: UserConfig, name: str) -> dict[str, tuple[str, ...]]:
    """The folders beneath which this user may work, by system. Those of their section count where they lie beneath one
    of the system's or are one. Raises ValueError for a name that is no plain one: it would shape paths."""
    if not USER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a user; it becomes part of paths")
    wanted = tuple(root.replace("{user}", name) for root in section.roots)
    names = section.systems or tuple(config.systems)
    return {
        system: _within(config.systems[system].roots, wanted) if wanted else _own(config, system) for system in names
    }


def _own(config: Config, system: str) -> tuple[str, ...]:
    return config.systems[system].roots


def _within(outer: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(root for root in wanted if any(root == top or root.startswith(top.rstrip("/") + "/") for top in outer))


def user_of(config: Config, section: UserConfig, name: str, account: Account | None, by: str) -> User:
    """A system of which no folder is left is not theirs."""
    roots: Mapping[str, tuple[str, ...]] = roots_of(config, section, name)
    return User(
        name=name,
        account=account,
        roots={system: folders for system, folders in roots.items() if folders},
        permissions=frozenset(map(Permission, section.permissions)),
        remotes=frozenset(section.remotes),
        limits=Limits(section.max_size, section.transfers, section.requests, section.burst),
        by=by,
    )
