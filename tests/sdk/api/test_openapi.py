"""Malformed and random requests against the API's own OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")


@pytest.fixture
def wide_api(make_api: Any) -> Any:
    """Without a rate limit that the test itself would reach."""
    return make_api(requests_per_minute=1e6)


def test_document_is_whole(wide_api: Any) -> None:
    document = wide_api.anybody.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (path, method)
            if path.startswith("/v1/"):
                assert operation["security"], (path, method)
                assert "401" in operation["responses"], (path, method)


def test_no_request_breaks_it(wide_api: Any) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", wide_api.app, headers={"Host": "localhost"})
    key = dict(wide_api.admin.headers)["authorization"]
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 14

    @settings(max_examples=60, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.data())
    def any_request(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy())
        answer = case.call(base_url="http://localhost", headers={"Authorization": key, "Host": "localhost"})
        assert answer.status_code < 500 or answer.status_code == 503, case.as_curl_command()
        if answer.status_code >= 400:
            assert answer.json()["status"] == answer.status_code

    any_request()
