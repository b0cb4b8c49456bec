"""What the hub answers, or does not, as one clear error with the next step."""

from __future__ import annotations

import errno

from shotdex.store.errors import ModelUnavailable

from .hub_cache import HubName, cached_revisions, near_names

BOTH_WAYS = "download it while online: {command}   or use the model that comes with shotdex: --model demo"


class NotEnoughRoom(OSError):
    """The disk of the cache is too small for a download."""


def unavailable(name: HubName, error: Exception) -> ModelUnavailable:
    """Return the error for a model that is not on this machine and that the hub did not deliver."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    what, step = _answered(name, kinds, status, error) if status else _unanswered(kinds, error)
    for old, new in (("{name}", str(name)), ("{repo}", name.repo), ("{page}", f"{_endpoint()}/{name.repo}")):
        what, step = what.replace(old, new), step.replace(old, new)
    step = step or BOTH_WAYS.format(command=name.command)
    return ModelUnavailable(what, step)


def _answered(name: HubName, kinds: set[str], status: int, error: Exception) -> tuple[str, str]:
    if "RevisionNotFoundError" in kinds:
        here = ", ".join(cached_revisions(name))
        known = f"; in the local cache: {here}" if here else ""
        return f"the model {{repo}} has no revision {name.revision}", f"choose one that {{page}} lists{known}"
    if "EntryNotFoundError" in kinds:
        return f"the model {{name}} lacks a file that it needs ({first_line(error)})", "choose another with --model"
    if "GatedRepoError" in kinds or (status in (401, 403) and "RepositoryNotFoundError" not in kinds):
        return (
            f"the hub does not let you download {{name}} (status {status}): its authors ask you to accept a licence, "
            "or it is private",
            "accept the licence at {page}, then `hf auth login`",
        )
    if "RepositoryNotFoundError" in kinds or status == 404:
        near = " or ".join(f"--model {model}" for model in near_names(name))
        either = f"did you mean {near}? " if near else "check the spelling; "
        return (
            f"the hub has no model {{name}}, or it is private (status {status})",
            f"{either}a private or gated model needs its licence accepted at {{page}}, then `hf auth login`",
        )
    if status == 429:
        wait = getattr(error, "response").headers.get("Retry-After", "")  # noqa: B009
        after = f"; it says to wait {wait} seconds" if wait.isdecimal() else ""
        return (
            f"the hub limits how many requests it answers, and refuses to deliver {{name}} for now (status 429{after})",
            "run the same command again later; logged in (`hf auth login`) the limit is higher",
        )
    if status == 407:
        return _proxy("it asks for a name and password (status 407)")
    whose = "the hub is in trouble" if status >= 500 else "the hub refused"
    return (
        f"the model {{name}} is not in the local cache, and {whose}: {first_line(error)}",
        "run the same command again later (https://status.huggingface.co), or use --model demo",
    )


def _unanswered(kinds: set[str], error: Exception) -> tuple[str, str]:
    if isinstance(error, NotEnoughRoom) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        return (
            f"the disk has no room for the model {{name}}: {first_line(error)}",
            "make room, or put the cache on another disk: HF_HOME=/path/to/folder; what is downloaded is kept",
        )
    if isinstance(error, PermissionError):
        return (
            f"the model {{name}} cannot be written to the local cache: {first_line(error)}",
            "make that folder writable, or put the cache elsewhere: HF_HOME=/path/to/folder",
        )
    if "OfflineModeIsEnabled" in kinds:
        return "the model {name} is not completely in the local cache, and HF_HUB_OFFLINE is set", ""
    if "ProxyError" in kinds or ("ConnectError" in kinds and _proxy_address() is not None):
        return _proxy(first_line(error))
    if "Interrupted" in kinds:
        return (
            f"the download of {{name}} was interrupted: {first_line(error)}",
            "run the same command again: it goes on where it stopped",
        )
    why = "it did not answer in time" if "TimeoutException" in kinds else first_line(error)
    return f"the model {{name}} is neither in the local cache nor available from the hub ({why})", ""


def _proxy(why: str) -> tuple[str, str]:
    return (
        f"the proxy {_proxy_address() or 'in between'} does not let the download of {{name}} through: {why}",
        "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or download it elsewhere and pass its folder to --model",
    )


def _proxy_address() -> str | None:
    """Return the proxy between here and the hub, without its password."""
    import urllib.parse
    import urllib.request

    hub = urllib.parse.urlsplit(_endpoint())
    if urllib.request.proxy_bypass(hub.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    used = proxies.get(hub.scheme) or proxies.get("all")
    return None if used is None else used.rpartition("@")[2]


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT.rstrip("/")


def is_lacking(error: Exception) -> bool:
    """Tell whether the hub said that a model has no such file, rather than that there is no such model or revision."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(getattr(error, "response", None), "status_code", None)
    return "EntryNotFoundError" in kinds or (
        status == 404 and not {"RepositoryNotFoundError", "RevisionNotFoundError"} & kinds
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its kind."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
