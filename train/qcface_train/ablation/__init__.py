"""Ablation: several losses with equal network, data and number of steps, several seeds each."""
