"""Prompt sets: which one a classification takes, and the part of a session that lists, checks and compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from shotdex.store.connection import Connection
from shotdex.store.errors import ModelUnavailable, OptionError
from shotdex.store.location import user_path
from shotdex.store.store import Store
from shotdex.store.types import PromptSet

from .keywords import filled, takes
from .opened import Opened
from .result_keywords import SweepKeywords
from .results import Findings

if TYPE_CHECKING:
    from shotdex.analysis.classify import FromCatalog
    from shotdex.analysis.prompts.check import Finding, ReadTokens
    from shotdex.models.own_encoder import AnyModel


def choose_prompts(
    prompts: str | PromptSet | None, templates: Sequence[str], classes: Sequence[str] | str | None
) -> PromptSet | FromCatalog:
    """Return the prompt set that the options mean, or what makes it of a catalog, where its parts are on record there.

    `classes` are names, or in one text a comma-separated list of them or a published FILE.json#NAME.

    Raises:
        OptionError: options that do not go together.
    """
    from shotdex.analysis.classify import indexed_categories
    from shotdex.analysis.prompts.build import from_names, make_prompt_set
    from shotdex.analysis.prompts.files import is_reference, published_classes, published_templates, read_prompts

    if prompts is not None:
        if templates or classes is not None:
            raise OptionError("--prompts already says classes and templates", "leave out --template and --classes")
        if isinstance(prompts, PromptSet):
            own = prompts
            made = make_prompt_set(own.name, own.classes, (), own.combine, own.source, own.aliases)
            return replace(made, templates=own.templates)
        try:
            return read_prompts(prompts)
        except OptionError as error:
            if user_path(prompts).is_file():
                raise
            return partial(_recorded, prompts, error)
    templates = [templates] if isinstance(templates, str) else templates
    if isinstance(classes, Mapping):
        raise OptionError(
            "classes are names, without texts of their own", "write them to a prompt file: prompts=FILE.toml"
        )
    spelled = [text for given in templates for text in (published_templates(given) if is_reference(given) else [given])]
    whole = classes if isinstance(classes, str) else ""
    published = [given for given in (whole, *templates) if is_reference(given)]
    title, source = ", ".join(Path(given).name for given in published), ", ".join(published)
    if is_reference(whole):
        return make_prompt_set(title, published_classes(whole), spelled, source=source)

    def named(names: Sequence[str]) -> PromptSet:
        bare = from_names(names, spelled)
        return replace(bare, name=title, source=source) if published else bare

    if classes is None:
        return lambda con: named(indexed_categories(con))
    return named(split_names(classes) if isinstance(classes, str) else classes)


def _recorded(name: str, error: OptionError, con: Connection) -> PromptSet:
    """Return the prompt set that a run used; `error` says why it is none that ships and no file."""
    from shotdex.store.prompt_sets import find_prompt_set

    kept = find_prompt_set(con, name)
    if kept is None:
        raise error
    return kept


def prompt_set(
    store: Store,
    prompts: str | PromptSet | None,
    templates: Sequence[str],
    classes: Sequence[str] | str | None,
) -> PromptSet:
    """Return the prompt set that the options mean; see `choose_prompts`.

    Raises:
        OptionError: options that do not go together; MissingLabels: no categories to take as classes.
    """
    chosen = choose_prompts(prompts, templates, classes)
    if isinstance(chosen, PromptSet):
        return chosen
    with store.reading() as con:
        return chosen(con)


def find_prompts(wanted: str, opened: Callable[[], Store | None]) -> PromptSet:
    """Return the set of a file or shipped, else the one that the store, opened only then, keeps under that name.

    Raises:
        OptionError: there is none.
    """
    from shotdex.analysis.prompts.files import read_prompts
    from shotdex.store.prompt_sets import find_prompt_set

    try:
        return read_prompts(wanted)
    except OptionError:
        store = None if user_path(wanted).is_file() else opened()
        if store is None:
            raise
        with store.reading() as con:
            kept = find_prompt_set(con, wanted)
        if kept is None:
            raise
        return kept


def split_names(listed: str) -> list[str]:
    """Return the names in a comma-separated list.

    Raises:
        OptionError: there are none.
    """
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise OptionError("--classes is empty", "for example: --classes cat,dog")
    return names


@dataclass(frozen=True, slots=True)
class KnownPrompts:
    """A prompt set and `where` it is: "shipped" with shotdex, or in the "store" because a run used it."""

    where: str
    name: str
    prompts: PromptSet


@dataclass(frozen=True, slots=True)
class PromptCheck:
    """What was found in a prompt set, and against what it was checked; `note` says why lengths were not checked."""

    prompts: PromptSet
    findings: tuple[Finding, ...]
    categories: bool
    lengths: bool
    note: str = ""


class Prompts(Opened):
    """Mixed into `Session`."""

    def prompt_sets(self) -> Findings:
        """Return the prompt sets that ship with shotdex and those used by runs in the store.

        >>> {known.where for known in store.prompt_sets()} == {"shipped", "store"}
        True
        """
        return list_prompts(self.store)

    def prompts(self, name: str) -> PromptSet:
        """Return a prompt set: from a file, a shipped one by name, or one used by a run, by name or sha256.

        Raises:
            OptionError: there is no such prompt set.

        >>> len(store.prompts("names").classes)
        8
        """
        return find_prompts(name, lambda: self.store)

    def check_prompts(
        self, prompts: str | PromptSet, *, where: str | None = None, model: AnyModel | None = None
    ) -> Findings:
        """Return what is wrong or odd about a prompt set, given the categories of the images; problems first.

        Args:
            prompts: a `PromptSet`, or a name as in `prompts`.
            where: a SQL condition on the columns of `images`.
            model: the encoder for which to check the lengths of the prompts; default: the store's, if any.

        Returns:
            A row for each finding; `details` says what was checked.

        Raises:
            OptionError: there is no such prompt set or encoder. BadSql.

        >>> [str(finding.weight) for finding in store.check_prompts("names")]
        []
        """
        return check_prompts(prompts, self.store, where, self.encoders.recognised(model))

    @takes(SweepKeywords)
    def sweep_prompts(
        self,
        templates: Sequence[str] = (),
        **options: Unpack[SweepKeywords],
    ) -> Findings:
        """Score each template on its own and the set without it: some images choose the best, others report them.

        Nothing is recorded.

        Args:
            templates: texts with `{}` for the class.
            options: the keywords of `SweepKeywords`.

        Returns:
            A row for each trial; `details` says which is best.

        Raises:
            OptionError: options that do not go together. MissingLabels, EmptyStore, BadSql, ModelUnavailable.

        >>> swept = store.sweep_prompts(["a photo of a {}.", "{}"])
        >>> swept.details.best in swept.details.trials
        True
        """
        from shotdex.analysis.prompt_sweep import SweepOptions, sweep

        given = filled(Prompts.sweep_prompts, options)
        chosen = prompt_set(self.store, given["prompts"], templates, given["classes"])
        encoder = self.encoders.recognised(given["model"])
        swept = SweepOptions(given["choose_where"], given["report_where"], given["where"], encoder, given["seed"])
        found = sweep(self.store, chosen, swept, self.encoders)
        return Findings(f"sweep of {len(chosen.templates)} templates", found.trials, found)


def list_prompts(store: Store | None) -> Findings:
    """Return the prompt sets that ship with shotdex, then those in the store, where there is one."""
    from shotdex.analysis.prompts.files import read_prompt_file, shipped_files
    from shotdex.store.prompt_sets import list_prompt_sets

    known = [KnownPrompts("shipped", name, read_prompt_file(path)) for name, path in shipped_files().items()]
    if store is not None:
        with store.reading() as con:
            known += [KnownPrompts("store", prompts.name, prompts) for prompts in list_prompt_sets(con)]
    return Findings("prompt sets", known, known, KnownPrompts)


def check_prompts(
    prompts: str | PromptSet, store: Store | None, where: str | None = None, model: str | None = None
) -> Findings:
    """Return what is wrong or odd about a prompt set, by itself and against a store; see `Session.check_prompts`."""
    from shotdex.analysis.prompts.check import Finding
    from shotdex.analysis.prompts.check import check_prompts as check
    from shotdex.analysis.results import category_counts

    chosen = prompts if isinstance(prompts, PromptSet) else find_prompts(prompts, lambda: store)
    counts, counting, note = None, None, ""
    if store is not None:
        with store.reading() as con:
            counts = category_counts(con, where)
        counting, note = _token_reader(store, model)
    found = PromptCheck(chosen, tuple(check(chosen, counts, counting)), counts is not None, counting is not None, note)
    return Findings(f"check of prompt set {chosen.name}", found.findings, found, Finding)


def _token_reader(store: Store, model: str | None) -> tuple[ReadTokens | None, str]:
    """Return what reads the tokens of a text for the store's model; or None, and why not."""
    from shotdex.store.encoders import choose_encoder, list_encoders

    with store.reading() as con:
        known = len(list_encoders(con))
        encoder = choose_encoder(con, model)[1] if model is not None or known == 1 else None
    if encoder is None:
        return None, f"the store {'has several encoders; choose one with --model' if known else 'has no encoder yet'}"
    from shotdex.models.model_files import token_reader

    try:
        return token_reader(encoder.name), ""
    except ModelUnavailable as error:
        return None, str(error)
