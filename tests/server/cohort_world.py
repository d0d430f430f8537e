"""A stable variant with two cohorts that anybody can tell apart: idle learners and busy ones."""

from __future__ import annotations

import time

import numpy as np

from covey.v1 import analyzer_pb2, cohorts_pb2, events_pb2, traits_pb2

from .running import DAY_US, ServedHere

STEADY = "variants/steady"
IDLE, BUSY = "cohort-0-generalist", "cohort-1-power-user"


def model(name: str = "cohortModels/two", centroids: tuple[float, ...] = (0.05, 0.9)) -> cohorts_pb2.CohortModel:
    """Cohorts by interaction frequency alone."""
    archetypes = (cohorts_pb2.ARCHETYPE_GENERALIST, cohorts_pb2.ARCHETYPE_POWER_USER)
    return cohorts_pb2.CohortModel(
        name=name,
        engine="native",
        trait_weights=traits_pb2.TraitVector(interaction_frequency=1),
        cohorts=[
            cohorts_pb2.Cohort(
                index=number,
                archetype=archetypes[number % 2],
                centroid=traits_pb2.TraitVector(interaction_frequency=centroid),
            )
            for number, centroid in enumerate(centroids)
        ],
    )


def make_stable(server: ServedHere, engine: str = "native") -> None:
    """Make a variant of that engine with two cohorts, and let it serve everybody."""
    server.room.catalogue.add_cohort_model(model())
    make_variant(server, "steady", engine, "cohortModels/two")
    with server.room.store.write() as connection:
        server.room.catalogue.set_stable(connection, STEADY)


def make_variant(server: ServedHere, variant_id: str, engine: str, cohort_model: str = "") -> None:
    """Make a variant."""
    server.analyzer.CreateVariant(
        analyzer_pb2.CreateVariantRequest(
            variant_id=variant_id,
            variant={"engine": engine, "cohort_model": cohort_model},
            request_id=f"make {variant_id}",
        ),
        timeout=30,
    )


def days(count: int) -> events_pb2.PackedEvents:
    """One event on each of the last `count` days."""
    now_us = int(time.time() * 1e6)
    times = now_us - DAY_US * np.arange(count)
    column = events_pb2.DictionaryColumn(values=["d"], indices_uint8=bytes(count))
    return events_pb2.PackedEvents(
        event_count=count, time_us=times.astype("<i8").tobytes(), domain=column, capability=column
    )


def idle() -> events_pb2.PackedEvents:
    """The history of a learner who came today for the first time."""
    return days(1)


def busy() -> events_pb2.PackedEvents:
    """The history of a learner who comes every day."""
    return days(28)
