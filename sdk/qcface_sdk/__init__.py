"""QCFace SDK."""
