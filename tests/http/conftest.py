"""Which fixtures does this layer use? Those of `tests.support.deploycenter`."""

from tests.support.deploycenter import double, url

__all__ = ["double", "url"]
