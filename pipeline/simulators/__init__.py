"""What the pipeline talks to in tests and demos."""
