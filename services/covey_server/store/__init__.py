"""What lasts: tables behind one writer, and requests that are remembered."""

from covey_server.store.failures import StoreError
from covey_server.store.idempotency import check_request_id, commit_once, once, once_for
from covey_server.store.store import Store, open_store, open_stores, shared_store, store_at_rest

__all__ = [
    "Store",
    "StoreError",
    "check_request_id",
    "commit_once",
    "once",
    "once_for",
    "open_store",
    "open_stores",
    "shared_store",
    "store_at_rest",
]
