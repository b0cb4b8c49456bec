"""`POST /api/sql`: read-only SQL, one statement list at a time and for ten seconds at the most."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shotdex.query.sql import SqlLimits

from .filters import Name
from .served import Served

LIMITS = SqlLimits(seconds=10.0, bytes=16 * 1024 * 1024, rows=10_000)


class SqlQuery(BaseModel):
    """Statements, with values for the `$name` parameters in them."""

    model_config = ConfigDict(extra="forbid")

    statement: Annotated[str, StringConstraints(min_length=1, max_length=50_000)]
    parameters: dict[Name, str | int | float | bool | None] = Field(default={}, max_length=100)


def router(served: Served) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api", tags=["sql"])

    @routes.post("/sql")
    def sql(query: SqlQuery) -> Response:
        """Run read-only SQL and return the rows of the last statement; `more` says whether some were left out."""
        with served.catalog() as session:
            found = session.sql(query.statement, query.parameters, limits=LIMITS)
        columns = [{"name": name, "type": kind} for name, kind in zip(found.columns, found.types, strict=True)]
        return served.answer({"columns": columns, "rows": list(found), "more": found.more, "near": list(found.near)})

    return routes
