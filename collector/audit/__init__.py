"""The archive: spool (durable) -> objects -> store (directory or Ceph RGW), with signed manifests and the way back."""
