"""A session: an opened store with its encoders, through which everything that the command line does can be done."""

from __future__ import annotations

import html
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from shotdex.store.errors import EmptyStore, OptionError
from shotdex.store.location import find_store, store_to_write, user_path
from shotdex.store.queries import Part, PartKind, Query, like_of, part_of
from shotdex.store.store import Store
from shotdex.store.types import Space

from .arranged import Arrangement, arranged
from .baselines import Baselines
from .engines import Engines
from .evaluation import Evaluation
from .filters import where as all_of
from .hits import SearchResult
from .indexing import Indexing
from .interchange import Interchange
from .keywords import FilterKeywords, SearchKeywords, chosen, filled, takes
from .maintenance import Maintenance
from .prompts import Prompts
from .results import SqlResult
from .trying import Trying

if TYPE_CHECKING:
    from shotdex.models.architecture.types import Architecture
    from shotdex.models.own_encoder import OwnModel
    from shotdex.models.protocols import ImageEncoder
    from shotdex.query.sql import SqlLimits

    from .plots import Plots


def open(
    path: str | os.PathLike[str] | None = None,
    *,
    model: OwnModel | ImageEncoder | None = None,
    create: bool = False,
    device: str = "auto",
    check: bool = True,
) -> Session:
    """Open a store and return a session.

    Args:
        path: the store's folder. Default: $SHOTDEX_STORE, or the nearest `.shotdex` in this folder or above it.
        model: your own encoder object, for a store that was indexed with it; see docs/python.md.
        create: create the store if it does not exist.
        device: where models run: auto, cpu, cuda or mps.
        check: False does not check the catalog, which saves about 20 ms: errors are then raised by the first method
            that reads it. `verify` also works on a damaged store opened this way.

    Raises:
        StoreNotFound: there is no store, and `create` is not set.
        EncoderMismatch: the store's vectors of this encoder have another length.
        SchemaTooNew, StoreCorrupt, StoreLocked.

    >>> shotdex.open(store.path)
    Session(...320 images...)
    """
    named = user_path(path) if path is not None else None
    if create:
        store = Store.create(store_to_write(named, os.environ, Path.cwd()).absolute())
    else:
        root = find_store(named, os.environ, Path.cwd()).absolute()
        store = Store.open(root) if check else Store(root)
    session = Session(store, device)
    if model is not None:
        session.encoders.use(model)
    return session


def open_demo(
    path: str | os.PathLike[str], *, figures: Sequence[str | os.PathLike[str]] = (), device: str = "auto"
) -> Session:
    """Make an empty store for a demo and return a session; a store that an earlier demo left there is replaced.

    Args:
        path: the store's folder, which no demo can have filled with anything else.
        figures: the PNG files that the demo is going to draw; those that an earlier demo drew are replaced.
        device: where models run: auto, cpu, cuda or mps.

    Raises:
        OptionError: anything else is there, or in the place of a figure, which stays as it is.
        StoreLocked: another process is indexing into it.
    """
    from shotdex.upkeep.demo_store import make_store

    return Session(make_store(user_path(path).absolute(), [user_path(figure) for figure in figures]), device)


def describe(model: str) -> Architecture:
    """Return the structure of a model: towers, parts, parameters and FLOPs, from its configuration alone.

    Args:
        model: "demo", a local folder, or a name on the hub, of which only the configuration is downloaded.

    >>> shotdex.describe("demo").name
    'demo'
    """
    from shotdex.models.architecture.describe import describe

    return describe(model)


def parse_query(words: str | Sequence[str]) -> list[Part]:
    """Return the parts of a query written as on the command line, for `Session.search`.

    Args:
        words: the words, or one string with quotes as in a shell. `+` and `-` add and subtract the part that follows;
            `2:dog` counts twice; `#12` is the indexed image with that id, and `@dogs` a saved selection; URLs and paths
            of images stand for the images.

    Raises:
        EmptyQuery: nothing follows a sign. OptionError: a quote is not closed.

    >>> [str(part) for part in shotdex.parse_query('horse + 2:stripes - "a zoo"')]
    ['horse', '2:stripes', 'a zoo']
    >>> len(store.search(*shotdex.parse_query("duck - hat"), k=3))
    3
    """
    from shotdex.query.parts import parse

    if isinstance(words, str):
        try:
            words = shlex.split(words)
        except ValueError as error:
            raise OptionError(f"{words!r} has a quote that is not closed", "close it, or leave it out") from error
    return parse(words)


