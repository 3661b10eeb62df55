"""A program under test as a context: it ends with its block, killed where the block failed."""


class Running:
    """What has a `process` and knows how to `stop` it."""

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.process.kill()
                self.process.wait()
                self.failed()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def failed(self):
        """Say what may explain it; nothing as a rule."""
