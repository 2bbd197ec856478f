"""Tillwire's application: web, worker, command line, and what they stand on."""
