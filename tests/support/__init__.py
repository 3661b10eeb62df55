"""What tests share: a running watch, raw sockets, exact expectations."""
