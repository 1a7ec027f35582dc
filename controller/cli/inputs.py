"""What has the user named by `-f`? Files, folders and `-`, read as texts and parsed with all problems at once."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from controller.errors import InvalidInput, Problem
from controller.resources.documents import Declarations, Document, parse_documents

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")
LARGEST = 64 * 1024 * 1024
"""Bytes of one file; ten thousand MailDomains are about five million."""


def read_declarations(paths: Iterable[str]) -> Declarations:
    """Read and parse everything that is named. Raises `InvalidInput` with the problems of all files."""
    problems: list[Problem] = []
    documents = [document for path in dict.fromkeys(paths) for document in _documents(path, problems)]
    try:
        declared = parse_documents({document.where: document for document in documents}.values())
    except InvalidInput as error:
        # Without a single readable file "declares nothing" says nothing new.
        raise InvalidInput(*problems, *(error.problems if documents or not problems else ())) from None
    if problems:
        raise InvalidInput(*problems)
    return declared


def _documents(path: str, problems: list[Problem]) -> Iterator[Document]:
    if path == STDIN:
        yield from _read(STDIN, problems)
        return
    if not os.path.isdir(path):  # noqa: PTH112  # which is false, not an error, for a path that can't be one
        yield from _read(path, problems)
        return
    files = sorted(_files(Path(path), problems))
    if not files:
        problems.append(Problem(path, "", "holds no file", f"name a folder with {', '.join(SUFFIXES)} files"))
    for file in files:
        yield from _read(str(file), problems)


def _files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """The manifests of a folder and of those below it. Hidden ones are left out: `.git`, and `..data` of a mount."""

    def refuse(error: OSError) -> None:
        problems.append(Problem(str(error.filename), "", _why(error), "make it readable"))

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith(".") and name.endswith(SUFFIXES))


def _read(path: str, problems: list[Problem]) -> Iterator[Document]:
    try:
        content = _content(path)
        if len(content) > LARGEST:
            problems.append(Problem(path, "", f"is larger than {LARGEST // 1024**2} MiB", "split it"))
        else:
            yield Document(path, content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        problems.append(Problem(path, "", "is no UTF-8 text", "name YAML or JSON files"))
    except ValueError:
        problems.append(Problem(path, "", "is no path", "name a file, a folder or -"))
    except OSError as error:
        problems.append(Problem(path, "", _why(error), "name a readable file, a folder or -"))


def _content(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(LARGEST + 1)
    with Path(path).open("rb") as file:
        return file.read(LARGEST + 1)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case PermissionError():
            return "is not readable"
        case _:
            return f"can't be read ({error.strerror or type(error).__name__})"
