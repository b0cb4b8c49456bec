"""Names of any bytes are kept, and given back as they were."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from shotdex.store.file_names import local, stored


@given(
    st.lists(st.one_of(st.binary(max_size=4), st.text(max_size=4).map(lambda text: text.encode("utf-8", "replace"))))
)
def test_every_name_comes_back(parts: list[bytes]) -> None:
    name = b"/".join(parts).decode("utf-8", "surrogateescape")
    kept = stored(name)
    kept.encode()  # the catalog takes it
    assert local(kept) == name
    assert stored(local(kept)) == kept


def test_most_names_stay_as_they_are() -> None:
    assert stored("/photos/h\u00fcndchen \u72ac.png") == "/photos/h\u00fcndchen \u72ac.png"
    assert stored("caf\udce9") == "caf\U0010fee9"
    assert os.fsencode(local("caf\U0010fee9")) == b"caf\xe9"
    own = b"\xf4\x8f\xbb\xa9"  # U+10FEE9 itself, in a name
    assert os.fsencode(local(stored(os.fsdecode(own)))) == own
