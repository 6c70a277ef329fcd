"""What config.toml gives to whom, and what the headers of a request say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_daemon.api.authenticate import credentials
from headrace_daemon.api.errors import ApiError
from headrace_daemon.api.places import place_of
from headrace_daemon.api.rights import account_name, refuse_account, roots_of, section_of, user_of
from headrace_daemon.api.who import USER_NAME, Permission
from headrace_daemon.files.account import Account
from headrace_queue.config import Config

SYSTEMS = {"daint": {"roots": ["/scratch", "/project/data"]}, "eiger": {"roots": ["/scratch", "/home"]}}


def config(**users: dict[str, Any]) -> Config:
    named = {name.replace("everybody", "*"): section for name, section in users.items()}
    values = {
        "state_dir": "/var/lib/headrace",
        "api": {"tokens": "/t"},
        "systems": SYSTEMS,
        "users": named,
        "remotes": {"s3": {}},
    }
    return Config.model_validate(values)


def account(name: str, uid: int) -> Account:
    return Account(name, uid, uid, ())


def test_ones_own_section_counts_alone() -> None:
    both = config(alice={"burst": 3}, everybody={"burst": 7, "permissions": ["jobs"]})
    assert section_of(both, "alice", invited=False).burst == 3
    assert section_of(both, "alice", invited=False).permissions == ("read", "write")
    assert section_of(both, "bob", invited=False).burst == 7


def test_without_any_section_only_the_invited_get_in() -> None:
    nobody = config(alice={})
    assert section_of(nobody, "bob", invited=True).permissions == ("read", "write")
    with pytest.raises(ApiError) as caught:
        section_of(nobody, "bob", invited=False)
    assert caught.value.status == 403
    assert '[users."bob"]' in caught.value.message


def test_roots_are_those_of_the_user_within_those_of_the_system() -> None:
    everybody = config(everybody={"roots": ["/scratch/{user}", "/project/data", "/home/{user}/{user}"]})
    section = section_of(everybody, "alice", invited=False)
    assert roots_of(everybody, section, "alice") == {
        "daint": ("/scratch/alice", "/project/data"),
        "eiger": ("/scratch/alice", "/home/alice/alice"),
    }
    plain = config(everybody={"systems": ["eiger"]})
    assert roots_of(plain, section_of(plain, "a", invited=False), "a") == {"eiger": ("/scratch", "/home")}


def test_a_system_of_which_nothing_is_left_is_not_theirs() -> None:
    home = config(alice={"roots": ["/home/{user}"]})
    made = user_of(home, home.users["alice"], "alice", None, "oidc")
    assert made.roots == {"eiger": ("/home/alice",)}
    with pytest.raises(ApiError) as caught:
        place_of(made, "daint", "/scratch/x")
    assert caught.value.status == 404


def test_what_lies_beside_a_root_is_not_beneath_it() -> None:
    with pytest.raises(ValueError, match="lies beneath no root"):
        config(alice={"roots": ["/scratchy"]})
    with pytest.raises(ValueError, match="lies beneath no root"):
        config(alice={"roots": ["/"]})
    with pytest.raises(ValueError, match="lies beneath no root"):
        config(alice={"systems": ["daint"], "roots": ["/home/alice"]})


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/", "", "a\0", "a\n", "-rf", ".hidden", "ä", "a" * 65, "{user}"])
def test_a_name_that_is_none_shapes_no_path(name: str) -> None:
    everybody = config(everybody={"roots": ["/scratch/{user}"]})
    with pytest.raises(ValueError, match="no name of a user"):
        roots_of(everybody, everybody.users["*"], name)


@given(st.from_regex(USER_NAME, fullmatch=True))
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    everybody = config(everybody={"roots": ["/scratch/{user}"]})
    (root, *_) = roots_of(everybody, everybody.users["*"], name)["daint"]
    assert root.split("/") == ["", "scratch", name]
    assert name not in (".", "..")


def test_a_user_is_what_their_section_says() -> None:
    alice = config(
        alice={
            "permissions": ["read", "jobs"],
            "remotes": ["s3"],
            "max_size": "1GiB",
            "transfers": 5,
            "requests": "120/min",
            "burst": 9,
        }
    )
    made = user_of(alice, alice.users["alice"], "alice", account("alice", 1001), "token laptop")
    assert made.permissions == {Permission.READ, Permission.JOBS}
    assert made.may(Permission.JOBS)
    assert not made.may(Permission.WRITE)
    assert made.remotes == {"s3"}
    assert (made.limits.max_size, made.limits.transfers) == (2**30, 5)
    assert (made.limits.rate, made.limits.burst) == (2.0, 9)
    assert (made.name, made.account, made.by) == ("alice", account("alice", 1001), "token laptop")


def test_whose_rights_count() -> None:
    many = config(alice={}, bob={"account": "carol"}, dave={"account": ""})
    names = {name: account_name(section, name) for name, section in many.users.items()}
    assert names == {"alice": "alice", "bob": "carol", "dave": ""}


@pytest.mark.parametrize(
    ("users", "name", "uid", "allowed"),
    [
        ({"everybody": {}}, "alice", 1000, True),
        ({"everybody": {}}, "root", 0, False),
        ({"everybody": {}}, "toor", 0, False),
        ({"everybody": {}}, "postgres", 105, False),
        ({}, "postgres", 105, False),
        ({"postgres": {}}, "postgres", 105, True),
        ({"root": {}}, "root", 0, False),
        ({"root": {"account": "root"}}, "root", 0, True),
        ({"everybody": {"account": "shared"}}, "alice", 999, True),
    ],
)
def test_nobody_becomes_the_system_by_their_name(
    users: dict[str, dict[str, Any]], name: str, uid: int, allowed: bool
) -> None:
    some = config(**users)
    section = section_of(some, name, invited=True)
    if allowed:
        refuse_account(some, section, name, account(name, uid))
        return
    with pytest.raises(ApiError) as caught:
        refuse_account(some, section, name, account(name, uid))
    assert caught.value.status == 403
    assert f'[users."{name}"]' in caught.value.message


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, (None, None)),
        ({"Authorization": "Bearer x"}, ("x", None)),
        ({"authorization": "bearer  x "}, ("x", None)),
        ({"AUTHORIZATION": "BEARER x"}, ("x", None)),
        ({"X-API-Key": "k"}, (None, "k")),
        ({"Authorization": "Bearer x", "x-api-key": "k"}, ("x", "k")),
        ({"Authorization": "", "x-api-key": ""}, (None, None)),
    ],
)
def test_the_headers(headers: dict[str, str], found: tuple[str | None, str | None]) -> None:
    assert credentials(headers) == found


@pytest.mark.parametrize("value", ["Basic YWxpY2U6cHc=", "Bearer", "Bearer ", "Bearerx", "Negotiate x", "token"])
def test_another_way_to_prove_oneself_is_not_understood(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        credentials({"authorization": value})
    assert (caught.value.status, caught.value.challenge) == (401, "Bearer")
    assert "YWxp" not in str(caught.value)


def test_a_header_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        credentials({"authorization": "Bearer x", "Authorization": "Bearer y"})
    assert caught.value.status == 400
