"""Where objects lie: one interface, a local directory and S3."""
