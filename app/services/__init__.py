"""What Tillwire does, a verb each."""
