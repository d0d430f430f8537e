"""Who calls, and how it is proven: roles, tokens, certificates; shared by services, client and command line."""
