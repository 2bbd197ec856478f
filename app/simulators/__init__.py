"""Stand-ins for the services that Tillwire talks to, written from public documentation, sharing no code with it."""
