"""Typed values out of requests; what does not fit is a problem document."""
