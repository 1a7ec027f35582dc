"""How does a sandbox go on after its story? Its DeployCenter is served again, and follows edits of its file."""

import socket
import time
from collections.abc import Callable

from controller.errors import InvalidInput, Problem
from controller.sandbox.deploycenter import Double
from controller.sandbox.folder import Folder
from controller.sandbox.scene import read_scene

LOOK_SECONDS = 0.5
"""How often the file is looked at."""


def serve_again(folder: Folder, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C, where the manifests look for it. Raises `InvalidInput` for a folder that is no sandbox."""
    scene = read_scene(folder.scene)
    _require_free(scene.port)
    double = Double(scene.world, behaviour=scene.odd)
    with double.serve_in_thread(scene.port) as url:
        tell(f"DeployCenter answers at {url} until Ctrl-C; edit {folder.scene} to change what it says")
        seen = _edited(folder)
        while True:
            time.sleep(LOOK_SECONDS)
            if (now := _edited(folder)) != seen:
                seen = now
                _follow(folder, double, tell)


def _edited(folder: Folder) -> int:
    """When the file was written last; 0 while an editor has moved it away."""
    try:
        return folder.scene.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _follow(folder: Folder, double: Double, tell: Callable[[str], None]) -> None:
    try:
        scene = read_scene(folder.scene)
    except InvalidInput as error:
        tell(f"DeployCenter goes on as it was: {error}")
        return
    double.world, double.behaviour = scene.world, scene.odd
    tell(f"DeployCenter says what {folder.scene} says now")


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            found = f"port {port}, which its manifests name, is in use"
            raise InvalidInput(Problem("command line", "--serve", found, "end what listens there")) from None
