"""How is a caller told no? One exception, which becomes one small JSON answer with a fixed text."""

from collections.abc import Mapping

from starlette.responses import JSONResponse


class Refused(Exception):  # noqa: N818  # named after what it says
    """The request is not carried out. `detail` is a fixed text, or texts by field."""

    def __init__(self, status: int, detail: str | Mapping[str, list[str]], **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self._detail = detail
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def response(self) -> JSONResponse:
        """The answer."""
        content = {"detail": self._detail} if isinstance(self._detail, str) else dict(self._detail)
        return JSONResponse(content, self.status, headers=self._headers)
