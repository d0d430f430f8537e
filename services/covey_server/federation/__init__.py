"""This server's learners as a region of a federation: `covey.federation` over gRPC."""
