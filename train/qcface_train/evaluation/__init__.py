"""Evaluate a recognition network on labelled faces: data readers, the measuring protocol and its report."""
