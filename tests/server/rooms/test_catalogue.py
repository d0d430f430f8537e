"""The catalogue: immutable variants, cohort models, which variant is stable."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from covey.v1 import analyzer_pb2, cohorts_pb2, traits_pb2, variants_pb2
from covey_server.errors import CallError

CODE = grpc.StatusCode


def create(server: Any, variant_id: str = "v", request_id: str = "r", **fields: Any) -> variants_pb2.Variant:
    variant = variants_pb2.Variant(**{"engine": "native", **fields})
    request = analyzer_pb2.CreateVariantRequest(variant_id=variant_id, variant=variant, request_id=request_id)
    created: variants_pb2.Variant = server.analyzer.CreateVariant(request)
    return created


def refused(server: Any, **fields: Any) -> tuple[grpc.StatusCode, list[str]]:
    with pytest.raises(grpc.RpcError) as caught:
        create(server, **fields)
    status = rpc_status.from_call(caught.value)
    bad = error_details_pb2.BadRequest()
    places = []
    for detail in status.details if status else ():
        if detail.Unpack(bad):
            places = [violation.field for violation in bad.field_violations]
    return caught.value.code(), places


def test_both_engines_are_there_from_the_start(server: Any) -> None:
    names = [it.name for it in server.analyzer.ListVariants(analyzer_pb2.ListVariantsRequest()).variants]
    assert names == ["variants/native", "variants/reference"]
    assert server.catalogue.stable() == "variants/reference"
    native = server.analyzer.GetVariant(analyzer_pb2.GetVariantRequest(name="variants/native"))
    assert native.engine == "native"
    assert native.trait_parameters.velocity_alpha == 0.3


def test_a_variant_is_stored_with_all_its_parameters_for_good(server: Any) -> None:
    created = create(server, trait_parameters=traits_pb2.TraitParameters(velocity_alpha=0.5))
    assert created.name == "variants/v"
    assert created.trait_parameters.velocity_alpha == 0.5
    assert created.trait_parameters.frequency_window_days == 28
    assert create(server, trait_parameters=traits_pb2.TraitParameters(velocity_alpha=0.5)) == created
    assert refused(server, trait_parameters=traits_pb2.TraitParameters(velocity_alpha=0.4))[0] is CODE.ALREADY_EXISTS
    assert refused(server, request_id="r2")[0] is CODE.ALREADY_EXISTS
    server.restart()
    assert server.analyzer.GetVariant(analyzer_pb2.GetVariantRequest(name="variants/v")) == created


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"velocity_alpha": 0.0}, "variant.trait_parameters.velocity_alpha"),
        ({"velocity_alpha": 1.01}, "variant.trait_parameters.velocity_alpha"),
        ({"velocity_alpha": float("nan")}, "variant.trait_parameters.velocity_alpha"),
        ({"velocity_kappa": 0.0}, "variant.trait_parameters.velocity_kappa"),
        ({"affinity_entropy_penalty": 1.5}, "variant.trait_parameters.affinity_entropy_penalty"),
        ({"frequency_window_days": 0}, "variant.trait_parameters.frequency_window_days"),
        ({"feedback_prior_acted": -1.0}, "variant.trait_parameters.feedback_prior_acted"),
        ({"feedback_prior_acted": 0.0, "feedback_prior_ignored": 0.0}, "variant.trait_parameters"),
        ({"retention_decay_per_day": -0.1}, "variant.trait_parameters.retention_decay_per_day"),
        ({"day_start_seconds": 86_400}, "variant.trait_parameters.day_start_seconds"),
    ],
)
def test_parameters_out_of_range_are_named(server: Any, fields: dict[str, Any], place: str) -> None:
    code, places = refused(server, trait_parameters=traits_pb2.TraitParameters(**fields))
    assert (code, places) == (CODE.INVALID_ARGUMENT, [place])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"engine": "fast"}, CODE.INVALID_ARGUMENT),
        ({"engine": ""}, CODE.INVALID_ARGUMENT),
        ({"cohort_model": "none"}, CODE.INVALID_ARGUMENT),
        ({"cohort_model": "cohortModels/none"}, CODE.NOT_FOUND),
        ({"variant_id": "V"}, CODE.INVALID_ARGUMENT),
        ({"name": "variants/other"}, CODE.INVALID_ARGUMENT),
        ({"request_id": ""}, CODE.INVALID_ARGUMENT),
        ({"description": "x" * 1001}, CODE.INVALID_ARGUMENT),
    ],
)
def test_what_is_wrong_with_a_variant(server: Any, fields: dict[str, str], code: grpc.StatusCode) -> None:
    assert refused(server, **fields)[0] is code
    assert len(server.analyzer.ListVariants(analyzer_pb2.ListVariantsRequest()).variants) == 2


def test_the_stable_variant_changes_with_the_transaction(server: Any) -> None:
    catalogue = server.catalogue
    with server.store.write() as connection:
        catalogue.set_stable(connection, "variants/native")
        assert catalogue.stable(connection) == "variants/native"
        assert catalogue.stable() == "variants/reference"
    assert catalogue.stable() == "variants/native"
    with pytest.raises(ZeroDivisionError), server.store.write() as connection:
        catalogue.set_stable(connection, "variants/reference")
        raise ZeroDivisionError
    assert catalogue.stable() == "variants/native"
    with pytest.raises(CallError, match="does not exist"), server.store.write() as connection:
        catalogue.set_stable(connection, "variants/none")
    server.restart()
    assert server.catalogue.stable() == "variants/native"


def test_a_model_in_use_cannot_be_deleted(server: Any) -> None:
    model = cohorts_pb2.CohortModel(name="cohortModels/m", engine="native", cohorts=[cohorts_pb2.Cohort(index=0)])
    server.catalogue.add_cohort_model(model)
    server.catalogue.add_cohort_model(model)  # the same again is no change
    with pytest.raises(CallError, match="immutable"):
        server.catalogue.add_cohort_model(cohorts_pb2.CohortModel(name=model.name, engine="reference"))
    create(server, cohort_model="cohortModels/m")
    request = analyzer_pb2.DeleteCohortModelRequest(name="cohortModels/m", request_id="d")
    with pytest.raises(grpc.RpcError) as caught:
        server.analyzer.DeleteCohortModel(request)
    assert caught.value.code() is CODE.FAILED_PRECONDITION
    assert "variants/v" in caught.value.details()

    model.name = "cohortModels/n"
    server.catalogue.add_cohort_model(model)
    get = analyzer_pb2.GetCohortModelRequest(name="cohortModels/n")
    assert server.analyzer.GetCohortModel(get) == model
    names = [it.name for it in server.analyzer.ListCohortModels(analyzer_pb2.ListCohortModelsRequest()).cohort_models]
    assert names == ["cohortModels/m", "cohortModels/n"]
    request = analyzer_pb2.DeleteCohortModelRequest(name="cohortModels/n", request_id="e")
    server.analyzer.DeleteCohortModel(request)
    server.analyzer.DeleteCohortModel(request)
    with pytest.raises(grpc.RpcError) as caught:
        server.analyzer.GetCohortModel(get)
    assert caught.value.code() is CODE.NOT_FOUND
    server.restart()
    assert server.catalogue.cohort_model("cohortModels/m").engine == "native"
