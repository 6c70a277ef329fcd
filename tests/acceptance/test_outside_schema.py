"""Whatever is sent to the API: no answer is a fault of ours, and each is one that /openapi.json tells of."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.outside import SYSTEM, Outside

pytestmark = pytest.mark.server

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 8
"""Of each route and each mode: the same ones with every run."""
ENDLESS = "/events"
"""What these paths end in answers for as long as somebody listens."""
NAMES = ("file", "folder", "absent", "folder/x", "")


def operations(outside: Outside) -> list[Any]:
    """All that end, without the ways to prove oneself: random tokens would lead nowhere."""
    with outside.ada.http() as http:
        document = http.get("/openapi.json").json()
    document["components"].pop("securitySchemes")
    for routes in document["paths"].values():
        for route in routes.values():
            route.pop("security", None)
    results: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    found = [result.ok() for result in results]
    return [operation for operation in found if not operation.path.endswith(ENDLESS)]


def somewhere(home: Path, case: Case[Any]) -> None:
    """Random text names no system and no file: most of it is replaced by what there is, so that more than the first
    check of every route is asked."""
    path = f"{home}/{NAMES[len(repr(case.body)) % len(NAMES)]}"
    for holder in (case.path_parameters, case.query, case.body):
        if isinstance(holder, dict):
            for name, value in {"system": SYSTEM, "path": path, "sourcePath": path}.items():
                if name in holder:
                    holder[name] = value


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as told", "otherwise"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning")
def test_every_answer_is_one_that_was_told_of(mode: GenerationMode, outside: Outside) -> None:
    person = outside.person("anybody")
    (person.home / "file").write_bytes(b"content")
    (person.home / "folder").mkdir(exist_ok=True)
    asked = 0
    for operation in operations(outside):

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def try_it(case: Case[Any]) -> None:
            nonlocal asked
            asked += 1
            if mode is GenerationMode.POSITIVE:
                somewhere(person.home, case)
            response = case.call(outside.url, headers=person.headers, verify=str(outside.tls.ca_file), timeout=60)
            assert response.status_code < 500, response.text
            case.validate_response(response, checks=CHECKS)

        with suppress(Unsatisfiable):  # a route that takes nothing can be asked in no other way
            try_it()
    assert asked > 100
