"""The actions of `qcface gallery`, grouped by what they do."""
