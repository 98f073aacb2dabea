"""Dashboards, rules and what is drawn of them. What metrics there are, `sagakit.runtime.catalogue` says.

Nothing here runs with the shop: `python -m observability.generate` writes what is delivered.
"""
