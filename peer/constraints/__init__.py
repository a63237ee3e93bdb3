"""Constraint selection, pure: the properties, their syntax, and SelectSettings."""
