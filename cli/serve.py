"""`shotdex serve`."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from socket import gethostname

import click

from shotdex.formatting import visible
from shotdex.store.errors import OptionError

from .options import device_option, open_session, store_option
from .render import note, out


@click.command("serve")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8317,
    show_default=True,
    help="The port, or the next one that is free.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; if not this computer's own, requests need a token.",
)
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="A further host name to accept; repeatable."
)
@click.option("--root-path", default="", metavar="PATH", help="What a proxy puts before every path.")
@click.option("--read-only", is_flag=True, help="Do not allow runs to be saved.")
@click.option("--fetch-remote", is_flag=True, help="Also show images that are at http and s3 addresses.")
@click.option("--open/--no-browser", "open_browser", default=None, help="Open a browser. [default: on a desktop]")
@device_option
@store_option
def command(
    port: int,
    host: str,
    allow_hosts: tuple[str, ...],
    root_path: str,
    read_only: bool,
    fetch_remote: bool,
    open_browser: bool | None,
    device: str,
    store_path: Path | None,
) -> None:
    """Serve a page for searching, evaluating and trying prompts, on this computer, until Ctrl-C.

    Nothing leaves the computer, and nothing is written except runs saved in the page. Needs the extra `web`: pip
    install 'shotdex[web]'.

    \b
    shotdex serve
    shotdex serve --store photos/.shotdex --port 9000
    shotdex serve --host 0.0.0.0 --allow-host myhost.lan
    """
    try:
        from shotdex.web.options import ServeOptions
        from shotdex.web.serve import bound_socket, serve
    except ModuleNotFoundError as error:
        raise OptionError(f"the page needs {error.name}", "install it: pip install 'shotdex[web]'") from error
    options = ServeOptions(host, allow_hosts, read_only, fetch_remote, root_path)
    session = open_session(store_path, device)
    listening = bound_socket(host, port)
    name = gethostname() if options.everywhere else host
    shown = "localhost" if name == "127.0.0.1" else f"[{name}]" if ":" in name else name
    address = f"http://{shown}:{listening.getsockname()[1]}{root_path}/"
    link = f"{address}?token={options.token}" if options.needs_token else address

    def ready(served: object) -> None:
        out(link)
        note(f"serving {visible(str(session.path))}; Ctrl-C ends it")
        if options.needs_token:
            note("anybody on the network can read what is sent over http")
        if _on_a_desktop() if open_browser is None else open_browser:
            webbrowser.open(link)

    with suppress(KeyboardInterrupt):
        serve(session, options, listening, ready)


def _on_a_desktop() -> bool:
    if os.environ.get("SSH_CONNECTION") or not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
