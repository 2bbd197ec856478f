"""The storefront code as a file to download: the same for everybody and no secret."""

from __future__ import annotations

from flask import Blueprint, Response, abort
from flask.typing import ResponseReturnValue

from app.services import storefront

bp = Blueprint("storefront", __name__, url_prefix="/storefront")


@bp.get("/<platform>")
def code(platform: str) -> ResponseReturnValue:
    found = storefront.snippet(platform) or abort(404)
    headers = {
        "Content-Disposition": f'attachment; filename="{found.file_name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(found.code, mimetype="text/plain", headers=headers)
