"""One module per command of `pipeline`."""
