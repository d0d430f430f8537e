"""The journal, who may write to it, and the service around it."""
