"""Discoveries: long work in processes of their own."""
