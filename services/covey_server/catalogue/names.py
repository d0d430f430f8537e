"""Names, ids and pages of resources: what every method of the data port checks the same way."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from covey_server.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")

_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
_ID_RULE = "1 to 63 of a-z, 0-9 and -, beginning with a letter"
LONGEST_LEARNER_ID_BYTES = 256
DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 1000


class _Paged(Protocol):
    @property
    def page_size(self) -> int: ...
    @property
    def page_token(self) -> str: ...


def checked_id(field: str, value: str) -> str:
    """`value` where it follows the rule of ids.

    Raises:
        CallError: INVALID_ARGUMENT that names the field and the rule.
    """
    if not _ID.fullmatch(value):
        raise invalid(field, f"{value[:80]!r} is not an id; an id is {_ID_RULE}")
    return value


def checked_name(field: str, value: str, collection: str) -> str:
    """`value` where it is a resource name of `collection`, such as "datasets/spring" of "datasets".

    Raises:
        CallError: INVALID_ARGUMENT that names the field and the form.
    """
    prefix = f"{collection}/"
    if not value.startswith(prefix) or not _ID.fullmatch(value[len(prefix) :]):
        raise invalid(field, f"{value[:100]!r} is not a name of the form {prefix}{{id}}; an id is {_ID_RULE}")
    return value


def checked_learner_id(value: str, field: str = "learner_id") -> str:
    """A learner id of 1 to 256 bytes of UTF-8.

    Raises:
        CallError: INVALID_ARGUMENT where it is empty or too long.
    """
    if not value:
        raise invalid(field, "missing; an integer id is its decimal text")
    if len(value.encode()) > LONGEST_LEARNER_ID_BYTES:
        raise invalid(field, f"longer than {LONGEST_LEARNER_ID_BYTES} bytes of UTF-8")
    return value


def page_of(request: _Paged, items: Sequence[Item], key: Callable[[Item], str]) -> tuple[list[Item], str]:
    """One page of `items`, which are ordered by `key`, and the token of the next page (empty after the last).

    Raises:
        CallError: INVALID_ARGUMENT for a negative size or a token that is not of a list.
    """
    size = page_size_of(request)
    after = page_start_of(request)
    rest = [item for item in items if after is None or key(item) > after]
    page = rest[:size]
    return page, page_token_after(key(page[-1])) if len(rest) > size else ""


def page_size_of(request: _Paged) -> int:
    """Rows of a page: 50 by default, at most 1,000."""
    if request.page_size < 0:
        raise invalid("page_size", f"{request.page_size}; it is 0 (the default of {DEFAULT_PAGE_SIZE}) or more")
    return min(request.page_size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def page_start_of(request: _Paged) -> str | None:
    """The key after which the page begins; None for the first page."""
    if not request.page_token:
        return None
    try:
        return base64.b64decode(request.page_token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid("page_token", "not a token of this list; use next_page_token of the answer before") from None


def page_token_after(key: str) -> str:
    """The token of the page that begins behind `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode()
