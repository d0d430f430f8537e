"""Tables of the catalogue: variants, cohort models and which variant is stable."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, String, Table

from covey_server.store.schema import metadata

variants = Table(
    "variants",
    metadata,
    Column("name", String(80), primary_key=True),
    # empty: none. Beside the payload so that a model in use cannot be deleted.
    Column("cohort_model", String(80), nullable=False, index=True),
    Column("payload", LargeBinary, nullable=False),
)
"""payload: covey.v1.Variant."""

cohort_models = Table(
    "cohort_models",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("payload", LargeBinary, nullable=False),
)
"""payload: covey.v1.CohortModel."""

catalogue_settings = Table(
    "catalogue_settings",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", String(80), nullable=False),
)
"""One row, "stable_variant"."""
