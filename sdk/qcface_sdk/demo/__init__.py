"""The demonstration behind `qcface demo`: two public-domain photographs, changed in many ways, and live cameras."""
