"""Training of the recogniser: backbone, heads, QCFace norm loss, data, teachers and one resumable loop.

Runs from a checkout (``python train/train.py``), needs the extra ``train`` (PyTorch). The SDK never imports it.
"""
