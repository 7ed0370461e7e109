"""Errors of AWS services, as the simulated CloudFront answers them."""

from __future__ import annotations


class ApiError(Exception):
    """A call that isn't done.

    Attributes:
        code, message, status: of the answer.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(code)
