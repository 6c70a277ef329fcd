"""[api], [staging], [systems.NAME], [users.NAME]: what they mean, and how they are refused."""

from pathlib import Path

import pytest

from headrace_queue import config_search
from headrace_queue.config import Config, load_config
from headrace_queue.errors import UsageError

API = '[api]\ntokens = "/etc/headrace/tokens.toml"\n'
SYSTEM = '[systems.daint]\nroots = ["/scratch/", "/project"]\n'


def read(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Config:
    monkeypatch.setattr(config_search, "SYSTEM_FILE", folder / "etc" / "config.toml")
    file = folder / "given.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return load_config(file, {"HOME": str(folder), **environ})


def test_without_its_section_there_is_no_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = read(tmp_path, "", monkeypatch)
    assert config.api is None
    assert config.staging is None
    assert config.systems == {}


def test_everything_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"""{API}{SYSTEM}
[staging]
remote = "s3"
public_url = "https://s3.example.org/"
url_lifetime = "2h"
[users."*"]
roots = ["/scratch/{{user}}"]
requests = "120/min"
[users.alice]
permissions = ["read", "write", "jobs"]
remotes = ["s3"]
systems = ["daint"]
"""
    config = read(tmp_path, text, monkeypatch)
    assert config.api is not None
    assert config.api.is_local
    assert config.systems["daint"].roots == ("/scratch", "/project")
    assert config.staging is not None
    assert config.staging.public_url == "https://s3.example.org"
    assert config.staging.url_lifetime == 7200
    assert config.users["*"].requests == 2.0
    assert config.users["alice"].requests == 10.0


def test_the_environment_reaches_into_a_section_that_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read(tmp_path, API + SYSTEM, monkeypatch, HEADRACE_API__LISTEN="unix:/run/headrace/api.sock")
    assert config.api is not None
    assert config.api.listen == "unix:/run/headrace/api.sock"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (API.replace("[api]", '[api]\nlisn = "x"') + SYSTEM, "Did you mean listen?"),
        (f'{API}{SYSTEM}[staging]\nremote = "s3"\nmax_part_size = "1MiB"', "Write 5.0 MiB or more"),
        (API, "has no system to offer; add [systems.NAME]"),
        ("[api]\n" + SYSTEM, "nobody could use it: add `tokens`"),
        (API.replace("[api]", '[api]\nlisten = "0.0.0.0:443"') + SYSTEM, "would travel to 0.0.0.0:443 in the clear"),
        (API.replace("[api]", '[api]\nlisten = "nowhere"') + SYSTEM, "is no address"),
        (API.replace("[api]", '[api]\nlisten = "unix:relative"') + SYSTEM, "is no socket"),
        (API.replace("[api]", '[api]\ntls_cert = "/c.pem"') + SYSTEM, "tls_cert and tls_key go together"),
        (f'{API}{SYSTEM}[staging]\nremote = "lake"', "there is no [remotes.lake]"),
        (f'{API}{SYSTEM}[staging]\nremote = "s3"\nurl_lifetime = "8d"', "more than"),
        (
            f'{API}{SYSTEM}[staging]\nremote = "s3"\nurl_lifetime = "2h"\nmax_url_lifetime = "1h"',
            "url_lifetime is longer than max_url_lifetime",
        ),
        (f'{API}[systems.daint]\nroots = ["scratch"]', "is no absolute path"),
        (f'{API}[systems.daint]\nroots = ["/scratch/../etc"]', "is no absolute path"),
        (f'{API}[systems.Daint]\nroots = ["/scratch"]', "small letters"),
        (f'{API}{SYSTEM}[users.a]\nremotes = ["lake"]', "there is no [remotes.lake]"),
        (f'{API}{SYSTEM}[users.a]\nsystems = ["eiger"]', "there is no [systems.eiger]"),
        (f'{API}{SYSTEM}[users.a]\nroots = ["/scratchy"]', "lies beneath no root of their systems"),
        (f'{API}{SYSTEM}[users.a]\nroots = ["/"]', "lies beneath no root of their systems"),
        (
            f'[api.oidc]\nissuer = "http://localhost.example.org"\naudience = "h"\n{SYSTEM}',
            "only this host itself may speak plain http",
        ),
        (f'{API}{SYSTEM}[users.a]\nrequests = "fast"', "is no rate of requests"),
        (f'{API}{SYSTEM}[users.a]\npermissions = ["root"]', "users.a.permissions"),
        (
            f'[api.oidc]\nissuer = "http://idp.example.org"\naudience = "headrace"\n{SYSTEM}',
            "only this host itself may speak plain http",
        ),
        (
            f'[api.oidc]\nissuer = "https://idp.example.org"\naudience = "h"\nalgorithms = ["HS256"]\n{SYSTEM}',
            "api.oidc.algorithms",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text, monkeypatch)
    assert said.lower().replace("; ", ". ") in str(caught.value).lower()
    assert str(tmp_path) in caught.value.what
