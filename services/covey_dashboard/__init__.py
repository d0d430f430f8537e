"""The dashboard: a gRPC client of the control port with pages for people."""

from covey.grpc_log import quiet

quiet()
