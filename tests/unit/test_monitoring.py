"""The alert rules and the dashboard: they speak of metrics that exist, and Prometheus's own tool accepts them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace_daemon.observe.metrics import Metrics
from tests.support.require import require

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
METRIC = re.compile(r"\bheadrace_[a-z_]+\b")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "info": ("_info",)}
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}


def exported() -> set[str]:
    """The names of every series that the daemon can show."""
    families = Metrics("0").registry.collect()
    return {family.name + suffix for family in families for suffix in SUFFIXES.get(family.type, ("",))}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))[
        "panels"
    ]
    return [panel for panel in listed if panel["type"] != "row"]


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


@pytest.fixture(scope="module")
def promtool() -> str:
    return require("promtool")


def accepted(*command: str) -> None:
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_alerts_speak_of_metrics_that_exist() -> None:
    named = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    assert named
    assert named - exported() == set()


def test_panels_speak_of_metrics_that_exist() -> None:
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert named
    assert named - exported() == set()


def test_every_alert_says_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert {rule["labels"]["severity"] for rule in alerts} == {"page", "ticket"}
    assert [rule["alert"] for rule in alerts if set(rule["annotations"]) != {"summary", "action"}] == []


def test_every_alert_is_tested() -> None:
    tested = set(re.findall(r'alertname[:=]\s*"?(\w+)', (MONITORING / "alerts_test.yml").read_text(encoding="utf-8")))
    assert {rule["alert"] for rule in rules() if "alert" in rule} == tested


def test_panels_do_not_overlap() -> None:
    cells = [
        (column, line)
        for place in (panel["gridPos"] for panel in panels())
        for column in range(place["x"], place["x"] + place["w"])
        for line in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24


def test_alerts_fire_when_they_should(promtool: str) -> None:
    accepted(promtool, "check", "rules", str(MONITORING / "alerts.yml"))
    accepted(promtool, "test", "rules", str(MONITORING / "alerts_test.yml"))


def test_panel_expressions_are_valid(promtool: str, tmp_path: Path) -> None:
    recorded = []
    for number, expression in enumerate(expressions()):
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        recorded.append({"record": f"panel:{number}", "expr": expression})
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    accepted(promtool, "check", "rules", str(file))
