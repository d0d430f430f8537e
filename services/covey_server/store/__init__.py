"""What lasts: tables behind one writer, and requests that are remembered."""

from covey_server.store.failures import StoreError
from covey_server.store.idempotency import check_request_id, commit_once, once, once_for, remembered, reused
from covey_server.store.opening import open_store, open_stores, shared_store, store_at_rest
from covey_server.store.store import Store

__all__ = [
    "Store",
    "StoreError",
    "check_request_id",
    "commit_once",
    "once",
    "once_for",
    "open_store",
    "open_stores",
    "remembered",
    "reused",
    "shared_store",
    "store_at_rest",
]