class Session(Indexing, Prompts, Evaluation, Baselines, Engines, Trying, Interchange, Maintenance):
    """An open store. It can be used from several threads, and never holds the catalog open between calls.

    Models are loaded when first needed and then kept, as are the data that a search reads, as long as the store does
    not change; `close` and the end of a `with` block release both.
    """

    @cached_property
    def plot(self) -> Plots:
        """The figures: see `Plots`."""
        from .plots import Plots

        return Plots(self)

    @takes(SearchKeywords, FilterKeywords)
    def search(self, *parts: str | tuple[str, float] | Part, **options: Unpack[SearchKeywords]) -> SearchResult:
        """Find the images nearest to texts, images, or a weighted sum of both: best first, ties by image id.

        No model is needed for queries that the store knows: texts that it remembers, indexed images (`like`), and any
        `image` whose content is indexed. Such an image and its exact copies are not among the hits.

        Args:
            parts: texts to look for; a pair `("dog", 2)` counts twice, and `("dog", -1)` is subtracted. `parse_query`
                turns words, as on the command line, into parts: `horse + stripes - "a zoo"`.
            options: the keywords of `SearchKeywords`.

        Raises:
            EmptyQuery: the query is empty, or its parts cancel each other out. EmptyStore: nothing is indexed.
            EngineUnavailable: `engine` is "milvus", which does not answer or is not ready.
            QueryError: no image has the id, or it has no vector of this model.
            BadSql, UnreadableImage, EncoderMismatch, ModelUnavailable, OptionError.

        >>> [hit.category for hit in store.search("a duck", k=2, where="condition = 'realistic'")]
        ['duck', 'duck']
        >>> duck = store.search("a duck", minus="a photo", k=1)[0]
        >>> duck.image_id in [hit.image_id for hit in store.search(like=duck.image_id)]
        False
        """
        from shotdex.query.ranking import Through

        given = filled(Session.search, options)
        if given["space"] not in set(Space):
            raise OptionError(f"there is no space {given['space']!r}", "choose joint or vision")
        minus, image, like = given["minus"], given["image"], given["like"]
        images = (image,) if isinstance(image, (str, bytes, os.PathLike)) else tuple(image)
        looked_for = (
            *map(part_of, parts),
            *(Part(text, weight=-1.0) for text in ((minus,) if isinstance(minus, str) else minus)),
            *(Part(one if isinstance(one, bytes) else os.fspath(one), PartKind.IMAGE) for one in images),
            *map(like_of, like if isinstance(like, Iterable) and not isinstance(like, str) else (like,)),
        )
        where, space = all_of(given["where"], **chosen(given, FilterKeywords)), Space(given["space"])
        query = Query(**{**chosen(given, Query), "parts": looked_for, "where": where, "space": space})
        named, through = self.encoders.recognised(given["model"]), Through(**chosen(given, Through))
        found, more = arranged(
            self.store,
            lambda count: self._searcher.search(replace(query, k=count), self.encoders, named, through),
            query.k,
            Arrangement(**chosen(given, Arrangement)),
            lambda ids: self._vectors_of(ids, space, named),
            space,
        )
        return SearchResult(found, str(query), self.store, more)

    def sql(
        self,
        statement: str,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        allow_external: bool = False,
        limits: SqlLimits | None = None,
        **parameters: Any,
    ) -> SqlResult:
        """Run read-only SQL over images, runs and predictions; see docs/schema.md for the tables.

        Args:
            statement: the statement; `$name` in it stands for the parameter of that name. If there are several,
                separated by semicolons, all are run; the result's `results` has the rows of each.
            values: parameters by name, instead of keywords.
            allow_external: let it read other files, too.
            limits: limits on time and memory; None: 300 seconds and 2 GB of rows.

        Returns:
            The rows of the last statement.

        Raises:
            BadSql: it is not a query, takes too long, or DuckDB refuses it.

        >>> store.sql("SELECT count(*) AS n FROM images WHERE category = $name", name="duck").to_dicts()
        [{'n': 40}]
        >>> [len(result) for result in store.sql("FROM images LIMIT 3; FROM runs LIMIT 1").results]
        [3, 1]
        """
        from shotdex.query.sql import run_statements

        store = Store.at(self.path, allow_external=True) if allow_external else self.store
        given = {**(values or {}), **parameters}
        results = tuple(map(SqlResult, run_statements(store, statement, given, lambda: self.encoders, limits)))
        results[-1].results = results
        return results[-1]

    def describe(self, model: str | None = None) -> Architecture:
        """Return the structure of a model, as `shotdex.describe` does; None: the store's model.

        Raises:
            EmptyStore: nothing has been indexed yet. OptionError: the store has several models.
            ModelUnavailable: the configuration is not on this machine and cannot be downloaded.

        >>> store.describe().name
        'demo'
        """
        from shotdex.models.own_encoder import only_in_python
        from shotdex.store.encoders import list_encoders

        if model is not None:
            return describe(model)
        with self.store.reading() as con:
            known = list_encoders(con)
        names = list(dict.fromkeys(encoder.name for encoder in known.values()))
        if not names:
            raise EmptyStore(
                "no model was given, and nothing has been indexed in the store yet",
                "choose one: shotdex model demo   or a folder, or openai/clip-vit-base-patch32",
            )
        if len(names) > 1:
            hint = f"choose one: shotdex model {names[0]}"
            raise OptionError(f"the store has several models: {', '.join(names)}", hint)
        only_in_python(names[0], known.values())
        return describe(names[0])

    def close(self) -> None:
        """Release the loaded models and the data kept for searches; the session can still be used."""
        self.encoders.close()
        self._searcher.forget()
        self.forget_tried()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:  # in another process: the same store, and models of its own
        return Session, (self.store, self._device)

    def __len__(self) -> int:
        """Return the number of images."""
        with self.store.reading() as con:
            return int(con.value("SELECT count(*) FROM images"))

    def __repr__(self) -> str:
        with self.store.reading() as con:
            images = int(con.value("SELECT count(*) FROM images"))
            encoders = [row[0] for row in con.rows("SELECT name FROM encoders ORDER BY encoder_id")]
            runs = int(con.value("SELECT count(*) FROM runs"))
        made = f"encoders: {', '.join(encoders)}" if encoders else "no encoder yet"
        counted = f"{images:,} image{'s' * (images != 1)}, {made}, {runs:,} run{'s' * (runs != 1)}"
        return f"Session({str(self.path)!r}, {counted})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>"
