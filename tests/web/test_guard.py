"""Who may ask: host names, other pages, tokens, bodies, and the headers of every answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from shotdex.store.store import Store
from shotdex.web.guard import CONTENT_SECURITY_POLICY, Guard
from shotdex.web.options import ServeOptions
from shotdex.web.served import Served

HOSTS = {
    "localhost:8317": True,
    "127.0.0.1": True,
    "[::1]:9": True,
    "evil.example": False,
    "localhost.evil.example": False,
}
SITES = {None: True, "same-origin": True, "none": True, "same-site": False, "cross-site": False}
ORIGINS = {None: True, "own": True, "http://evil.example": False, "null": False}


@pytest.mark.parametrize("host", HOSTS)
def test_host_origin_and_site_decide(client: TestClient, host: str) -> None:
    for (site, site_is_ours), (origin, origin_is_ours) in itertools.product(SITES.items(), ORIGINS.items()):
        headers = {"host": host}
        headers |= {} if site is None else {"sec-fetch-site": site}
        headers |= {} if origin is None else {"origin": f"http://{host}" if origin == "own" else origin}
        expected = 421 if not HOSTS[host] else 200 if site_is_ours and origin_is_ours else 403
        for answer in (
            client.get("/api/store", headers=headers),
            client.post("/api/sql", headers=headers, json={"statement": "SELECT 1"}) if origin == "own" else None,
        ):
            assert answer is None or answer.status_code == expected, (headers, answer.text)
            assert answer is None or answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("LOCALHOST:1", 200),
        ("localhost", 200),
        ("localhost.", 421),
        ("localhost@evil", 421),
        ("localhost:8317:1", 421),
        ("127.0.0.1.nip.io", 421),
        ("2130706433", 421),
        ("[::ffff:127.0.0.1]", 421),
        ("", 421),
    ],
)
def test_spellings_of_hosts(client: TestClient, host: str, status: int) -> None:
    assert client.get("/api/store", headers={"host": host}).status_code == status


def test_two_hosts_are_an_error(client: TestClient) -> None:
    answer = client.get("/api/store", headers=[("host", "localhost"), ("host", "evil.example")])
    assert answer.status_code == 400


def test_another_name_can_be_allowed(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, _ = serve(own, allow_hosts=("lab.example",))
    assert client.get("/api/store", headers={"host": "lab.example:80"}).status_code == 200
    assert client.get("/api/store", headers={"host": "lab.example.evil"}).status_code == 421


def test_a_link_from_another_page_opens_the_page_but_not_the_api(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/api/store", headers=headers).status_code == 403
    assert client.get("/", headers=headers | {"sec-fetch-dest": "iframe"}).status_code == 403
    assert (
        client.get("/app.js", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code == 403
    )


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/store", headers={"origin": "http://localhost:8317"})
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_a_head_has_no_body(client: TestClient) -> None:
    answer = client.head("/api/store")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api",
        "/api/nothing",
        "/api/store/",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/app.py",
        "/vendor/../../app.py",
        "/api/images/..%2f..%2fapp.py/picture",
        "/api/images/1/picture/../../../app.py",
        "/page/index.html",
        "/app.py",
        "//etc/passwd",
    ],
)
def test_an_unknown_path_is_a_404_and_never_the_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_bodies_are_json_and_uploads_say_where_they_come_from(client: TestClient) -> None:
    text = '{"statement": "SELECT 1"}'
    for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/json", 200)):
        assert client.post("/api/sql", content=text, headers={"content-type": kind}).status_code == status
    assert client.post("/api/search", files={"image": b"x"}).status_code == 403
    assert client.post("/api/search", files={"image": b"x"}, headers={"x-shotdex": "1"}).status_code == 422


def test_bodies_have_a_limit(client: TestClient) -> None:
    long = {"statement": "SELECT 1 --" + "x" * 300_000}
    assert client.post("/api/sql", json=long).status_code == 413


@pytest.mark.parametrize(("slow", "status"), [(False, 413), (True, 408)])
def test_a_body_without_end_or_without_haste_is_given_up(slow: bool, status: int) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(5 if slow else 0)
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it reached the app")

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/sql", "query_string": b"", "headers": headers}
    asyncio.run(Guard(app, ServeOptions(body_seconds=0.05))(scope, receive, send))
    assert sent[0]["status"] == status


def test_tokens(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, _ = serve(own, host="0.0.0.0", token="right-token")
    assert client.get("/api/store").status_code == 401
    assert client.get("/").status_code == 401
    assert client.get("/api/store", headers={"authorization": "Bearer wrong"}).status_code == 401
    bearer = {"authorization": "Bearer right-token"}
    assert client.get("/api/store", headers=bearer).status_code == 200
    assert client.get("/api/store", headers=bearer | {"host": "192.168.0.7:8317"}).status_code == 200
    assert client.get("/api/store", headers=bearer | {"host": "evil.example"}).status_code == 421
    assert client.get("/?token=wrong", follow_redirects=False).status_code == 401
    link = client.get("/?token=right-token&view=map", follow_redirects=False)
    assert (link.status_code, link.headers["location"]) == (303, "/?view=map")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(link.headers["set-cookie"].split("; "))
    assert client.get("/api/store").status_code == 200  # the client keeps the cookie


def test_behind_a_proxy_with_a_path(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, _ = serve(own, root_path="/lab")
    for path in ("/api/store", "/lab/api/store"):
        assert client.get(path).status_code == 200
        headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert client.get(path, headers=headers).status_code == 403
    assert client.get("/lab/").status_code == 200


def test_a_link_with_a_token_leads_nowhere_else(serve: Callable[..., tuple[TestClient, Served]], own: Store) -> None:
    client, _ = serve(own, host="0.0.0.0", token="right-token")
    link = client.get("http://localhost:8317//evil.example/?token=right-token", follow_redirects=False)
    assert link.headers.get("location", "/").startswith("/") and not link.headers["location"].startswith("//")
