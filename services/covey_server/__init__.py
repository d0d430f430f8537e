"""The analyzer service: translate, validate, route, measure, store."""

from covey.grpc_log import quiet

quiet()
