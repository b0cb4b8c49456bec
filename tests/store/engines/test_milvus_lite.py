"""Milvus Lite, which runs in this process: the tests of a server (tests/engines), and those that need neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotdex.store.engines.milvus_connection import CA, CERTIFICATE, TOKEN, checked_uri, connect, sends_in_clear
from shotdex.store.errors import EngineUnavailable, OptionError
from tests.support.milvus_contract import MilvusContract

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")


class TestLite(MilvusContract):
    @pytest.fixture(scope="class")
    @classmethod
    def uri(cls, tmp_path_factory: pytest.TempPathFactory) -> str:
        return str(tmp_path_factory.mktemp("lite") / "vectors.db")


@pytest.mark.parametrize(
    "uri",
    ["http://root:secret@host:19530", "https://token@host", "http://host?token=x", "http://host#t", "tcp://a:b@h:1/db"],
)
def test_a_uri_with_a_password_is_an_error(uri: str) -> None:
    with pytest.raises(OptionError, match="must not contain") as caught:
        checked_uri(uri)
    assert TOKEN in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["host:19530", "ftp://host", "http://", "http://host:port", "vectors.txt", ""])
def test_a_uri_that_is_none(uri: str) -> None:
    with pytest.raises(OptionError, match="not the address"):
        checked_uri(uri)


def test_certificates_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.pem").touch()
    monkeypatch.setenv(CA, str(tmp_path / "none.pem"))
    with pytest.raises(EngineUnavailable, match=r"SHOTDEX_MILVUS_CA names .*none\.pem, which is not a file"):
        connect("https://127.0.0.1:9")
    monkeypatch.delenv(CA)
    monkeypatch.setenv(CERTIFICATE, str(tmp_path / "a.pem"))
    with pytest.raises(EngineUnavailable, match="SHOTDEX_MILVUS_CA, SHOTDEX_MILVUS_KEY is not set"):
        connect("https://127.0.0.1:9")


def test_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_uri("vectors.db") == str(tmp_path / "vectors.db")
    assert checked_uri("http://host:19530/") == "http://host:19530"
    assert not sends_in_clear("http://host:19530")
    monkeypatch.setenv(TOKEN, "root:x")
    found = {
        uri: sends_in_clear(uri) for uri in ("http://host:1", "https://host", "http://127.0.0.1:1", "http://[::1]:1")
    }
    assert list(found.values()) == [True, False, False, False]
    assert not sends_in_clear(str(tmp_path / "vectors.db"))
