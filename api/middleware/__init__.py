"""What every request passes: identity, limits, access, headers, errors."""
