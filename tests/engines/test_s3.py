"""Sources and shards in a real S3 server, SeaweedFS: the same store as without one, and no secret anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shotdex import demo
from tests.indexer.shards import assert_equal, make_folder

from .conftest import ENVIRONMENTS, LONG, free_port, python_of

pytestmark = pytest.mark.engine

KEY, SECRET = "AKIATESTTESTTEST", "correct-horse-battery"

# Half of a shard is sent, as parts of an upload; then the writer is killed.
KILLED = """
import os, signal, sys
from shotdex.indexer.place import Place

place = Place(sys.argv[1])
files, path = place._files()
file = files.open_output_stream(path + "/part-00000-of-00001-0000-half.parquet")
file.write(bytes(24 << 20))
print("half", flush=True)
sys.stdin.read()
"""


# Verifying in an hour and more.
LATER = """
import sys
from pathlib import Path
from shotdex.indexer import place
from shotdex.upkeep.verify import VerifyOptions, verify

place.ASIDE = -1.0
print(verify(Path(sys.argv[1]), VerifyOptions()), verify(Path(sys.argv[1]), VerifyOptions(repair=True)))
"""

SHARDS, PLAIN = "s3://bucket/shards", Path(sys.executable)

ENCODE = """
import sys
import shotdex

source, place, store = sys.argv[1:]
shotdex.open(store, create=True).index(source, model="demo", batch_size=4)
parts = [shotdex.encode(source, part=(i, 3), out=place, model="demo", batch_size=4) for i in (2, 0, 1, 1)]
print("reused", [part.reused for part in parts])
"""


@dataclass(frozen=True)
class Bucket:
    """An S3 server with a bucket `bucket`; `python` has shotdex, and s3fs."""

    python: Path
    variables: dict[str, str]

    def run(self, *arguments: object, python: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `shotdex`; whatever it says holds no secret."""
        done = subprocess.run(
            [str(python or self.python), "-m", "shotdex", *map(str, arguments)],
            env=self.variables | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONG,
            check=False,
        )
        assert SECRET not in done.stdout
        return done

    def ok(self, *arguments: object, python: Path | None = None) -> str:
        done = self.run(*arguments, python=python)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def files(self) -> Any:
        from pyarrow.fs import S3FileSystem

        return S3FileSystem(
            endpoint_override=self.variables["AWS_ENDPOINT_URL"].removeprefix("http://"),
            scheme="http",
            region="us-east-1",
            access_key=KEY,
            secret_key=SECRET,
            allow_bucket_creation=True,
        )


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    folder, python = tmp_path_factory.mktemp("weed"), python_of("s3")
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    user = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [user]}))
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    command = [ENVIRONMENTS / "s3" / "bin" / "weed", "-logtostderr", "server", "-filer", "-s3", "-ip=127.0.0.1"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += [f"-{name}.port.grpc={free_port()}" for name in ports]
    command += [f"-dir={folder}", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-ip.bind=127.0.0.1"]
    command += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_"))}
    variables |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports['s3']}", "AWS_REGION": "us-east-1"}
    variables |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
    try:
        made = Bucket(python, variables)
        end = time.monotonic() + LONG
        while True:
            try:
                made.files().create_dir("bucket")
                break
            except OSError as error:
                assert server.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < end, error
                time.sleep(0.2)
        yield made
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def source(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of images, copies and broken ones."""
    from pyarrow.fs import LocalFileSystem, copy_files

    folder = make_folder(tmp_path_factory.mktemp("images") / "all", 20)
    copy_files(str(folder), "bucket/photos", LocalFileSystem(), bucket.files())
    return "s3://bucket/photos"


@pytest.fixture(scope="module")
def alone(bucket: Bucket, source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the images, and shards of them at SHARDS, made by one process to save time."""
    store = tmp_path_factory.mktemp("alone") / "store"
    done = subprocess.run(
        [str(bucket.python), "-c", ENCODE, source, SHARDS, str(store)],
        env=bucket.variables,
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "reused [0, 0, 0, 1]" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    return store


@pytest.fixture(scope="module")
def store(bucket: Bucket, alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made from the shards; who only commits them needs no s3fs."""
    store = tmp_path_factory.mktemp("store") / "store"
    bucket.ok("index", SHARDS, "--store", store, python=PLAIN)
    return store


def test_parts_make_the_store_of_the_source(alone: Path, store: Path) -> None:
    assert_equal(alone, store)


def test_vectors_stay_in_the_bucket(bucket: Bucket, alone: Path, tmp_path: Path) -> None:
    """`verify` reads all of them there; without the server what needs them says why it cannot have them."""
    store = ("--store", tmp_path / "store")
    bucket.ok("index", SHARDS, *store, "--vectors", "shards", python=PLAIN)
    bucket.ok("verify", *store, python=PLAIN)
    exported = [tmp_path / "one", tmp_path / "two"]
    for place, out in zip((tmp_path / "store", alone), exported, strict=True):
        bucket.ok("export", "numpy", out, "--store", place, python=PLAIN)
    np.testing.assert_allclose(*(np.load(out / "vectors.npy") for out in exported), rtol=0, atol=1e-6)
    gone = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    for arguments in (("export", "numpy", tmp_path / "three"), ("sql", "SELECT sum(joint[1]) FROM vectors")):
        done = bucket.run(*arguments, *store, python=PLAIN, **gone)
        assert done.returncode == 1, done.stdout
        assert "which cannot be read now:" in done.stdout
        assert "Traceback" not in done.stdout


def test_no_secret_is_written(bucket: Bucket, source: str, store: Path) -> None:
    """A run records the command that made it."""
    bucket.ok("classify", "--store", store, "--name", "first", python=PLAIN)
    refused = bucket.run("index", f"s3://{KEY}:{SECRET}@bucket/photos", "--store", store, python=PLAIN)
    assert refused.returncode == 1, refused.stdout
    files = [path for path in store.rglob("*") if path.is_file()]
    assert files
    assert not any(word.encode() in path.read_bytes() for path in files for word in (KEY, SECRET))


def test_ray_with_images_and_shards_in_a_bucket(bucket: Bucket, source: str, alone: Path, tmp_path: Path) -> None:
    store, spread = (
        tmp_path / "store",
        ("--runner", "ray", "--workers", 2, "--part-rows", 8, "--out", "s3://bucket/ray"),
    )
    options = ("--store", store, "--model", "demo", "--batch-size", 4)
    bucket.ok("index", source, *options, *spread, python=python_of("ray"))
    assert_equal(alone, store)


def test_a_writer_that_is_killed_in_an_upload(bucket: Bucket, store: Path) -> None:
    """No object appears; what was sent is named by `verify`, and deleted by `--repair` once it is old enough."""
    before = names(bucket)
    writer = subprocess.Popen(
        [str(bucket.python), "-c", KILLED, SHARDS], env=bucket.variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    try:
        assert writer.stdout.readline() == b"half\n"
        end = time.monotonic() + LONG
        while not uploads(bucket):
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    assert names(bucket) == before
    said = bucket.ok("verify", "--repair", "--store", store)
    assert "1 unfinished, begun in the last hour: part-00000-of-00001-0000-half.parquet" in said
    assert uploads(bucket), "its writer may still be at work"
    command = [str(bucket.python), "-c", LATER, str(store)]
    done = subprocess.run(command, env=bucket.variables, capture_output=True, text=True, check=True)
    assert "left unfinished by a writer that was killed: 1" in done.stdout
    assert "half.parquet, which a writer that was killed left unfinished" in done.stdout
    assert not uploads(bucket)
    unseen = bucket.ok("verify", "--store", store, python=PLAIN)
    assert "not looked at: reading s3 URLs needs s3fs" in unseen


def test_what_is_wrong_is_said(bucket: Bucket, source: str, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    nobody = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    encode = ("encode", demo.EVALUATION, "--part", "0/1", "--model", "demo", "--out", "s3://bucket/x")
    for arguments, variables, what in (
        (encode, nobody, "Could not connect"),
        (encode, {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, "access key ID you provided does not exist"),
        (encode, {"AWS_SECRET_ACCESS_KEY": "another"}, "cannot be listed"),
        (("index", SHARDS, *store), nobody, "Could not connect"),
        (("index", source, *store), {}, "needs s3fs"),
    ):
        done = bucket.run(*arguments, python=PLAIN, **variables)
        assert done.returncode == 1, done.stdout
        assert what in done.stdout
        assert "Traceback" not in done.stdout
    assert not (tmp_path / "store").exists()


def names(bucket: Bucket) -> list[str]:
    """Return the names of the objects below SHARDS."""
    from pyarrow.fs import FileSelector

    return [info.base_name for info in bucket.files().get_file_info(FileSelector("bucket/shards"))]


def uploads(bucket: Bucket) -> list[str]:
    """Return the keys of unfinished uploads."""
    program = (
        "import json, s3fs\n"
        "said = s3fs.S3FileSystem().call_s3('list_multipart_uploads', Bucket='bucket')\n"
        "print(json.dumps([one['Key'] for one in said.get('Uploads', [])]))"
    )
    command = [str(bucket.python), "-c", program]
    done = subprocess.run(command, env=bucket.variables, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found
