"""The ports: data on threads, control on asyncio."""
