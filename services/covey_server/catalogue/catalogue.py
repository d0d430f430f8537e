"""What analyzers exist: variants, the stable one, and the cohort models they answer with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
from sqlalchemy import delete, insert, select, update

from covey.engine import ENGINE_NAMES
from covey.v1 import analyzer_pb2, cohorts_pb2, variants_pb2
from covey_server.catalogue.names import (
    checked_id,
    checked_name,
    page_size_of,
    page_start_of,
    page_token_after,
)
from covey_server.catalogue.parameters import parameters_message, parameters_of
from covey_server.catalogue.tables import catalogue_settings, cohort_models, variants
from covey_server.errors import CallError, invalid, not_found
from covey_server.store import check_request_id, commit_once

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from covey_server.store import Store

_STABLE = "stable_variant"
_LONGEST_DESCRIPTION = 1000


class Catalogue:
    """Variants and cohort models of the store, remembered: reading what was read before takes no lock and no I/O.

    Messages it returns are shared: do not change them.

    Args:
        store: an open store whose tables exist.
        clock: the time, aware, for create times.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock
        self._variants: dict[str, variants_pb2.Variant] = {}
        self._models: dict[str, cohorts_pb2.CohortModel] = {}
        self._stable = ""

    def ensure_defaults(self, stable: str = "reference") -> None:
        """Make variants/reference and variants/native where they are missing, and a stable variant where there is none.

        Args:
            stable: id of the variant that is stable in a new store; an old store keeps its own.

        Raises:
            CallError: INVALID_ARGUMENT or NOT_FOUND where `stable` is no variant.
        """
        with self._store.write(is_reserved=True) as connection:
            for engine in ENGINE_NAMES:
                name = f"variants/{engine}"
                if _payload(connection, variants, name) is None:
                    description = f"The {engine} engine with default parameters"
                    self._insert(connection, name, variants_pb2.Variant(engine=engine, description=description))
            if _stable_name(connection) is None:
                name = f"variants/{checked_id('stable', stable.removeprefix('variants/'))}"
                self._require_variant(connection, name)
                connection.execute(insert(catalogue_settings).values(name=_STABLE, value=name))

    def variant(self, name: str) -> variants_pb2.Variant:
        """The variant of a name such as "variants/native".

        Raises:
            CallError: INVALID_ARGUMENT for a name of another form, NOT_FOUND where there is none.
        """
        found = self._variants.get(name)
        if found is None:
            payload = self._read(variants, checked_name("name", name, "variants"))
            if payload is None:
                raise not_found(name, "ListVariants shows what exists, CreateVariant makes one")
            found = self._variants[name] = variants_pb2.Variant.FromString(payload)
        return found

    def create_variant(self, request: analyzer_pb2.CreateVariantRequest) -> variants_pb2.Variant:
        """Check and store a variant; a retry with the same request id returns the first result.

        Raises:
            CallError: INVALID_ARGUMENT, ALREADY_EXISTS, or NOT_FOUND for its cohort model.
        """
        name = f"variants/{checked_id('variant_id', request.variant_id)}"
        check_request_id(request.request_id)
        variant = _checked_variant(name, request.variant)

        def run(connection: Connection) -> bytes:
            if _payload(connection, variants, name) is not None:
                raise CallError(
                    grpc.StatusCode.ALREADY_EXISTS,
                    f"{name} exists and variants are immutable; choose another variant_id",
                    reason="ALREADY_EXISTS",
                    metadata={"resource": name},
                )
            if variant.cohort_model and _payload(connection, cohort_models, variant.cohort_model) is None:
                raise _no_model(variant.cohort_model)
            return self._insert(connection, name, variant)

        payload = commit_once(self._store, request, run, self._clock())
        return variants_pb2.Variant.FromString(payload)

    def list_variants(self, request: analyzer_pb2.ListVariantsRequest) -> analyzer_pb2.ListVariantsResponse:
        """A page of variants, by name."""
        payloads, token = self._page(variants, request)
        found = [variants_pb2.Variant.FromString(payload) for payload in payloads]
        return analyzer_pb2.ListVariantsResponse(variants=found, next_page_token=token)

    def stable(self, connection: Connection | None = None) -> str:
        """Name of the stable variant; as a transaction sees it where its connection is given."""
        if connection is not None and self._store.owns(connection):
            return _stable_name(connection) or ""
        if not self._stable:
            with self._store.read() as reading:
                self._stable = _stable_name(reading) or ""
        return self._stable

    def look_again(self) -> None:
        """Forget what another server may have changed: which variant is stable."""
        self._stable = ""

    def set_stable(self, connection: Connection, name: str) -> None:
        """Make a variant the stable one when the transaction of `connection` commits.

        Raises:
            CallError: NOT_FOUND where there is no such variant.
        """
        self._require_variant(connection, name)
        connection.execute(update(catalogue_settings).where(catalogue_settings.c.name == _STABLE).values(value=name))
        self._store.after_commit(connection, lambda: setattr(self, "_stable", name))

    def add_cohort_model(self, model: cohorts_pb2.CohortModel, connection: Connection | None = None) -> None:
        """Store a model under its name; in the caller's transaction where its connection is one of this store.

        Raises:
            CallError: INVALID_ARGUMENT for its name, ALREADY_EXISTS where another model has it.
        """
        checked_name("name", model.name, "cohortModels")
        payload = model.SerializeToString(deterministic=True)
        with self._store.joined(connection) as joined:
            found = _payload(joined, cohort_models, model.name)
            if found is None:
                joined.execute(insert(cohort_models).values(name=model.name, payload=payload))
            elif found != payload:
                raise CallError(grpc.StatusCode.ALREADY_EXISTS, f"{model.name} exists and cohort models are immutable")

    def cohort_model(self, name: str) -> cohorts_pb2.CohortModel:
        """The cohort model of a name such as "cohortModels/spring".

        Raises:
            CallError: INVALID_ARGUMENT for a name of another form, NOT_FOUND where there is none.
        """
        found = self._models.get(name)
        if found is None:
            payload = self._read(cohort_models, checked_name("name", name, "cohortModels"))
            if payload is None:
                raise _no_model(name)
            found = self._models[name] = cohorts_pb2.CohortModel.FromString(payload)
        return found

    def list_cohort_models(
        self, request: analyzer_pb2.ListCohortModelsRequest
    ) -> analyzer_pb2.ListCohortModelsResponse:
        """A page of cohort models, by name."""
        payloads, token = self._page(cohort_models, request)
        found = [cohorts_pb2.CohortModel.FromString(payload) for payload in payloads]
        return analyzer_pb2.ListCohortModelsResponse(cohort_models=found, next_page_token=token)

    def delete_cohort_model(self, request: analyzer_pb2.DeleteCohortModelRequest) -> None:
        """Remove a model that no variant answers with.

        Raises:
            CallError: NOT_FOUND, or FAILED_PRECONDITION that names the variants that use it.
        """
        name = checked_name("name", request.name, "cohortModels")
        check_request_id(request.request_id)

        def run(connection: Connection) -> bytes:
            if _payload(connection, cohort_models, name) is None:
                raise _no_model(name)
            users = connection.scalars(
                select(variants.c.name).where(variants.c.cohort_model == name).order_by(variants.c.name).limit(5)
            ).all()
            if users:
                raise CallError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"{name} is used by {', '.join(users)}; variants are immutable, so it stays with them",
                    reason="COHORT_MODEL_IN_USE",
                    metadata={"resource": name},
                )
            connection.execute(delete(cohort_models).where(cohort_models.c.name == name))
            self._store.after_commit(connection, lambda: self._models.pop(name, None) and None)
            return b""

        commit_once(self._store, request, run, self._clock())

    def _insert(self, connection: Connection, name: str, variant: variants_pb2.Variant) -> bytes:
        complete = variants_pb2.Variant()
        complete.CopyFrom(variant)
        complete.name = name
        complete.trait_parameters.CopyFrom(parameters_message(parameters_of(variant.trait_parameters)))
        complete.create_time.FromDatetime(self._clock())
        payload = complete.SerializeToString()
        connection.execute(insert(variants).values(name=name, cohort_model=variant.cohort_model, payload=payload))
        return payload

    def _require_variant(self, connection: Connection, name: str) -> None:
        if _payload(connection, variants, name) is None:
            raise not_found(name, "ListVariants shows what exists")

    def _read(self, table: Table, name: str) -> bytes | None:
        with self._store.read() as connection:
            return _payload(connection, table, name)

    def _page(
        self, table: Table, request: analyzer_pb2.ListVariantsRequest | analyzer_pb2.ListCohortModelsRequest
    ) -> tuple[list[bytes], str]:
        size = page_size_of(request)
        query = select(table.c.name, table.c.payload).order_by(table.c.name).limit(size + 1)
        after = page_start_of(request)
        if after is not None:
            query = query.where(table.c.name > after)
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        token = page_token_after(rows[size - 1].name) if len(rows) > size else ""
        return [row.payload for row in rows[:size]], token


def _checked_variant(name: str, given: variants_pb2.Variant) -> variants_pb2.Variant:
    if given.name not in {"", name}:
        raise invalid("variant.name", f"{given.name[:80]!r} differs from {name}; leave it empty")
    if given.engine not in ENGINE_NAMES:
        expected = " or ".join(repr(known) for known in ENGINE_NAMES)
        raise invalid("variant.engine", f"{given.engine[:40]!r} is no engine; expected {expected}")
    if len(given.description) > _LONGEST_DESCRIPTION:
        raise invalid("variant.description", f"longer than {_LONGEST_DESCRIPTION} characters")
    if given.cohort_model:
        checked_name("variant.cohort_model", given.cohort_model, "cohortModels")
    parameters_of(given.trait_parameters, "variant.trait_parameters")
    return given


def _payload(connection: Connection, table: Table, name: str) -> bytes | None:
    return connection.execute(select(table.c.payload).where(table.c.name == name)).scalar()


def _stable_name(connection: Connection) -> str | None:
    query = select(catalogue_settings.c.value).where(catalogue_settings.c.name == _STABLE)
    return connection.execute(query).scalar()


def _no_model(name: str) -> CallError:
    return not_found(name, "ListCohortModels shows what exists, DiscoverCohorts makes one")
