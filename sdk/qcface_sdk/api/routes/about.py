"""The model behind the API, its thresholds, and whether all is well."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from qcface_sdk.api.access import Reader
from qcface_sdk.api.answers import AboutAnswer, HealthAnswer, ThresholdAnswer
from qcface_sdk.api.pictures import state_of
from qcface_sdk.manifest import ThresholdRow

router = APIRouter(tags=["about"])
health_router = APIRouter(tags=["about"])


@health_router.get("/health", response_model=HealthAnswer)
def health(request: Request) -> dict[str, Any]:
    """Say whether all is well; needs no key and tells nothing else."""
    return {"status": "degraded" if state_of(request).problems() else "ok"}


@router.get("/problems", response_model=dict[str, Any])
def problems(request: Request, key: Reader) -> dict[str, Any]:
    """Say what is wrong at the moment, by part; empty when all is well."""
    return dict(state_of(request).problems())


@router.get("/about", response_model=AboutAnswer)
def about(request: Request, key: Reader) -> dict[str, Any]:
    """Name model, runtime and measured thresholds, and the role of this key."""
    state = state_of(request)
    engine, manifest = state.engine, state.engine.bundle.manifest
    rows = sorted(engine.threshold_rows, key=lambda row: -row.fmr)
    from qcface_sdk import __version__

    return {
        "version": __version__,
        "model": manifest.name,
        "model_version": manifest.version,
        "contract": engine.contract,
        "backend": engine.backend,
        "precision": engine.precision,
        "retry_below": engine.retry_below,
        "enroll_below": engine.enroll_below,
        "license": manifest.license,
        "thresholds": [_row_values(row) for row in rows],
        "role": key.role.name.lower(),
        "subjects": len(state.gallery),
    }


@router.get("/threshold", response_model=ThresholdAnswer)
def threshold(
    request: Request,
    key: Reader,
    fmr: Annotated[float, Query(gt=0, lt=1, description="False-match rate of one comparison")],
) -> dict[str, Any]:
    """Return the threshold at a false-match rate, interpolated between measured ones; others are refused."""
    return _row_values(state_of(request).engine.threshold_row(fmr))


def _row_values(row: ThresholdRow) -> dict[str, Any]:
    return {
        "fmr": row.fmr,
        "threshold": row.threshold,
        "interval": list(row.interval),
        "fnmr": row.fnmr,
        "impostors": row.impostors,
        "genuines": row.genuines,
        "supported": row.supported,
        "origin": row.origin,
    }
