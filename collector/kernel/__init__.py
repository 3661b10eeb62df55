"""The shell around the kernel: loading BPF programs and reading what they record."""
