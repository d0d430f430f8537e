"""Methods of AnalyzerService about variants and cohort models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from covey.v1 import analyzer_pb2, cohorts_pb2, variants_pb2
from covey_server.catalogue.calls import unary

if TYPE_CHECKING:
    from covey_server.catalogue.catalogue import Catalogue


class CatalogueMethods:
    """Mixin of the servicer, which sets `_catalogue`."""

    _catalogue: Catalogue

    @unary
    def GetCohortModel(  # noqa: N802 - named by the contract, as all here
        self, request: analyzer_pb2.GetCohortModelRequest, context: grpc.ServicerContext
    ) -> cohorts_pb2.CohortModel:
        """One cohort model."""
        return self._catalogue.cohort_model(request.name)

    @unary
    def ListCohortModels(  # noqa: N802
        self, request: analyzer_pb2.ListCohortModelsRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.ListCohortModelsResponse:
        """Cohort models by name."""
        return self._catalogue.list_cohort_models(request)

    @unary
    def DeleteCohortModel(  # noqa: N802
        self, request: analyzer_pb2.DeleteCohortModelRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.DeleteCohortModelResponse:
        """Remove a model that no variant answers with."""
        self._catalogue.delete_cohort_model(request)
        return analyzer_pb2.DeleteCohortModelResponse()

    @unary
    def CreateVariant(  # noqa: N802
        self, request: analyzer_pb2.CreateVariantRequest, context: grpc.ServicerContext
    ) -> variants_pb2.Variant:
        """Store an immutable analyzer configuration."""
        return self._catalogue.create_variant(request)

    @unary
    def GetVariant(  # noqa: N802
        self, request: analyzer_pb2.GetVariantRequest, context: grpc.ServicerContext
    ) -> variants_pb2.Variant:
        """One variant."""
        return self._catalogue.variant(request.name)

    @unary
    def ListVariants(  # noqa: N802
        self, request: analyzer_pb2.ListVariantsRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.ListVariantsResponse:
        """Variants by name."""
        return self._catalogue.list_variants(request)
