from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PATHS = [
    ("POST", "/v1/faces", "read"),
    ("POST", "/v1/verify", "read"),
    ("POST", "/v1/identify", "read"),
    ("GET", "/v1/subjects", "read"),
    ("POST", "/v1/subjects", "enrol"),
    ("GET", "/v1/subjects/ada", "read"),
    ("DELETE", "/v1/subjects/ada", "admin"),
    ("GET", "/v1/doors", "read"),
    ("GET", "/v1/doors/front/live", "read"),
    ("GET", "/v1/doors/front/frame.jpg", "read"),
    ("GET", "/v1/events", "read"),
    ("GET", "/v1/about", "read"),
    ("GET", "/v1/threshold?fmr=0.001", "read"),
    ("GET", "/v1/problems", "read"),
]


def test_list_of_paths_is_complete(api: Any) -> None:
    known = {(method.upper(), path) for path, methods in api.app.openapi()["paths"].items() for method in methods}
    listed = {
        (method, path.split("?")[0].replace("/ada", "/{subject}").replace("/front/", "/{door}/"))
        for method, path, _ in PATHS
    }
    assert known == listed | {("GET", "/health")}


@pytest.mark.parametrize(("method", "path", "role"), PATHS)
def test_nobody_gets_in_without_a_key(api: Any, method: str, path: str, role: str) -> None:
    assert api.anybody.request(method, path).status_code == 401
    wrong = api.anybody.request(method, path, headers={"Authorization": "Bearer qcf_wrong"})
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "role"), PATHS)
def test_role_decides(api: Any, method: str, path: str, role: str) -> None:
    order = ["read", "enrol", "admin"]
    for name, client in zip(order, (api.reader, api.enroller, api.admin), strict=True):
        answer = client.request(method, path)
        if order.index(name) < order.index(role):
            assert answer.status_code == 403, name
            assert role in answer.json()["detail"]
        else:
            assert answer.status_code not in (401, 403), name


def test_health_needs_no_key_and_tells_nothing(api: Any) -> None:
    answer = api.anybody.get("/health")
    assert answer.json() == {"status": "ok"}


def test_unreadable_key_file_lets_nobody_in(api: Any, keys: Path) -> None:
    keys.write_text("{")
    answer = api.admin.get("/v1/about")
    assert answer.status_code == 503
    assert str(keys) not in answer.text


def test_too_many_requests_are_told_when_to_come_back(make_api: Any) -> None:
    api = make_api(requests_per_minute=8)
    codes = [api.reader.get("/v1/doors").status_code for _ in range(4)]
    assert codes == [200, 200, 429, 429]
    late = api.reader.get("/v1/doors")
    assert int(late.headers["retry-after"]) >= 1
    assert api.admin.get("/v1/doors").status_code == 200


def test_guessing_is_slowed_down_and_does_not_lock_out_the_rightful(make_api: Any) -> None:
    api = make_api(requests_per_minute=8)
    codes = [api.anybody.get("/v1/doors").status_code for _ in range(4)]
    assert codes == [401, 401, 429, 429]
    assert api.reader.get("/v1/doors").status_code == 200
