"""`headraced fsx plan`, `compare` and `advise`, in this process: what they print, take and refuse."""

import errno
import io
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

with warnings.catch_warnings():
    # typer imports what newer versions of click warn of
    warnings.simplefilter("ignore", DeprecationWarning)
    from headrace_daemon.commands import run
    from headrace_queue.complaints import USAGE_EXIT

Call = Callable[..., str]

SSD = """
name = "fast"
region = "us-east-1"
deployment_type = "PERSISTENT_2"
storage_capacity = 4800
per_unit_storage_throughput = 250
file_system_type_version = "2.15"
automatic_backup_retention_days = 0
[metadata_configuration]
mode = "AUTOMATIC"
"""
SCRATCH = 'name = "quick"\ndeployment_type = "SCRATCH_2"\nstorage_capacity = 4800\nfile_system_type_version = "2.15"\n'


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command to its end: what it printed, or for an exit code other than 0 what it said of that."""

    def called(*words: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["headraced", "fsx", *map(str, words)])
        assert run() == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return called


def drawn(path: Path) -> set[str | None]:
    """The texts of a chart."""
    return {element.text for element in etree.parse(path).iter("{http://www.w3.org/2000/svg}text")}


@pytest.fixture
def ssd(tmp_path: Path) -> Path:
    path = tmp_path / "fast.toml"
    path.write_text(SSD)
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "quick.toml"
    path.write_text(SCRATCH)
    return path


def test_plan_says_speed_cost_and_time(call: Call, ssd: Path) -> None:
    said = call("plan", ssd, "--data", "4000GB", "--days", 3, "--client-gbps", 8)
    for text in (
        "fast: PERSISTENT_2 SSD, 4,800 GiB, 250 MB/s/TiB",
        "All clients together read 1,200 MB/s and write 1,200 MB/s;",
        "2400 GiB are 2.4 TiB",
        "USD 1,008.00",
        "with prices that are not confirmed",
        "For 3 days USD 99.42.",
        "fits into 4.7 TiB.",
        "1 h 06 min at 1,000 MB/s (client); no faster in bursts",
        "Not counted: ",
    ):
        assert text in said
    assert "in bursts 27 min 47 s at 2,400 MB/s (disk writing)" in call("plan", ssd, "--data", "4000GB")


def test_plan_as_json(call: Call, ssd: Path) -> None:
    found = json.loads(call("plan", ssd, "--data", "4T", "--files", 1000, "--json"))
    assert found["throughput"] == {"read": 1200.0, "write": 1200.0, "read_burst": 2400.0, "write_burst": 2400.0}
    assert found["performance"]["disk_read"] == {
        "value": 1200.0,
        "exact": 1171.875,
        "unit": "MB/s",
        "evidence": "documented",
        "page": "https://docs.aws.amazon.com/fsx/latest/LustreGuide/ssd-storage.html",
        "note": "",
    }
    assert (found["performance"]["metadata_iops"]["value"], found["performance"]["targets"]["value"]) == (6000, 4)
    cost = found["cost"]
    assert (cost["monthly"], cost["days"], cost["total"], cost["complete"]) == (1008.0, None, 1008.0, True)
    assert cost["parts"][0]["date"] == "2026-11-21"
    assert (found["data"]["bytes"], found["data"]["files"], found["data"]["fits"]) == (4 * 2**40, 1000, True)
    assert found["data"]["fill"]["baseline"]["limit"] == "disk writing"
    assert found["warnings"] == []
    assert json.loads(call("plan", ssd, "--json"))["data"] is None


def test_flags_stand_over_the_file_and_suffice_alone(call: Call, ssd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "9,600 GiB, 500 MB/s/TiB" in call(
        "plan", ssd, "--set", "storage_capacity=9600", "--set", "per_unit_storage_throughput=500"
    )
    alone = ("--set", "deployment_type=SCRATCH_2", "--set", "storage_capacity=1200")
    assert "lustre: SCRATCH_2 SSD, 1,200 GiB" in call("plan", *alone)
    warned = json.loads(call("plan", *alone, "--json"))["warnings"]
    assert [warning["field"] for warning in warned] == ["file_system_type_version"]
    assert set(warned[0]) == {"field", "value", "rule", "nearest", "page"}


def test_warnings_stand_beside_what_is_printed(
    ssd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["headraced", "fsx", "plan", str(ssd), "--set", "automatic_backup_retention_days=", "--json"]
    monkeypatch.setattr(sys, "argv", words)
    assert run() == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["name"] == "fast"
    assert said.err.startswith("headraced: warning: fast: automatic_backup_retention_days is not set")


def test_a_faulty_specification_is_refused_with_all_that_is_wrong(call: Call, ssd: Path) -> None:
    said = call(
        "plan", ssd, "--set", "storage_capacity=5000", "--set", "per_unit_storage_throughput=300", code=USAGE_EXIT
    )
    assert "storage_capacity = 5000" in said
    assert "per_unit_storage_throughput = 300" in said


def test_what_cannot_be_read_is_refused(call: Call, ssd: Path, tmp_path: Path) -> None:
    refusals = {
        ("plan",): "Name a TOML file, or add --set KEY=VALUE.",
        ("plan", ssd, "--data", "4Q"): "unknown unit 'Q'",
        ("plan", ssd, "--data", "4T", "--s3-rate", "fast"): "--s3-rate fast",
        ("plan", ssd, "--s3-rate", "5GB/s"): "Add --data SIZE.",
        ("plan", ssd, "--files", 5): "Add --data SIZE.",
        ("plan", ssd, "--days", 0): "--days 0",
        ("plan", ssd, "--days", "nan"): "--days nan",
        ("plan", ssd, "--days", "1e308"): "it is a number above 0, up to 36500",
        ("plan", ssd, "--data", "4T", "--client-gbps", "1e-9"): "it is a number from 0.001 to 1000000",
        ("plan", ssd, "--data", "4T", "--files", 10**400): "--files",
        ("plan", ssd, "--data", "4T", "--client-gbps", -1): "--client-gbps -1",
        ("plan", ssd, "--set", "storage_capacity"): "it is no KEY=VALUE",
        ("plan", ssd, "--set"): "headraced fsx plan --help` shows",
        ("plan", ssd, "--prices", tmp_path / "none.toml"): "No such file",
        ("plan", ssd, "--chart", tmp_path / "none" / "x.svg"): "Name another file.",
        ("compare", ssd, tmp_path / "none.toml"): "none.toml",
        ("advise", "--data", "1T", "--toml", 99): "there are 12 proposals",
        ("advise", "--data", "1T", "--region", "us east"): '--region "us east"',
        ("advise", "--data", "1T", "--region", ""): '--region ""',
        ("advise", "--data", "1T", "--region", "${x}"): '--region "${x}"',
        ("advise", "--data", "1T", "--read-rate", "1000P"): "do:  Lower --read-rate.\n",
        ("plan", "--set", "backup_id=backup-0123456789abcdef0", "--set", "deployment_type=SCRATCH_2"): "headraced",
    }
    for words, said in refusals.items():
        assert said in call(*words, code=USAGE_EXIT), words


def test_prices_of_a_file_count(call: Call, ssd: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(
        'date = 2026-12-01\ncurrency = "USD"\n[regions.us-east-1]\n'
        'persistent-2-ssd-250 = { price = 1, unit = "GB-month", confirmed = true, source = "our\\u001b bill" }\n'
    )
    said = call("plan", ssd, "--prices", prices)
    assert "Together USD 4,800.00 a month of 730 hours (confirmed prices)." in said
    assert "our\\x1b bill" in said
    assert "gathered 2026-12-01" in said


def test_compare_puts_them_beside_each_other(call: Call, ssd: Path, scratch: Path, tmp_path: Path) -> None:
    chart = tmp_path / "both.svg"
    rows = call("compare", ssd, scratch, "--data", "2T", "--chart", chart).splitlines()
    cells = {row[:17].strip(): row[17:].split("  ") for row in rows if row[:1] not in ("", "N", "P")}
    assert [cell.strip() for cell in rows[0].split("  ") if cell.strip()] == ["fast", "quick"]
    assert [cell.strip() for cell in cells["reading"] if cell.strip()] == ["1,200 MB/s", "960 MB/s"]
    assert [cell.strip() for cell in cells["a month"] if cell.strip()] == ["USD 1,008.00", "USD 672.00"]
    assert "those days" not in cells
    found = json.loads(call("compare", ssd, scratch, "--json", "--days", 1))
    assert [one["name"] for one in found["specs"]] == ["fast", "quick"]
    assert found["specs"][1]["cost"]["total"] == pytest.approx(22.09)
    assert "those days" in call("compare", ssd, scratch, "--days", 1)
    assert {"fast", "quick"} <= drawn(chart)


def test_plan_draws_its_alternatives(call: Call, ssd: Path, tmp_path: Path) -> None:
    chart = tmp_path / "fast.svg"
    call("plan", ssd, "--chart", chart)
    assert {"fast", "this specification", "persistent-2-ssd-125-4800", "persistent-2-ssd-1000-4800"} <= drawn(chart)


def test_advise_names_the_cheapest_and_why(call: Call, tmp_path: Path) -> None:
    chart = tmp_path / "advice.svg"
    asked = ("advise", "--data", "40T", "--read-rate", "20G", "--days", 3, "--chart", chart)
    lines = call(*asked).splitlines()
    assert lines[0] == "For 40.0 TiB, reading at 21,475 MB/s or more, with a tenth of the capacity to spare:"
    assert lines[3].split()[:2] == ["1", "scratch-2-108000"]
    assert len([line for line in lines if line[:1].isdigit()]) == 5
    said = "\n".join(lines)
    assert "Why scratch-2-108000: it costs as little as scratch-1-108000, whose rates are not assured." in said
    assert "not assured: AWS does not document all that the rate rests on: scratch-1-108000 (network)." in said
    assert "not known, and not proposed: how fast tiering-24000 (USD 1,356.37) is" in said
    assert [line.endswith("not assured") for line in lines[3:8]] == [False, True, False, False, False]
    assert "nothing is replicated" in said
    assert "the first choice" in drawn(chart)
    answer = json.loads(call(*asked, "--keep", "--dra", "--limit", 2, "--json"))
    assert answer["need"] == {"data": 40 * 2**40, "read": 20 * 2**30, "write": None, "durable": True, "linked": True}
    found = answer["proposals"]
    assert [one["deployment_type"] for one in found] == ["PERSISTENT_2", "PERSISTENT_2"]
    assert {"assured", "undocumented", "reason", "gives_up", "cost"} <= set(found[0])
    assert answer["not_known"] == []
    (unknown,) = json.loads(call(*asked, "--json"))["not_known"]
    assert (unknown["name"], unknown["throughput"]["read"], unknown["assured"]) == ("tiering-24000", None, False)


def test_the_cheapest_stands_first_and_beside_it_the_cheapest_that_is_assured(call: Call, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    entry = '{ price = 1, unit = "GB-month", confirmed = true, source = "a bill" }'
    prices.write_text(
        "[regions.us-east-1]\n" + "".join(f"persistent-2-ssd-{tier} = {entry}\n" for tier in (125, 250, 500, 1000))
    )
    said = call("advise", "--data", "1T", "--write-rate", "10G", "--prices", prices, "--limit", 1)
    assert "Why scratch-1-54000: the next, persistent-2-ssd-1000-12000, costs USD 4,440.00 more" in said
    assert "That it is as fast is not assured; of persistent-2-ssd-1000-12000 it is, for USD 12,000.00." in said


def test_a_proposal_becomes_a_specification(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "proposed.toml"
    path.write_text(call("advise", "--data", "4T", "--region", "eu-west-1", "--toml", 2))
    planned = json.loads(call("plan", path, "--json"))
    proposed = json.loads(call("advise", "--data", "4T", "--region", "eu-west-1", "--json"))["proposals"][1]
    assert planned["name"] == proposed["name"]
    assert planned["cost"]["monthly"] == proposed["cost"]["monthly"]
    assert planned["cost"]["region"] == "eu-west-1"
    both = json.loads(call("advise", "--data", "4T", "--region", "eu-west-1", "--toml", 2, "--limit", 1, "--json"))
    assert both["toml"] == path.read_text()
    assert len(both["proposals"]) == 1


def test_a_chart_is_drawn_beside_a_specification(call: Call, tmp_path: Path) -> None:
    chart = tmp_path / "advice.svg"
    assert call("advise", "--data", "4T", "--toml", 1, "--chart", chart).startswith('name = "')
    assert "the first choice" in drawn(chart)


def test_a_chart_takes_the_place_of_nothing_but_a_chart(call: Call, ssd: Path, scratch: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[regions.us-east-1]\n")
    other = tmp_path / "other.svg"
    other.write_text("<svg/>")
    link = tmp_path / "link.svg"
    link.symlink_to(ssd)
    circle = tmp_path / "circle.svg"
    circle.symlink_to(circle)
    before = {path: path.read_bytes() for path in (ssd, scratch, prices, other)}
    asked = ("compare", ssd, scratch, "--prices", prices, "--chart")
    for path in (ssd, scratch, prices, link):
        assert "this is what the estimate is read from" in call(*asked, path, code=USAGE_EXIT)
    assert "no chart of this command" in call(*asked, other, code=USAGE_EXIT)
    for path in (tmp_path, circle, Path("/dev/null")):
        assert "no regular file" in call(*asked, path, code=USAGE_EXIT)
    assert {path: path.read_bytes() for path in before} == before
    ours = tmp_path / "ours.svg"
    call("plan", scratch, "--chart", ours)
    ours.chmod(0o640)
    call("plan", ssd, "--chart", ours)
    assert "fast and its alternatives" in drawn(ours)
    assert ours.stat().st_mode & 0o777 == 0o640
    assert not list(tmp_path.glob(".*"))


def test_a_chart_that_cannot_be_finished_leaves_the_old_one(
    call: Call, ssd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chart = tmp_path / "ours.svg"
    call("plan", ssd, "--chart", chart)
    before = chart.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "No space left" in call("plan", ssd, "--days", 3, "--chart", chart, code=USAGE_EXIT)
    assert chart.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


TIERING = """
name = "elastic"
deployment_type = "PERSISTENT_2"
storage_type = "INTELLIGENT_TIERING"
throughput_capacity = 8000
file_system_type_version = "2.15"
automatic_backup_retention_days = 0
metadata_configuration = { mode = "USER_PROVISIONED", iops = 6000 }
data_read_cache_configuration = { sizing_mode = "NO_CACHE" }
"""


def test_what_is_not_documented_is_not_claimed(call: Call, ssd: Path, tmp_path: Path) -> None:
    path, chart = tmp_path / "elastic.toml", tmp_path / "x.svg"
    path.write_text(TIERING)
    said = call("plan", path, "--data", "1T")
    assert "How fast all clients together read and write is not documented." in said
    assert "at least 2 min 17 s at 8,000 MB/s at most (network)" in said
    assert "there is nothing to draw" in call("plan", path, "--chart", chart, code=USAGE_EXIT)
    call("compare", ssd, path, "--chart", chart)
    assert "Not drawn, for how fast they read is not documented: elastic" in drawn(chart)
    oldest = ("--set", "deployment_type=SCRATCH_1", "--set", "storage_capacity=3600")
    assert "All clients together read 720 MB/s or write 720 MB/s;" in call("plan", *oldest)


def test_the_faults_of_all_specifications_are_told(call: Call, ssd: Path, tmp_path: Path) -> None:
    bad = []
    for number, line in enumerate(("storage_capacity = 5000", "per_unit_storage_throughput = 300")):
        path = tmp_path / f"bad{number}.toml"
        key = line.partition(" ")[0]
        path.write_text("\n".join(line if one.startswith(key) else one for one in SSD.splitlines()))
        bad.append(path)
    said = call("compare", bad[0], ssd, bad[1], tmp_path / "none.toml", code=USAGE_EXIT)
    assert "3 of 4 specifications cannot be used" in said
    for text in ("bad0.toml: storage_capacity = 5000", "bad1.toml: per_unit_storage_throughput = 300", "none.toml: No"):
        assert text in said
    assert "it has 1 fault" in call("compare", bad[0], ssd, code=USAGE_EXIT)


def test_a_reader_that_has_gone_ends_it_as_every_other_command(ssd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    ended = []
    monkeypatch.setattr("headrace_daemon.ended_early.end_without_reader", lambda: ended.append(True))
    monkeypatch.setattr(sys, "argv", ["headraced", "fsx", "plan", str(ssd)])
    monkeypatch.setattr(sys, "stdout", Gone())
    run()
    assert ended == [True]
