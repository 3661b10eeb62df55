"""Records at a set rate, whatever the pipeline does with them."""
