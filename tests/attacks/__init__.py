"""What is tried on Tillwire's routes, by kind; `tests.web.test_attacks` says on which."""
