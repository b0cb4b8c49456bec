"""Requests made from the API's own document: never a defect, and every answer is documented."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from starlette.testclient import TestClient

EXAMPLES = 3
"""An operation: the same ones each time."""

LOCAL = {"host": "localhost"}


@pytest.fixture(scope="module")
def schema(client: TestClient) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schemathesis

        return schemathesis.openapi.from_asgi("/api/openapi.json", client.app, headers=LOCAL)


def test_no_request_finds_a_defect(schema: Any) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) >= 18
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
            derandomize=True,
            database=None,
        )
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            answer = case.call(headers=LOCAL | {"x-shotdex": "1"})
            assert answer.status_code < 500, (case.as_curl_command(), answer.text)
            kind = answer.headers["content-type"][0]
            if answer.status_code >= 400:
                assert kind == "application/problem+json"
                assert {"title", "status", "detail"} <= set(answer.json())
            elif kind == "application/json":
                assert case.path == "/api/openapi.json" or "generation" in answer.json()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answered()


def test_the_document_is_whole(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            assert one["description"].endswith("."), (path, method)
            assert "default" in one["responses"] and any(code.startswith("2") for code in one["responses"])
    listed = client.get("/api/").text
    assert all(path.replace("{", "").split("}")[0] in listed.replace("{", "") for path in document["paths"])
    assert "src=" not in listed and "http" not in listed
