"""Mapping: JSON facts in, JSON payload or Skip out. Imports nothing of the rest of the house."""
