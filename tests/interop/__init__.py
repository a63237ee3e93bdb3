"""Clients and servers that others wrote, against the real peer."""
