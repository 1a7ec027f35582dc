"""Where is this process reached? A socket on all addresses of the host, IPv6 and IPv4."""

import socket

from controller.errors import InvalidInput, Problem


def listen(port: int, variable: str) -> socket.socket:
    """A listening socket; the system chooses the port for 0.

    Raises `InvalidInput`, which names the variable that holds the port, when it can't be had.
    """
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError:
        found = f"names port {port}, which is not to be had"
        raise InvalidInput(Problem("environment", variable, found, "name a free port")) from None
