"""Tracking services, outward: declarations and the few lines of each that are its own. Imports nothing else of ours."""
